/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/burst.h"

#include "base/util.h"

unsigned burst_run(struct burst *b, const struct forwarding *fwd, struct queue *source,
    uint32_t now_s, unsigned max)
{
	burst_begin(b, fwd, source);
	b->now_s = now_s;
	b->retries = BURST_RETRIES;
	b->work = BURST_WORK;
	b->flood = BURST_FLOOD;
	b->flood_next = source->flood_next;
	if (burst_fetch(b, max) == 0)
		return 0;
	if (READ_ONCE(source->enabled)) {
		burst_snapshot(b);
		if (UNLIKELY(b->policy->features))
			burst_classify(b);
		burst_lookup(b);
		burst_forward(b);
	} else {
		/* A started but disabled queue is drained (vhost-user, "Ring states"). */
		source->stats.drops[DROP_QUEUE_DISABLED] += b->n;
		source->flood_next = 0;
		b->bytes = 0;
	}
	burst_complete(b);
	return MAX(b->n, 1u);
}
