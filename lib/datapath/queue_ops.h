/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a kind of queue implements. See queue.h, which workers use.
 *
 * Threads: a queue has one user at a time, see struct queue.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "datapath/port.h"
#include "virtio/vring.h"
#include "virtio/vring_events.h"

struct burst;

struct queue_ops {
	/*
	 * Append at most max chains to the batch, as vring_fetch() does. Returns how many. If the
	 * batch is empty, set batch->single_segment: true if each chain i has segment i and no
	 * other segment.
	 */
	unsigned (*fetch)(struct queue *q, struct vring_batch *batch, unsigned max);
	/*
	 * Take back all chains of the batch except the first `keep` chains, because they were not
	 * used.
	 */
	void (*unfetch)(struct queue *q, struct vring_batch *batch, unsigned keep);
	/*
	 * All chains of the batch are done. Ingress queue: their memory is not used any more.
	 * Egress queue: send the first chain->written bytes of each chain, which are one frame.
	 */
	void (*complete)(struct queue *q, const struct vring_batch *batch);
	/* Is a chain available? If not, the queue stores its present state for more(). */
	bool (*has_avail)(struct queue *q);
	/* To be called if there were too few chains: find a word that shows when there are more. */
	struct vring_peek (*more)(const struct queue *q);
	/* Why were there too few chains? A reason of an egress queue. */
	enum drop_reason (*lack)(const struct queue *q);
	void (*prefetch)(const struct queue *q); /* what the next fetch reads first */
	/*
	 * wants_call: chains were completed since the last wants_call(). Must the other side be
	 * called? The caller has used vring_barrier() before. call: call the other side. The caller
	 * does not hold the queue's lock.
	 */
	bool (*wants_call)(struct queue *q);
	void (*call)(struct burst *b, struct queue *q);
	/*
	 * Ask the other side to kick if it has more frames, or not to kick. kick_enable() returns
	 * true if there are frames already.
	 */
	bool (*kick_enable)(const struct queue *q);
	void (*kick_disable)(const struct queue *q);
	/*
	 * Find a word of memory whose value changes when there are frames again, so that looking at
	 * the queue costs one load. False: the state of the queue has no such word now. Then each
	 * visit has to try a fetch.
	 */
	bool (*peek)(const struct queue *q, struct vring_peek *ret_peek);
	/* Record an event. Only called if q->events is not NULL. */
	void (*record)(const struct queue *q, enum vring_event_kind kind, uint32_t value);
};

static inline void queue_record(const struct queue *q, enum vring_event_kind kind, uint32_t value)
{
	if (UNLIKELY(q->events != NULL))
		q->ops->record(q, kind, value);
}
