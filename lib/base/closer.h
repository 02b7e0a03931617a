/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Processes (closers) that close descriptors for the main process, because close() may never
 * return.
 *
 * A thread that waits in close() for the server of a FUSE file cannot be killed, and its process
 * does not end before close() returns. So closers are separate processes, which share the table of
 * descriptors with the main process. When the main process ends, for whatever reason, they close
 * the descriptors that it left open. So peers notice the end at once, even if some close() hangs.
 *
 * Threads: closer_start() is called while the process has one thread. closer_check() and
 * closer_stop() are for the control thread. Any thread may call the other functions.
 */
#pragma once

#include <stdbool.h>

/* The owners of descriptors have numbers below this. 0 stands for no particular owner. */
#define CLOSER_OWNERS 1100

/* The largest number of closers, and so of calls that can hang at the same time. */
#define CLOSERS_MAX 512

/*
 * Start the overseer process, which starts the closers when they are needed. It first calls
 * enter(arg), if enter is not NULL. 0 or a negative errno.
 */
int closer_start(int (*enter)(void *), void *arg);

/* End these processes before the program is executed anew. Unfinished jobs are lost. */
void closer_stop(void);

/* closer_start() was called. Also true if the processes have ended since: see closer_lost(). */
bool closer_running(void);

/* Let a closer close fd. False: there are no closers, or too many jobs wait already. */
bool closer_take(unsigned owner, int fd);

/*
 * The same, but the closer first calls fn(fd, arg), which may take any time. arg points to memory
 * that was shared before closer_start().
 */
bool closer_run(unsigned owner, int fd, void (*fn)(int fd, void *arg), void *arg);

/*
 * Call this regularly. If the overseer was killed, all closers have ended, too. Then this function
 * logs it and calls take(fd) for each descriptor that no closer has taken. From then on
 * closer_take() and closer_run() return false.
 */
void closer_check(void (*take)(int fd));

/* The processes were started, and have ended. */
bool closer_lost(void);

/* How many descriptors of this owner the closers have been given and have not closed yet. */
unsigned closer_waiting(unsigned owner);
