/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * Odd rings, which the guest sends on, are queues that one worker each polls; even rings that are
 * enabled are queues that any worker delivers to. A queue outlives its ring, for it has the
 * counters.
 *
 * A struct port does not change once workers may see it. Whatever happens to its rings makes
 * another one, which the next forwarding names. Workers on the old forwarding may see either
 * through queue->port: what they read there is the same in both, for what is negotiated changes
 * only while the port is down.
 *
 * A queue's own fields are written while no worker uses its ring. Those that change under a
 * worker's eyes are words by themselves: enabled and call_fd.
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
#include "vhost/journal.h"

/* A ring's queue, made the first time the ring is used. NULL: no memory. */
static struct queue *queue_get(struct vport *vp, unsigned index)
{
	struct queue *q = vp->queue[index];

	if (q)
		return q;
	q = aligned_alloc(CACHE_LINE, sizeof(*q));
	if (!q) {
		log_error("%s: no memory for ring %u, which stays unused", vp->path, index);
		return NULL;
	}
	*q = (struct queue){.vport = vp, .index = index, .call_fd = -1, .kick_fd = -1};
	rte_spinlock_init(&q->lock);
	vp->queue[index] = q;
	return q;
}

/* Nobody uses the ring yet. */
static void ring_take(struct vport *vp, unsigned index, struct vhost_vring *v)
{
	struct queue *q = queue_get(vp, index);

	if (!q)
		return;
	q->ring = &v->ring;
	q->call_fd = v->call_fd;
	q->miss_fd = watchdog_miss_fd(vp->sw->watchdog);
	q->shared = workers_count(vp->sw->workers) > 1;
	atomic_store(&q->call_left, false);
	vp->in[index] = true;
	vp->reported[index] = VRING_BREAK_NONE;
	/* It may be other memory now. */
	place_of(q)->node = NUMA_UNKNOWN;
	vswitch_disable_kicks(q);
}

/* Of a ring that may be in use. The kick is read anew with each forwarding. */
static void ring_refresh(struct queue *q, const struct vhost_vring *v)
{
	WRITE_ONCE(q->enabled, v->enabled);
	WRITE_ONCE(q->kick_fd, v->doorbell ? -1 : v->kick_fd);
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
		log_error("%s: out of memory: the port is down until its next change", vp->path);
		return NULL;
	}
	*port = (struct port){.index = vp->index, .calls = &vp->port_calls};
	net_device_describe(&vp->device, port);
	/* Odd rings are the guest's transmit queues (virtio 1.2, 5.1.2). */
	for (unsigned i = 0; i < VHOST_RINGS_MAX; i += 2) {
		if (vp->in[i] && vp->queue[i]->enabled && net_control_uses_pair(vp, i / 2))
			port->deliver[port->n_deliver++] = vp->queue[i];
	}
	return port;
}

void vport_renew(struct vport *vp)
{
	vp->replaced = vp->port;
	vp->port = any_in(vp) ? port_create(vp) : NULL;
	vp->n_polled = 0;
	for (unsigned i = 0; vp->port && i < VHOST_RINGS_MAX; i++) {
		if (vp->queue[i])
			__atomic_store_n(&vp->queue[i]->port, vp->port, __ATOMIC_RELEASE);
		if (vp->in[i] && i % 2)
			vp->polled[vp->n_polled++] = vp->queue[i];
	}
	scheduler_place(vp->sw->scheduler, vp);
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
	for (unsigned i = 0; i < VHOST_RINGS_MAX; i++)
		free(vp->queue[i]);
	free(vp->port);
	free(vp->path);
	free(vp);
}
