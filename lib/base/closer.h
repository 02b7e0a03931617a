/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Processes that close descriptors whose close() may never return.
 *
 * A thread that waits in close() for the server of a FUSE file cannot be killed, and its process
 * does not end before it. So these are processes of their own, which share the table of
 * descriptors with the one that began them. They also close what that one leaves open at its end,
 * however it ends, so that peers see the end at once although one of them may hang.
 *
 * Threads: closer_start is called while the process has one thread; the others by any.
 */
#pragma once

#include <stdbool.h>

/* Owners of descriptors have numbers below this; 0 is for what is nobody's in particular. */
#define CLOSER_OWNERS 1100

/* At most so many descriptors take long at the same time. */
#define CLOSERS_MAX 512

/* Start them. enter(arg), which may be NULL, is called in the first one. Negative errno. */
int closer_start(int (*enter)(void *), void *arg);

/* End them, before the program is executed anew. What they have not closed may stay open. */
void closer_stop(void);

bool closer_running(void);

/* Have fd closed. False: there are none who do, or they have more than enough to do. */
bool closer_take(unsigned owner, int fd);

/*
 * The same, and have fn(fd, arg) called before it, which may take as long as it likes. arg points
 * to memory that was shared before closer_start().
 */
bool closer_run(unsigned owner, int fd, void (*fn)(int fd, void *arg), void *arg);

/*
 * Call this every now and then: if the first of them was killed, all have ended. This is logged,
 * none takes anything from then on, and take(fd) is called for what they have not taken.
 */
void closer_check(void (*take)(int fd));

/* They were started, and have ended. */
bool closer_lost(void);

/* How many of the owner's descriptors they have not closed yet. */
unsigned closer_waiting(unsigned owner);
