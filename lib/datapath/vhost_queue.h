/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Virtqueues as queues. If q->ring is not NULL, queue.h calls the functions below directly. The
 * other operations are in the table.
 */
#pragma once

#include "datapath/port.h"
#include "datapath/vhost_call.h"
#include "virtio/vring.h"
#include "virtio/vring_events.h"

extern const struct queue_ops vhost_queue_ops;

static inline struct vring *vhost_queue_ring(const struct queue *q)
{
	return q->ring;
}

/* Make it a queue of this ring. No worker may use the queue meanwhile. */
static inline void vhost_queue_set(struct queue *q, struct vring *ring)
{
	q->ops = &vhost_queue_ops;
	q->ring = ring;
}

static ALWAYS_INLINE void vhost_queue_tell_misses(struct queue *q, const struct vring *ring)
{
	if (UNLIKELY(ring->translated) && ring->translation.news)
		vhost_queue_write_misses(q);
}

static ALWAYS_INLINE unsigned vhost_queue_fetch(
    struct queue *q, struct vring_batch *batch, unsigned max)
{
	struct vring *ring = vhost_queue_ring(q);
	unsigned n = vring_fetch(ring, batch, max);

	vhost_queue_tell_misses(q, ring);
	return n;
}

static ALWAYS_INLINE void vhost_queue_unfetch(
    struct queue *q, struct vring_batch *batch, unsigned keep)
{
	vring_unfetch(vhost_queue_ring(q), batch, keep);
}

static ALWAYS_INLINE void vhost_queue_complete(struct queue *q, const struct vring_batch *batch)
{
	vring_complete(vhost_queue_ring(q), batch);
}

static ALWAYS_INLINE unsigned vhost_queue_reserve_alike(struct queue *q, struct vring_batch *batch,
    const struct vring_batch *from, int32_t more, unsigned n)
{
	struct vring *ring = vhost_queue_ring(q);

	n = vring_reserve_alike(ring, batch, from, more, n);
	vhost_queue_tell_misses(q, ring);
	return n;
}

static ALWAYS_INLINE unsigned vhost_queue_reserve_single(
    struct queue *q, struct vring_batch *batch, const uint32_t len[], unsigned n)
{
	struct vring *ring = vhost_queue_ring(q);

	n = vring_reserve_single(ring, batch, len, n);
	vhost_queue_tell_misses(q, ring);
	return n;
}

static ALWAYS_INLINE unsigned vhost_queue_reserve(struct queue *q, struct vring_batch *batch,
    const uint32_t len[], unsigned n, struct vring_reservation reserved[])
{
	struct vring *ring = vhost_queue_ring(q);

	n = vring_reserve(ring, batch, len, n, reserved);
	vhost_queue_tell_misses(q, ring);
	return n;
}

static inline bool vhost_queue_has_avail(struct queue *q)
{
	struct vring *ring = vhost_queue_ring(q);

	if (vring_has_avail(ring))
		return true;
	vring_note_full(ring);
	return false;
}

static ALWAYS_INLINE void vhost_queue_prefetch(const struct queue *q)
{
	vring_prefetch(vhost_queue_ring(q));
}

static ALWAYS_INLINE bool vhost_queue_wants_call(struct queue *q)
{
	if (READ_ONCE(q->call_fd) >= 0 && vring_call_wanted(vhost_queue_ring(q)))
		return true;
	if (UNLIKELY(q->events != NULL))
		vhost_queue_record_call(q, VRING_EVENT_CALL_UNWANTED);
	return false;
}
