/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Limits for log lines that peers can cause again and again.
 *
 * Each peer may log 10 lines at once and 4 a second after that. Lines beyond are left out and
 * counted, and at most once a second a line says how many. So one peer causes at most 15 lines in
 * any second.
 *
 * All peers together may log 1,000 lines at once and 20 a second after that: enough for hundreds of
 * guests that start together. A peer of which no line was logged for a minute may log one line in
 * any case, so noisy peers cannot silence others. With 1,000 peers this is 17 lines a second more.
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
	int64_t due_ms;   /* when as many may have been logged as were */
	int64_t since_ms; /* that the first was left out, or the number was told last */
	int64_t last_ms;  /* that a line passed; 0: none has */
	unsigned left_out;
};

/* What all peers share. All zero: nothing was logged yet. */
struct log_limit_all {
	int64_t due_ms;
};

/* May one more line be logged now? If not, it is counted. */
bool log_limit_pass(struct log_limit *limit, struct log_limit_all *all, int64_t now_ms);

/* How many were left out, if this is to be told now, else 0; the count starts anew. */
unsigned log_limit_told(struct log_limit *limit, struct log_limit_all *all, int64_t now_ms);

/* Log "name: text" if the limit lets it pass. */
void log_limited(struct log_limit *limit, enum log_level level, const char *name, const char *fmt,
    ...) __attribute__((format(printf, 4, 5)));

/* To be called about as often as every second: it may be time to tell what was left out. */
void log_limit_service(struct log_limit *limit, const char *name);
