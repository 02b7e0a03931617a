/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For how long a thread has not run: what time on the clock it has not used. Two readings tell how
 * much of the time between them a thread slept, waited, or had lost its CPU.
 */
#pragma once

#include "base/clock.h"

#define OFF_CPU_TRIES 3
#define OFF_CPU_NS    20000 /* a reading is as exact as this */

/*
 * In ns, from a beginning that is the same for all readings of a thread; of: the clock of its CPU
 * time. -1: it cannot be told now, for the one that asks lost its CPU.
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
