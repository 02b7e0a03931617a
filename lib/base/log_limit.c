/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/log_limit.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/util.h"

/* One line may be logged every each_ms; up to burst lines may be logged at once. */
struct rate {
	unsigned burst, each_ms;
};

static const struct rate one = {10, 250}, together = {1000, 50};

#define TELL_MS  1000
#define QUIET_MS 60000

static struct log_limit_all all_peers;

static int64_t due_after(int64_t due_ms, int64_t now_ms, const struct rate *rate)
{
	return MAX(due_ms, now_ms) + rate->each_ms;
}

static bool has_room(int64_t due_ms, int64_t now_ms, const struct rate *rate)
{
	return due_after(due_ms, now_ms, rate) - now_ms <= (int64_t)rate->burst * rate->each_ms;
}

static bool pass_together(struct log_limit_all *all, int64_t now_ms)
{
	if (!has_room(all->due_ms, now_ms, &together))
		return false;
	all->due_ms = due_after(all->due_ms, now_ms, &together);
	return true;
}

static bool was_quiet(const struct log_limit *limit, int64_t now_ms)
{
	return !limit->last_ms || now_ms - limit->last_ms >= QUIET_MS;
}

bool log_limit_pass(struct log_limit *limit, struct log_limit_all *all, int64_t now_ms)
{
	if (has_room(limit->due_ms, now_ms, &one) &&
	    (pass_together(all, now_ms) || was_quiet(limit, now_ms))) {
		limit->due_ms = due_after(limit->due_ms, now_ms, &one);
		limit->last_ms = now_ms;
		return true;
	}
	if (limit->left_out++ == 0)
		limit->since_ms = MAX(limit->since_ms, now_ms);
	return false;
}

unsigned log_limit_told(struct log_limit *limit, struct log_limit_all *all, int64_t now_ms)
{
	unsigned n = limit->left_out;

	if (n == 0 || now_ms - limit->since_ms < TELL_MS || !pass_together(all, now_ms))
		return 0;
	limit->since_ms = now_ms;
	limit->left_out = 0;
	return n;
}

static void tell(struct log_limit *limit, const char *name, int64_t now_ms)
{
	unsigned n = log_limit_told(limit, &all_peers, now_ms);

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
	if (level != LOG_DEBUG && !log_limit_pass(limit, &all_peers, now))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_write(level, "%s: %s", name, text);
}
