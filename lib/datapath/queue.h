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
#include "datapath/queue_ops.h"
#include "datapath/vhost_queue.h"
#include "virtio/vring.h"

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

/*
 * For other kinds than virtqueues, made from fetch and unfetch. Buffers are not merged. A faulty
 * chain is used up like that of a virtqueue: it is completed with length 0, and the frame that
 * would have used it is dropped. This is all that it costs: later frames get the next chains. The
 * other queues of the port do not depend on it, and no flow moves to another queue.
 */
unsigned queue_reserve_alike_any(struct queue *q, struct vring_batch *batch,
    const struct vring_batch *from, int32_t more, unsigned n);
unsigned queue_reserve_single_any(
    struct queue *q, struct vring_batch *batch, const uint32_t len[], unsigned n);
unsigned queue_reserve_any(struct queue *q, struct vring_batch *batch, const uint32_t len[],
    unsigned n, struct vring_reservation reserved[]);

/*
 * Reserve buffers of an egress queue: vring_reserve_alike(), vring_reserve_single() and
 * vring_reserve() for all kinds.
 */
static ALWAYS_INLINE unsigned queue_reserve_alike(struct queue *q, struct vring_batch *batch,
    const struct vring_batch *from, int32_t more, unsigned n)
{
	return queue_is_vhost(q) ? vhost_queue_reserve_alike(q, batch, from, more, n)
				 : queue_reserve_alike_any(q, batch, from, more, n);
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

/* Count a dropped frame for which queue_reserve() decided neither OK nor NONE. */
static inline void queue_drop_unreserved(struct queue *q, enum vring_reserve_status status)
{
	q->stats.drops[status == VRING_RESERVE_TOO_SMALL ? DROP_TOO_SMALL : DROP_BAD_BUFFER]++;
}
