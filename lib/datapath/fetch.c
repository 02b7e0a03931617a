/* SPDX-License-Identifier: BSD-3-Clause */
/* Stage 1: fetch the descriptors of the frames that the guest sends. */
#include "datapath/burst.h"
#include "datapath/notify.h"

unsigned burst_fetch(struct burst *b, unsigned max)
{
	vring_visit(&b->in);
	b->n = vring_fetch(b->source->ring, &b->in, max);
	queue_tell_misses(b->source);
	return b->n;
}
