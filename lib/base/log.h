/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Log lines for people, on stderr: "vswitchd: LEVEL: text".
 *
 * The code that first knows of a fault logs it, once. Any thread may log, but the hot path never
 * does: a worker sets a flag, and the control thread logs.
 *
 * stderr may be a full pipe that nobody reads. After log_start() no caller waits for it: lines go
 * into a buffer, and a thread writes them in order. Lines that do not fit into the buffer are left
 * out. When there is room again, a line says how many. Before log_start() each caller writes its
 * lines itself.
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

/* Write no line any more. */
void log_silence(void);

bool log_level_shown(enum log_level level);

/* Find the level of this name. False: there is none. */
bool log_level_parse(const char *name, enum log_level *ret_level);

void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * From now on a thread of its own writes the lines. The thread first calls enter(), if enter is not
 * NULL. Returns 0 or a negative errno, for example that of enter(). After a failure callers go on
 * writing their lines themselves.
 */
int log_start(int (*enter)(void));

/* Wait until all lines have been written, but at most timeout_ms. False: some lines still wait. */
bool log_flush(unsigned timeout_ms);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
