/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Log lines for people, on stderr: "vswitchd: LEVEL: text".
 *
 * The place that first knows of a fault logs it, once. Any thread may log, but the
 * hot path never does: workers raise a flag and the control thread speaks.
 *
 * stderr may be a full pipe that nobody reads. After log_start() no caller waits for it: lines go
 * into memory, and a thread writes them in their order. Lines that do not fit are left out, and a
 * line says how many as soon as there is room again. Before log_start() lines are written at once.
 */
#pragma once

#include <stdbool.h>

#define LOG_LEVELS(X) \
	X(ERROR, "error") \
	X(WARN, "warning") \
	X(INFO, "info") \
	X(DEBUG, "debug")

enum log_level {
#define X(id, name) LOG_##id,
	LOG_LEVELS(X)
#undef X
};

/* Lines above this level are not written. Default: LOG_INFO. */
void log_set_level(enum log_level level);

bool log_level_shown(enum log_level level);

/* Find the level called name; false when there is none. */
bool log_level_parse(const char *name, enum log_level *ret_level);

void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Write from a thread from now on. enter, if not NULL, is what the thread does first; what it
 * returns, if not 0, is returned here, and lines are written at once as before.
 */
int log_start(int (*enter)(void));

/* Wait until all lines have been written, at most so long. False: some have not. */
bool log_flush(unsigned timeout_ms);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
