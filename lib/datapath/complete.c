/* SPDX-License-Identifier: BSD-3-Clause */
/* Stage 7: give the source its buffers back, count its frames, and call drivers. */
#include "datapath/burst.h"
#include "datapath/notify.h"
#include "datapath/queue.h"

void burst_complete(struct burst *b)
{
	struct queue *q = b->source;

	q->stats.frames += b->n;
	q->stats.bytes += b->bytes;
	if (LIKELY(b->n)) {
		queue_complete(q, &b->in);
		queue_notify_later(b, q);
	}
	burst_notify(b);
}
