/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How much of the control thread's time the front-ends of one port may have, over all connections.
 * Two things follow from what they have had:
 *
 *	busy	It was more than a tenth of the time lately. Front-ends that are not busy are served
 *		first.
 *	rests	Single visits took long. What makes a visit long is nearly always something that the
 *		front-end shares with the switch: a socket with many watchers, a file that others
 *		lock. It is not served again before 20 times as long has passed.
 *
 * What a visit waited for workers does not make it long: another port may be the cause. And an
 * innocent front-end's visit takes long if the control thread loses its CPU meanwhile. So some
 * long visits are free, and no visit counts for more than ALLOWANCE_LONG_MAX_NS.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"

#define ALLOWANCE_BUSY_TIMES  10
#define ALLOWANCE_BUSY_NS     UINT64_C(20000000) /* that may be had at once */
#define ALLOWANCE_LONG_NS     UINT64_C(5000000)  /* what a visit takes beyond this counts as long */
#define ALLOWANCE_LONG_MAX_NS UINT64_C(250000000)
#define ALLOWANCE_LONG_TIMES  20
#define ALLOWANCE_FREE_NS     UINT64_C(20000000) /* of long visits */

/* Zeroed: nothing has been had yet. */
struct allowance {
	/* Until when the time that was had would last at the rate that is allowed. */
	uint64_t busy_until_ns, long_until_ns;
};

/* A visit; waited_ns of it for workers. */
static inline void allowance_charge(
    struct allowance *a, uint64_t start_ns, uint64_t end_ns, uint64_t waited_ns)
{
	uint64_t took = end_ns - start_ns;

	a->busy_until_ns = MAX(a->busy_until_ns, start_ns) + took * ALLOWANCE_BUSY_TIMES;
	took -= MIN(took, waited_ns);
	if (took <= ALLOWANCE_LONG_NS)
		return;
	took = MIN(took - ALLOWANCE_LONG_NS, ALLOWANCE_LONG_MAX_NS);
	a->long_until_ns = MAX(a->long_until_ns, start_ns) + took * ALLOWANCE_LONG_TIMES;
}

static inline bool allowance_busy(const struct allowance *a, uint64_t now_ns)
{
	return a->busy_until_ns > now_ns + ALLOWANCE_BUSY_NS * ALLOWANCE_BUSY_TIMES;
}

/* For how long is nothing of it to be served? 0: it may go on. */
static inline uint64_t allowance_rest(const struct allowance *a, uint64_t now_ns)
{
	uint64_t free_until = now_ns + ALLOWANCE_FREE_NS * ALLOWANCE_LONG_TIMES;

	return a->long_until_ns > free_until ? a->long_until_ns - free_until : 0;
}
