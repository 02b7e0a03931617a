/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How much time of the control thread the front-ends of one port use, over all connections. A
 * visit is one call in which the control thread serves a front-end.
 *
 * If several ports wait, the port that is due first is served first. A port is due later if its
 * visits are longer on average, or if it used more than a thousandth of the time. Suppose hundreds
 * of ports each use little time, and together all the time. Then they do not delay a port that uses
 * less than each of them. A port can be
 *
 *	busy	Its front-ends used more than a tenth of the time lately. Front-ends of ports that
 *		are not busy are served first.
 *	resting	Visits took long. The cause is nearly always something that the front-end
 *		shares with the switch: a socket with many watchers, or a file that others lock. The
 *		port is not served for 20 times the excess of these visits.
 *
 * Time in which a visit waits for workers is not counted, because another port may be the cause.
 * The visit of an honest front-end can take long, too, if the control thread loses its CPU. So the
 * first ALLOWANCE_FREE_NS of long visits have no effect. A visit counts as at most this time if it
 * is the only long visit in ALLOWANCE_ALONE_NS, and as at most ALLOWANCE_LONG_MAX_NS otherwise.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"

#define ALLOWANCE_BUSY_TIMES  10
#define ALLOWANCE_BUSY_NS     UINT64_C(20000000) /* that may be used at once */
#define ALLOWANCE_SHARES      1000               /* ports that may use an equal part of the time */
#define ALLOWANCE_DUE_MAX_NS  UINT64_C(10000000000) /* no port is due later than this */
#define ALLOWANCE_LONG_NS     UINT64_C(5000000)     /* the time of a visit beyond this is long */
#define ALLOWANCE_LONG_MAX_NS UINT64_C(250000000)
#define ALLOWANCE_LONG_TIMES  20
#define ALLOWANCE_FREE_NS     UINT64_C(20000000) /* long time that has no effect */
#define ALLOWANCE_ALONE_NS    UINT64_C(10000000000)

/* All zero: no time was used yet. */
struct allowance {
	/*
	 * Each visit moves these times on by the time that it took, times a constant. So the
	 * further they lie in the future, the more time was used.
	 */
	uint64_t share_until_ns, busy_until_ns, long_until_ns;
	uint64_t visit_ns; /* average time of the last few visits */
};

/* Count a visit. waited_ns: the part of its time in which it waited for workers. */
static inline void allowance_charge(
    struct allowance *a, uint64_t start_ns, uint64_t end_ns, uint64_t waited_ns)
{
	uint64_t took = end_ns - start_ns, most = ALLOWANCE_LONG_MAX_NS;

	a->visit_ns = (3 * a->visit_ns + took) / 4;
	a->share_until_ns = MAX(a->share_until_ns, start_ns) + took * ALLOWANCE_SHARES;
	a->share_until_ns = MIN(a->share_until_ns, end_ns + ALLOWANCE_DUE_MAX_NS);
	a->busy_until_ns = MAX(a->busy_until_ns, start_ns) + took * ALLOWANCE_BUSY_TIMES;
	took -= MIN(took, waited_ns);
	if (took <= ALLOWANCE_LONG_NS)
		return;
	if (a->long_until_ns + ALLOWANCE_ALONE_NS <= start_ns)
		most = ALLOWANCE_FREE_NS;
	took = MIN(took - ALLOWANCE_LONG_NS, most);
	a->long_until_ns = MAX(a->long_until_ns, start_ns) + took * ALLOWANCE_LONG_TIMES;
}

/* When the port is due if it waits from now on. */
static inline uint64_t allowance_due(const struct allowance *a, uint64_t now_ns)
{
	uint64_t due = MAX(a->share_until_ns, now_ns) + a->visit_ns * ALLOWANCE_SHARES;

	return MIN(due, now_ns + ALLOWANCE_DUE_MAX_NS);
}

static inline bool allowance_busy(const struct allowance *a, uint64_t now_ns)
{
	return a->busy_until_ns > now_ns + ALLOWANCE_BUSY_NS * ALLOWANCE_BUSY_TIMES;
}

/* How long the port must not be served. 0: it may be served now. */
static inline uint64_t allowance_rest(const struct allowance *a, uint64_t now_ns)
{
	uint64_t free_until = now_ns + ALLOWANCE_FREE_NS * ALLOWANCE_LONG_TIMES;

	return a->long_until_ns > free_until ? a->long_until_ns - free_until : 0;
}
