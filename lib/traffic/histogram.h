/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A log-linear histogram with 32 steps for each power of two, from 1 to 2^64. So values have an
 * error of at most 3 %. A histogram takes 16 KB. To record a value is one increment. Histograms of
 * several runs can be added.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define HISTOGRAM_SUB     32u
#define HISTOGRAM_BUCKETS (60u * HISTOGRAM_SUB)

struct histogram {
	uint64_t n, min, max, sum;
	uint64_t count[HISTOGRAM_BUCKETS];
};

/*
 * Values below 32 are exact. Above, the highest set bit and the five bits after it select the
 * bucket.
 */
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

/*
 * The quantile for a part (0 to 1) of all values, with an error of at most 3 %: the smallest value
 * that this part does not exceed. 0: the histogram is empty.
 */
uint64_t histogram_quantile(const struct histogram *h, double part);

/* Do enough values lie above this quantile (HISTOGRAM_BEYOND) to know it? */
#define HISTOGRAM_BEYOND 10
bool histogram_knows(const struct histogram *h, double part);
