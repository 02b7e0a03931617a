/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"

static enum log_level max_level = LOG_INFO;

static const char *const level_names[] = {
#define X(id, name) [LOG_##id] = name,
    LOG_LEVELS(X)
#undef X
};

void log_set_level(enum log_level level)
{
	max_level = level;
}

bool log_level_parse(const char *name, enum log_level *ret_level)
{
	for (unsigned i = 0; i < ARRAY_SIZE(level_names); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*ret_level = i;
			return true;
		}
	}
	return false;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n, body;

	if (level > max_level)
		return;
	n = snprintf(line, sizeof(line), "vswitchd: %s: ", level_names[level]);
	va_start(ap, fmt);
	body = vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	va_end(ap);
	if (body > 0)
		n += MIN(body, (int)sizeof(line) - n - 2);
	line[n++] = '\n';
	/* One write: lines of several threads do not mix. */
	if (write(STDERR_FILENO, line, n) < 0)
		return;
}
