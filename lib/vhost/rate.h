/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How often a front-end may have the workers disturbed: RATE_PER_S a second in the long run,
 * RATE_BURST at once. 128 queue pairs that connect need about 800.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define RATE_PER_S 1000
#define RATE_BURST 4000

#define RATE_PERIOD_NS (UINT64_C(1000000000) / RATE_PER_S)

/* Zeroed: nothing has happened yet. */
struct rate {
	uint64_t until_ns; /* what has happened so far, evenly spread, would last until then */
};

/* It has happened n times more. */
static inline void rate_add(struct rate *rate, unsigned n, uint64_t now_ns)
{
	if (rate->until_ns < now_ns)
		rate->until_ns = now_ns;
	rate->until_ns += n * RATE_PERIOD_NS;
}

/* Is it to wait before it happens again? */
static inline bool rate_exceeded(const struct rate *rate, uint64_t now_ns)
{
	return rate->until_ns > now_ns + RATE_BURST * RATE_PERIOD_NS;
}
