/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Limits for log lines that peers can cause again and again.
 *
 * Each peer may cause 10 lines at once and 4 per second after that. Further lines are left out and
 * counted. At most once per second a line says how many. So one peer causes at most 15 lines in any
 * second.
 *
 * All peers together may cause 1,000 lines at once and 20 per second after that. This is enough for
 * hundreds of guests that start together. A peer without a line for a minute may cause one line in
 * any case, so noisy peers cannot silence others. With 1,000 peers this adds 17 lines per second.
 *
 * Lines of level debug are not limited.
 *
 * Threads: the control thread.
 */
#pragma once

#include "base/log.h"

#include <stdint.h>

/* All zero: nothing was logged yet. */
struct log_limit {
	int64_t due_ms;   /* when the steady rate has caught up with the lines logged so far */
	int64_t since_ms; /* when the first line was left out, or the number was logged last */
	int64_t last_ms;  /* when a line passed last; 0: never */
	unsigned left_out;
};

/* The limit for all peers together. All zero: nothing was logged yet. */
struct log_limit_all {
	int64_t due_ms;
};

/* May one more line be logged now? If not, it is counted as left out. */
bool log_limit_pass(struct log_limit *limit, struct log_limit_all *all, int64_t now_ms);

/* If it is time to log how many lines were left out, return and reset their number; else 0. */
unsigned log_limit_told(struct log_limit *limit, struct log_limit_all *all, int64_t now_ms);

/* Log "name: text" if the limit lets it pass. */
void log_limited(struct log_limit *limit, enum log_level level, const char *name, const char *fmt,
    ...) __attribute__((format(printf, 4, 5)));

/* Log how many lines were left out, if it is time to. Call this about once per second. */
void log_limit_service(struct log_limit *limit, const char *name);
