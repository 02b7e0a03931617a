/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Errands: calls that may take any time. They are made in threads for which no other thread waits.
 *
 * An errand begins at once if the errands before it are quick. If an errand takes longer than
 * ERRAND_TIMEOUT_NS, the next one begins in another thread. At most ERRAND_THREADS_MAX errands run
 * at the same time; the others wait, in order. A thread that has nothing to do for a second ends.
 * The last thread stays, because it may be impossible to create another one later.
 *
 * Threads: the control thread or an errand begins errands, a worker never does, because the threads
 * inherit the sandbox and the CPUs of the thread that began the first errand. In these threads all
 * signals are blocked except those that faults raise.
 */
#pragma once

#define ERRAND_THREADS_MAX 64
#define ERRAND_TIMEOUT_NS  INT64_C(3000000) /* after this time the next errand gets a thread */

/* Let a thread call fn(arg) soon. 0 or -ENOMEM. */
int errand_run(void (*fn)(void *), void *arg);

/*
 * Let a closer (closer.h) call close(fd), or a thread if there are no closers. fd may be of any
 * kind. Its number becomes free some time later.
 */
void errand_close(int fd);

/* The same for a descriptor that has an owner, see closer.h. */
void errand_close_for(unsigned owner, int fd);

/* How many errands wait or run. */
unsigned errand_pending(void);
