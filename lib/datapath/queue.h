/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The operations of a worker on a queue, for all kinds of queues.
 *
 * A kind of queue is one file that defines a struct queue_ops. Most queues are virtqueues
 * (vhost_queue.h). For virtqueues a function below costs one predicted branch. For other kinds it
 * costs one indirect call per batch or visit, and none per frame. Rare operations go through the
 * table for all kinds.
 *
 * All kinds use the structures of virtio/vring.h: a batch has chains, and a chain has segments,
 * which are mapped memory. Chains of an ingress queue contain frames, and chains of an egress queue
 * are buffers for frames. Each frame begins with a net header of port->hdr_len bytes.
 *
 * Threads: a queue has one user at a time, see struct queue.
 */
#pragma once

#include "datapath/port.h"
#include "datapath/vhost_queue.h"
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

/* Is it a virtqueue? */
static ALWAYS_INLINE bool queue_is_vhost(const struct queue *q)
{
	return LIKELY(q->ring != NULL);
}

static ALWAYS_INLINE unsigned queue_fetch(struct queue *q, struct vring_batch *batch, unsigned max)
{
	return queue_is_vhost(q) ? vhost_queue_fetch(q, batch, max) : q->ops->fetch(q, batch, max);
}

static ALWAYS_INLINE void queue_unfetch(struct queue *q, struct vring_batch *batch, unsigned keep)
{
	if (queue_is_vhost(q))
		vhost_queue_unfetch(q, batch, keep);
	else
		q->ops->unfetch(q, batch, keep);
}

static ALWAYS_INLINE void queue_complete(struct queue *q, const struct vring_batch *batch)
{
	if (queue_is_vhost(q))
		vhost_queue_complete(q, batch);
	else
		q->ops->complete(q, batch);
}

static ALWAYS_INLINE bool queue_has_avail(struct queue *q)
{
	return queue_is_vhost(q) ? vhost_queue_has_avail(q) : q->ops->has_avail(q);
}

static ALWAYS_INLINE void queue_prefetch(const struct queue *q)
{
	if (queue_is_vhost(q))
		vhost_queue_prefetch(q);
	else
		q->ops->prefetch(q);
}

static ALWAYS_INLINE bool queue_wants_call(struct queue *q)
{
	return queue_is_vhost(q) ? vhost_queue_wants_call(q) : q->ops->wants_call(q);
}

static inline void queue_record(const struct queue *q, enum vring_event_kind kind, uint32_t value)
{
	if (UNLIKELY(q->events != NULL))
		q->ops->record(q, kind, value);
}

/*
 * For other kinds than virtqueues, made from fetch and unfetch. Buffers are not merged. A faulty
 * chain is used up like that of a virtqueue: it is completed with length 0, and the frame that
 * would have used it is dropped. This is all that it costs: later frames get the next chains. The
 * other queues of the port do not depend on it, and no flow moves to another queue.
 */
unsigned queue_reserve_alike_any(
    struct queue *q, struct vring_batch *batch, const struct vring_batch *from, unsigned n);
unsigned queue_reserve_single_any(
    struct queue *q, struct vring_batch *batch, const uint32_t len[], unsigned n);
unsigned queue_reserve_any(struct queue *q, struct vring_batch *batch, const uint32_t len[],
    unsigned n, struct vring_reservation reserved[]);

/*
 * Reserve buffers of an egress queue: vring_reserve_alike(), vring_reserve_single() and
 * vring_reserve() for all kinds.
 */
static ALWAYS_INLINE unsigned queue_reserve_alike(
    struct queue *q, struct vring_batch *batch, const struct vring_batch *from, unsigned n)
{
	return queue_is_vhost(q) ? vhost_queue_reserve_alike(q, batch, from, n)
				 : queue_reserve_alike_any(q, batch, from, n);
}

static ALWAYS_INLINE unsigned queue_reserve_single(
    struct queue *q, struct vring_batch *batch, const uint32_t len[], unsigned n)
{
	return queue_is_vhost(q) ? vhost_queue_reserve_single(q, batch, len, n)
				 : queue_reserve_single_any(q, batch, len, n);
}

static ALWAYS_INLINE unsigned queue_reserve(struct queue *q, struct vring_batch *batch,
    const uint32_t len[], unsigned n, struct vring_reservation reserved[])
{
	return queue_is_vhost(q) ? vhost_queue_reserve(q, batch, len, n, reserved)
				 : queue_reserve_any(q, batch, len, n, reserved);
}
