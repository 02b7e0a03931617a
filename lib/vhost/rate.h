/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How often a front-end may disturb the workers, that is, make them change what they poll:
 * RATE_PER_S times a second in the long run, RATE_BURST times at once. To connect 128 queue pairs
 * takes about 800.
 *
 * An announcement is a frame to every port, which takes a worker 30 to 60 us if there are 500. It
 * counts as RATE_ANNOUNCEMENT disturbances. QEMU sends five after a migration.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define RATE_PER_S        1000
#define RATE_BURST        4000
#define RATE_ANNOUNCEMENT 20

#define RATE_PERIOD_NS (UINT64_C(1000000000) / RATE_PER_S)

/* All zero: nothing was counted yet. */
struct rate {
	uint64_t until_ns; /* each disturbance moves this on by RATE_PERIOD_NS */
};

/* Count n times more. */
static inline void rate_add(struct rate *rate, unsigned n, uint64_t now_ns)
{
	if (rate->until_ns < now_ns)
		rate->until_ns = now_ns;
	rate->until_ns += n * RATE_PERIOD_NS;
}

/* Must the front-end wait before the next time? */
static inline bool rate_exceeded(const struct rate *rate, uint64_t now_ns)
{
	return rate->until_ns > now_ns + RATE_BURST * RATE_PERIOD_NS;
}
