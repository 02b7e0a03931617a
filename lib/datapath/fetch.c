/* SPDX-License-Identifier: BSD-3-Clause */
/* Stage 1: fetch the descriptors of the frames that the guest sends. */
#include "datapath/burst.h"
#include "datapath/queue.h"

unsigned burst_fetch(struct burst *b, unsigned max)
{
	vring_visit(&b->in);
	b->n = queue_fetch(b->source, &b->in, max);
	return b->n;
}

void burst_give_back(struct burst *b, unsigned n)
{
	queue_unfetch(b->source, &b->in, n);
	b->n = n;
}
