/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/log_limit.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/util.h"

#define BURST   10
#define EACH_MS 250
#define TELL_MS 1000

bool log_limit_pass(struct log_limit *limit, int64_t now_ms)
{
	int64_t due_ms = MAX(limit->due_ms, now_ms) + EACH_MS;

	if (due_ms - now_ms <= BURST * EACH_MS) {
		limit->due_ms = due_ms;
		return true;
	}
	if (limit->left_out++ == 0)
		limit->since_ms = MAX(limit->since_ms, now_ms);
	return false;
}

unsigned log_limit_told(struct log_limit *limit, int64_t now_ms)
{
	unsigned n = limit->left_out;

	if (n == 0 || now_ms - limit->since_ms < TELL_MS)
		return 0;
	limit->since_ms = now_ms;
	limit->left_out = 0;
	return n;
}

static void tell(struct log_limit *limit, const char *name, int64_t now_ms)
{
	unsigned n = log_limit_told(limit, now_ms);

	if (n > 0)
		log_warn("%s: %u more lines were left out", name, n);
}

void log_limit_service(struct log_limit *limit, const char *name)
{
	if (limit->left_out > 0)
		tell(limit, name, clock_ms());
}

void log_limited(
    struct log_limit *limit, enum log_level level, const char *name, const char *fmt, ...)
{
	char text[900];
	int64_t now = clock_ms();
	va_list ap;

	if (!log_level_shown(level))
		return;
	tell(limit, name, now);
	if (level != LOG_DEBUG && !log_limit_pass(limit, now))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_write(level, "%s: %s", name, text);
}
