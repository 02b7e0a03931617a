/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Errands: calls that may take as long as somebody else likes, made by threads that nobody waits
 * for.
 *
 * An errand begins at once if those before it are quick. One that has been on its way for some
 * milliseconds holds up nobody: the next one gets a thread of its own. At most ERRAND_THREADS_MAX
 * of them stand still at the same time; the rest wait, in order. A thread with nothing to do ends
 * after a while; the last one stays, as another could perhaps not be made when it is needed.
 *
 * Threads: errands are begun by the control thread or by other errands, never by a worker: the
 * threads inherit the sandbox and the CPUs of the one that began the first. All signals but those
 * that a fault raises are blocked in them.
 */
#pragma once

#define ERRAND_THREADS_MAX 64
#define ERRAND_PATIENCE_NS INT64_C(3000000) /* after this time the next errand gets a thread */

/* Call fn(arg) some time soon. -ENOMEM. */
int errand_run(void (*fn)(void *), void *arg);

/*
 * close(fd), whatever it is and however long that takes; by closers (closer.h), or if there are
 * none by a thread. The number is free some time later.
 */
void errand_close(int fd);

/* The same for an owner of descriptors, see closer.h. */
void errand_close_for(unsigned owner, int fd);

/* How many have been begun and have not ended. */
unsigned errand_pending(void);
