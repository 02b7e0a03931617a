/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A log-linear histogram: 32 steps to each power of two, so a value is known to 3 %, from 1 to
 * 2^64, in 16 KB. Recording is an increment; histograms of several runs are added up.
 */
#pragma once

#include <stdint.h>

#define HISTOGRAM_SUB     32u
#define HISTOGRAM_BUCKETS (60u * HISTOGRAM_SUB)

struct histogram {
	uint64_t n, min, max, sum;
	uint64_t count[HISTOGRAM_BUCKETS];
};

/* Values below 32 are exact; above, the highest set bit and the five bits after it decide. */
static inline unsigned histogram_bucket(uint64_t value)
{
	unsigned octave;

	if (value < HISTOGRAM_SUB)
		return value;
	octave = 63 - __builtin_clzll(value) - 4;
	return (uint64_t)octave * HISTOGRAM_SUB + ((value >> (octave - 1)) & (HISTOGRAM_SUB - 1));
}

static inline void histogram_add(struct histogram *h, uint64_t value)
{
	h->count[histogram_bucket(value)]++;
	h->sum += value;
	if (h->n++ == 0 || value < h->min)
		h->min = value;
	if (value > h->max)
		h->max = value;
}

void histogram_reset(struct histogram *h);
void histogram_merge(struct histogram *into, const struct histogram *from);

/* The least value that at least `part` (0 to 1) of all are not above, to 3 %; 0 when empty. */
uint64_t histogram_quantile(const struct histogram *h, double part);
