/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of virtqueues, and its rare operations. vhost_call.c has the calls. */
#include "datapath/vhost_queue.h"

#include "datapath/queue_ops.h"

static struct vring_peek more(const struct queue *q)
{
	return vhost_queue_ring(q)->more;
}

static enum drop_reason lack(const struct queue *q)
{
	const struct vring *ring = vhost_queue_ring(q);

	if (ring->broken)
		return DROP_RING_BROKEN;
	if (vring_stalled(ring))
		return DROP_IOTLB_MISS;
	return DROP_RING_FULL;
}

static bool kick_enable(const struct queue *q)
{
	return vring_kick_enable(vhost_queue_ring(q));
}

static void kick_disable(const struct queue *q)
{
	vring_kick_disable(vhost_queue_ring(q));
}

/*
 * If the ring waits for a translation, there is no word that shows the arrival of the translation.
 */
static bool peek(const struct queue *q, struct vring_peek *ret_peek)
{
	const struct vring *ring = vhost_queue_ring(q);

	if (vring_stalled(ring))
		return false;
	*ret_peek = vring_peek(ring);
	return true;
}

static void record(const struct queue *q, enum vring_event_kind kind, uint32_t value)
{
	vring_event_add(q->events, kind, vhost_queue_ring(q)->position, value);
}

const struct queue_ops vhost_queue_ops = {
    .fetch = vhost_queue_fetch,
    .unfetch = vhost_queue_unfetch,
    .complete = vhost_queue_complete,
    .has_avail = vhost_queue_has_avail,
    .more = more,
    .lack = lack,
    .prefetch = vhost_queue_prefetch,
    .wants_call = vhost_queue_wants_call,
    .call = vhost_queue_call,
    .kick_enable = kick_enable,
    .kick_disable = kick_disable,
    .peek = peek,
    .record = record,
};
