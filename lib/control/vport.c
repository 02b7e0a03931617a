/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The guest sends on odd rings: these are queues that one worker each polls. Even rings that are
 * enabled are queues to which any worker delivers. A queue outlives its ring, because it has the
 * counters.
 *
 * Front-ends enable all their pairs, but the driver may put buffers into some of them only: it uses
 * as many pairs as it has CPUs, or one pair until it has asked for more. Frames that the flow hash
 * sent to the others would be lost. So a deliver queue is used only after the driver has posted a
 * buffer there. If there is no such queue, the first one is used, and drops are counted there.
 * Rings that had no buffers yet are checked every few milliseconds, but not while a guest arrives
 * by postcopy migration: its pages may be missing, so its queues count as used.
 *
 * A struct port does not change after workers may see it. If its rings change, another struct port
 * is made, which the next forwarding refers to. Workers on the old forwarding may see either one
 * through queue->port. What they read there is the same in both, because what is negotiated changes
 * only while the port is down.
 *
 * The fields of a queue are written while no worker uses its ring, except enabled and call_fd.
 * These are single words and change at any time.
 *
 * Threads: the control thread.
 */
#include "control/vport.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/numa.h"
#include "control/net_device.h"
#include "control/vswitch.h"
#include "control/watchdog.h"
#include "vhost/call.h"
#include "vhost/journal.h"

/* After so many checks with some queues unused, this is logged. */
#define UNUSED_LOOKS 200

/* A ring's queue, made the first time the ring is used. NULL: no memory. */
static struct queue *queue_get(struct vport *vp, unsigned index)
{
	struct queue *q = vp->queue[index];

	if (q)
		return q;
	q = aligned_alloc(CACHE_LINE, sizeof(*q));
	if (!q) {
		vhost_tell(
		    &vp->device, LOG_ERROR, "no memory for ring %u, which stays unused", index);
		return NULL;
	}
	*q = (struct queue){.vport = vp, .index = index, .call_fd = -1};
	rte_spinlock_init(&q->lock);
	vp->queue[index] = q;
	return q;
}

/* Take a ring into use. No worker uses it yet. */
static void ring_take(struct vport *vp, unsigned index, struct vhost_vring *v)
{
	struct queue *q = queue_get(vp, index);

	if (!q)
		return;
	q->ring = &v->ring;
	q->events = vp->device.events[index];
	q->tenure++;
	q->flood_next = 0;
	q->call_fd = v->call_fd;
	q->call_trust = vhost_call_trust(&vp->device, index);
	q->miss_fd = watchdog_miss_fd(vp->sw->watchdog);
	q->shared = workers_count(vp->sw->workers) > 1;
	/* A call that a worker left when the ring ran before may not have been handed over. */
	v->call_owed |= atomic_exchange(&q->call_left, false);
	vp->in[index] = true;
	vp->used[index] = false;
	vp->reported[index] = VRING_BREAK_NONE;
	/* The ring may be in other memory now. */
	place_of(q)->node = NUMA_UNKNOWN;
	vswitch_disable_kicks(q);
}

/* Update the queue of a ring that may be in use. */
static void ring_refresh(struct queue *q, const struct vhost_vring *v)
{
	WRITE_ONCE(q->enabled, v->enabled);
}

void vport_take_rings(struct vport *vp)
{
	const struct vhost_device *dev = &vp->device;

	for (unsigned i = 0; i < dev->n_vrings; i++) {
		if (!dev->vring[i] || !dev->vring[i]->active || net_control_is(dev, i))
			continue; /* nothing for workers */
		if (!vp->in[i])
			ring_take(vp, i, dev->vring[i]);
		if (vp->in[i])
			ring_refresh(vp->queue[i], dev->vring[i]);
	}
}

void vport_drop_ring(struct vport *vp, unsigned index)
{
	vp->in[index] = false;
}

void vport_drop_rings(struct vport *vp)
{
	memset(vp->in, 0, sizeof(vp->in));
}

