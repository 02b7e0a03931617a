/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For how long a thread has not run: the time on the clock minus the thread's CPU time. The
 * difference of two readings is how long the thread slept, waited or had lost its CPU between them.
 */
#pragma once

#include "base/clock.h"

#define OFF_CPU_TRIES 3
#define OFF_CPU_NS    20000 /* a reading has at most this error */

/*
 * How long the thread has not run, in ns, since a moment that is the same for all its readings. of:
 * the clock of its CPU time. -1: the calling thread lost its CPU in each attempt, so no reading was
 * exact enough.
 */
static inline int64_t off_cpu_ns(clockid_t of)
{
	for (unsigned try = 0; try < OFF_CPU_TRIES; try++) {
		int64_t before = clock_ns(), used = clock_read(of);

		/* syscalls(worker): clock_gettime */
		if (clock_ns() - before < OFF_CPU_NS)
			return before - used;
	}
	return -1;
}
