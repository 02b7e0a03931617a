/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Call drivers that want a call. A call tells a driver that buffers were used.
 *
 * First the used buffers must be visible to the driver. Then the worker may read whether the driver
 * wants a call. The barrier in between waits for all stores that are on their way to other cores,
 * which takes long. So the barrier and the check are made once per burst, for all queues that the
 * burst visited, and before full queues are tried again.
 *
 * A queue that several workers may write is different: it is checked at once, under the queue's
 * lock. The call is made after the unlock. If the switch has several workers, all egress queues are
 * such queues.
 */
#pragma once

#include "datapath/burst.h"
#include "datapath/queue.h"

/*
 * Does the driver want a call? The answer is counted here, because the lock also protects the
 * counters.
 */
static inline bool queue_decide_call(struct queue *q)
{
	if (!queue_wants_call(q)) {
		q->stats.calls_suppressed++;
		return false;
	}
	q->stats.calls++;
	return true;
}

/* Call the drivers of all queues that wait, if they want it. */
static inline void burst_notify(struct burst *b)
{
	if (b->n_notify == 0)
		return;
	vring_barrier();
	for (unsigned i = 0; i < b->n_notify; i++)
		if (queue_decide_call(b->notify[i]))
			b->notify[i]->ops->call(b, b->notify[i]);
	b->n_notify = 0;
}

/* Let a completed queue wait for burst_notify(). Only for queues that no other worker completes. */
static inline void queue_notify_later(struct burst *b, struct queue *q)
{
	if (UNLIKELY(b->n_notify == BURST_NOTIFY_MAX))
		burst_notify(b);
	b->notify[b->n_notify++] = q;
}

/* Unlock a completed queue that other workers may complete, too, and call its driver. */
static inline void queue_unlock_and_notify(struct burst *b, struct queue *q)
{
	bool wanted;

	vring_barrier();
	wanted = queue_decide_call(q);
	rte_spinlock_unlock(&q->lock);
	if (wanted)
		q->ops->call(b, q);
}
