/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * Odd rings are ingress queues: one worker polls each of them. Even rings that are enabled are
 * egress queues: any worker puts frames into them. A queue outlives its ring, because it has the
 * counters.
 *
 * Front-ends enable all their pairs, but a driver may put buffers into some of them only: it uses
 * as many pairs as it has CPUs, or one pair until it has asked for more. Frames that the flow hash
 * sends to unused queues would be lost. So an egress queue gets frames only after the driver has
 * put a buffer into it. If no queue has had a buffer, the first queue is used, and drops are
 * counted there.
 *
 * Rings without buffers are checked again every few milliseconds. This is not done while a guest
 * arrives by postcopy migration, because pages of its rings may be missing. Then all its queues
 * count as used.
 *
 * A struct port does not change while workers may use it. If its rings change, a new struct port is
 * made for the next forwarding. Workers that use the old forwarding may find the old or the new
 * struct port through queue->port. Both have the same values in the fields that workers read there:
 * these depend on the negotiated features, which change only while the port is down.
 *
 * The fields of a queue are written while no worker uses its ring, except enabled and call_fd.
 * These are single words and change at any time.
 *
 * Threads: the control thread.
 */
#include "net/net_queues.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "datapath/queue.h"
#include "datapath/vhost_queue.h"
#include "net/net_control.h"
#include "net/net_data.h"
#include "vhost/call.h"
#include "worker/worker.h"

/* If some queues are still unused after so many checks, that is logged. */
#define UNUSED_LOOKS 200

/* A ring's queue, made the first time the ring is used. NULL: no memory. */
static struct queue *queue_get(struct net_device *nd, unsigned index)
{
	struct queue *q = nd->queue[index];

	if (q)
		return q;
	q = aligned_alloc(CACHE_LINE, sizeof(*q));
	if (!q) {
		vhost_tell(
		    &nd->vhost, LOG_ERROR, "no memory for ring %u, which stays unused", index);
		return NULL;
	}
	*q = (struct queue){.owner = nd->owner, .index = index, .call_fd = -1};
	rte_spinlock_init(&q->lock);
	nd->queue[index] = q;
	return q;
}

void net_queues_disable_kicks(const struct net_device *nd, const struct queue *q)
{
	/* A missing page must not keep the control thread waiting. */
	if (!nd->vhost.postcopy.registered)
		q->ops->kick_disable(q);
}

/* Begin to use a ring. No worker uses it yet. */
static void ring_take(struct net_device *nd, unsigned index, struct vhost_vring *v)
{
	struct queue *q = queue_get(nd, index);

	if (!q)
		return;
	vhost_queue_set(q, &v->ring);
	q->events = nd->vhost.events[index];
	q->tenure++;
	q->flood_next = 0;
	q->call_fd = v->call_fd;
	q->call_trust = vhost_call_trust(&nd->vhost, index);
	q->miss_fd = nd->host->miss_fd;
	q->shared = workers_count(nd->host->workers) > 1;
	/*
	 * A worker may have left a call to the control thread before the ring stopped, and no
	 * errand has made it.
	 */
	v->call_pending |= atomic_exchange(&q->call_left, false);
	nd->in[index] = true;
	nd->used[index] = false;
	nd->host->begins(nd, q);
	net_queues_disable_kicks(nd, q);
}

/* Update the queue of a ring that may be in use. */
static void ring_refresh(struct queue *q, const struct vhost_vring *v)
{
	WRITE_ONCE(q->enabled, v->enabled);
}

void net_queues_take(struct net_device *nd)
{
	const struct vhost_device *dev = &nd->vhost;

	for (unsigned i = 0; i < dev->n_vrings; i++) {
		if (!dev->vring[i] || !dev->vring[i]->active || net_control_is(dev, i))
			continue; /* nothing for workers */
		if (!nd->in[i])
			ring_take(nd, i, dev->vring[i]);
		if (nd->in[i])
			ring_refresh(nd->queue[i], dev->vring[i]);
	}
}

void net_queues_drop(struct net_device *nd, unsigned index)
{
	nd->in[index] = false;
}

void net_queues_drop_all(struct net_device *nd)
{
	memset(nd->in, 0, sizeof(nd->in));
}

/* Has the ring had buffers? If it is not at the initial position, it has. */
static bool has_had_buffers(const struct net_device *nd, unsigned index)
{
	const struct vring *vr = vhost_queue_ring(nd->queue[index]);
	struct vring_position begin =
	    vring_position_initial(VIRTIO_HAS(nd->vhost.state.features, F_RING_PACKED));

	if (nd->used[index] || nd->vhost.postcopy.registered)
		return true;
	return vr->position->avail != begin.avail || vr->position->avail_wrap != begin.avail_wrap ||
	    vring_has_avail(vr);
}

static bool takes_frames(const struct net_device *nd, unsigned index)
{
	return nd->in[index] && nd->queue[index]->enabled && net_control_uses_pair(nd, index / 2);
}

void net_queues_look_at_unused(struct net_device *nd)
{
	if (nd->n_unused == 0)
		return;
	for (unsigned i = 0; i < VHOST_RINGS_MAX; i += 2) {
		if (takes_frames(nd, i) && !nd->used[i] && has_had_buffers(nd, i)) {
			nd->host->changed(nd);
			return;
		}
	}
	if (nd->n_unused < nd->n_enabled && ++nd->unused_looks == UNUSED_LOOKS)
		log_info("%s: %u of %u enabled egress queues have had no buffers from the driver "
			 "and are not used",
		    nd->vhost.name, nd->n_unused, nd->n_enabled);
}

static void add_egress_queues(struct net_device *nd, struct port *port)
{
	/* Even rings are egress queues: the guest's receive queues (virtio 1.2, 5.1.2). */
	for (unsigned i = 0; i < VHOST_RINGS_MAX; i += 2) {
		if (!takes_frames(nd, i))
			continue; /* takes no frames */
		nd->used[i] = has_had_buffers(nd, i);
		nd->n_enabled++;
		if (nd->used[i])
			port->egress[port->n_egress++] = nd->queue[i];
		else
			nd->n_unused++;
	}
	for (unsigned i = 0; i < VHOST_RINGS_MAX && port->n_egress == 0; i += 2) {
		if (takes_frames(nd, i))
			port->egress[port->n_egress++] = nd->queue[i];
	}
}

void net_queues_describe(struct net_device *nd, struct port *port)
{
	nd->n_enabled = nd->n_unused = 0;
	if (port)
		add_egress_queues(nd, port);
}