/* A ring that is not at the initial position had buffers before. */
static bool has_had_buffers(const struct vport *vp, unsigned index)
{
	const struct vring *vr = vp->queue[index]->ring;
	struct vring_position begin =
	    vring_position_initial(VIRTIO_HAS(vp->device.state.features, F_RING_PACKED));

	if (vp->used[index] || vp->device.postcopy.registered)
		return true;
	return vr->position->avail != begin.avail || vr->position->avail_wrap != begin.avail_wrap ||
	    vring_has_avail(vr);
}

static bool may_deliver(const struct vport *vp, unsigned index)
{
	return vp->in[index] && vp->queue[index]->enabled && net_control_uses_pair(vp, index / 2);
}

void vport_look_at_unused(struct vport *vp)
{
	if (vp->n_unused == 0)
		return;
	for (unsigned i = 0; i < VHOST_RINGS_MAX; i += 2) {
		if (may_deliver(vp, i) && !vp->used[i] && has_had_buffers(vp, i)) {
			vswitch_changed(vp);
			return;
		}
	}
	if (vp->n_unused < vp->n_enabled && ++vp->unused_looks == UNUSED_LOOKS)
		log_info("%s: %u of %u enabled receive queues have had no buffers from the driver "
			 "and are not used",
		    vp->path, vp->n_unused, vp->n_enabled);
}

static void add_deliver_queues(struct vport *vp, struct port *port)
{
	/* Odd rings are the guest's transmit queues (virtio 1.2, 5.1.2). */
	for (unsigned i = 0; i < VHOST_RINGS_MAX; i += 2) {
		if (!may_deliver(vp, i))
			continue; /* takes no frames */
		vp->used[i] = has_had_buffers(vp, i);
		vp->n_enabled++;
		if (vp->used[i])
			port->deliver[port->n_deliver++] = vp->queue[i];
		else
			vp->n_unused++;
	}
	for (unsigned i = 0; i < VHOST_RINGS_MAX && port->n_deliver == 0; i += 2) {
		if (may_deliver(vp, i))
			port->deliver[port->n_deliver++] = vp->queue[i];
	}
}

static bool any_in(const struct vport *vp)
{
	for (unsigned i = 0; i < VHOST_RINGS_MAX; i++) {
		if (vp->in[i])
			return true;
	}
	return false;
}

static struct port *port_create(struct vport *vp)
{
	struct port *port = aligned_alloc(CACHE_LINE, sizeof(*port));

	if (!port) {
		vhost_tell(&vp->device, LOG_ERROR,
		    "out of memory: the port is down until its next change");
		return NULL;
	}
	*port = (struct port){.index = vp->index, .calls = &vp->port_calls};
	net_device_describe(&vp->device, port);
	add_deliver_queues(vp, port);
	return port;
}

void vport_renew(struct vport *vp)
{
	vp->replaced = vp->port;
	vp->n_polled = vp->n_enabled = vp->n_unused = 0;
	vp->port = any_in(vp) ? port_create(vp) : NULL;
	for (unsigned i = 0; vp->port && i < VHOST_RINGS_MAX; i++) {
		if (vp->queue[i])
			__atomic_store_n(&vp->queue[i]->port, vp->port, __ATOMIC_RELEASE);
		if (vp->in[i] && i % 2)
			vp->polled[vp->n_polled++] = vp->queue[i];
	}
	scheduler_place(vp->sw->scheduler, vp);
	kicks_follow(vp);
}

void vport_settle(struct vport *vp)
{
	free(vp->replaced);
	vp->replaced = NULL;
}

void vport_destroy(struct vport *vp)
{
	if (!vp)
		return;
	vhost_journal_close(&vp->device);
	vhost_calls_end(&vp->device);
	for (unsigned i = 0; i < VHOST_RINGS_MAX; i++)
		free(vp->queue[i]);
	vhost_device_forget_events(&vp->device);
	free(vp->port);
	free(vp->path);
	free(vp);
}
