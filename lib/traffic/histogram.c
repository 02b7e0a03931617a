/* SPDX-License-Identifier: BSD-3-Clause */
#include "traffic/histogram.h"

#include <math.h>
#include <string.h>

#include "base/util.h"

void histogram_reset(struct histogram *h)
{
	memset(h, 0, sizeof(*h));
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	if (from->n == 0)
		return;
	into->min = into->n ? MIN(into->min, from->min) : from->min;
	into->max = MAX(into->max, from->max);
	into->n += from->n;
	into->sum += from->sum;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->count[i] += from->count[i];
}

/* The highest value of a bucket. */
static uint64_t bucket_top(unsigned bucket)
{
	unsigned octave = bucket / HISTOGRAM_SUB;

	if (octave == 0)
		return bucket;
	return ((UINT64_C(1) * HISTOGRAM_SUB + bucket % HISTOGRAM_SUB + 1) << (octave - 1)) - 1;
}

bool histogram_knows(const struct histogram *h, double part)
{
	/* 1 - part has rounding errors: 10 of 10,000 are enough for 0.999. */
	return h->n * (1 - part) >= HISTOGRAM_BEYOND * (1 - 1e-9);
}

uint64_t histogram_quantile(const struct histogram *h, double part)
{
	uint64_t rank = MAX(ceil(part * h->n), 1), seen = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->count[i];
		if (seen >= rank)
			return MAX(MIN(bucket_top(i), h->max), h->min);
	}
	return h->max;
}
