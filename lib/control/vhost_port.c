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
#include "control/vhost_port.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/numa.h"
#include "control/net_device.h"
#include "control/report_vhost.h"
#include "control/vswitch.h"
#include "control/watchdog.h"
#include "vhost/call.h"
#include "vhost/journal.h"

/* After so many checks with some queues unused, this is logged. */
#define UNUSED_LOOKS 200

static struct vhost_port *of(const struct switch_port *sp)
{
	return CONTAINER_OF(sp, struct vhost_port, port);
}

/* A ring's queue, made the first time the ring is used. NULL: no memory. */
static struct queue *queue_get(struct vhost_port *vp, unsigned index)
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
	*q = (struct queue){.owner = &vp->port, .index = index, .call_fd = -1};
	rte_spinlock_init(&q->lock);
	vp->queue[index] = q;
	return q;
}

/* A missing page of an arriving guest must not keep the control thread waiting. */
static void disable_kicks(const struct queue *q)
{
	if (!of(q->owner)->device.postcopy.registered)
		vring_kick_disable(q->ring);
}

/* Take a ring into use. No worker uses it yet. */
static void ring_take(struct vhost_port *vp, unsigned index, struct vhost_vring *v)
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
	q->miss_fd = watchdog_miss_fd(vp->port.sw->watchdog);
	q->shared = workers_count(vp->port.sw->workers) > 1;
	/* A call that a worker left when the ring ran before may not have been handed over. */
	v->call_owed |= atomic_exchange(&q->call_left, false);
	vp->in[index] = true;
	vp->used[index] = false;
	vp->reported[index] = VRING_BREAK_NONE;
	/* The ring may be in other memory now. */
	place_of(q)->node = NUMA_UNKNOWN;
	disable_kicks(q);
}

/* Update the queue of a ring that may be in use. */
static void ring_refresh(struct queue *q, const struct vhost_vring *v)
{
	WRITE_ONCE(q->enabled, v->enabled);
}

void vhost_port_take_rings(struct vhost_port *vp)
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

void vhost_port_drop_ring(struct vhost_port *vp, unsigned index)
{
	vp->in[index] = false;
}

void vhost_port_drop_rings(struct vhost_port *vp)
{
	memset(vp->in, 0, sizeof(vp->in));
}

/* A ring that is not at the initial position had buffers before. */
static bool has_had_buffers(const struct vhost_port *vp, unsigned index)
{
	const struct vring *vr = vp->queue[index]->ring;
	struct vring_position begin =
	    vring_position_initial(VIRTIO_HAS(vp->device.state.features, F_RING_PACKED));

	if (vp->used[index] || vp->device.postcopy.registered)
		return true;
	return vr->position->avail != begin.avail || vr->position->avail_wrap != begin.avail_wrap ||
	    vring_has_avail(vr);
}

static bool may_deliver(const struct vhost_port *vp, unsigned index)
{
	return vp->in[index] && vp->queue[index]->enabled && net_control_uses_pair(vp, index / 2);
}

void vhost_port_look_at_unused(struct vhost_port *vp)
{
	if (vp->n_unused == 0)
		return;
	for (unsigned i = 0; i < VHOST_RINGS_MAX; i += 2) {
		if (may_deliver(vp, i) && !vp->used[i] && has_had_buffers(vp, i)) {
			vswitch_changed(&vp->port);
			return;
		}
	}
	if (vp->n_unused < vp->n_enabled && ++vp->unused_looks == UNUSED_LOOKS)
		log_info("%s: %u of %u enabled receive queues have had no buffers from the driver "
			 "and are not used",
		    vp->port.name, vp->n_unused, vp->n_enabled);
}

static void add_deliver_queues(struct vhost_port *vp, struct port *port)
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

static struct queue *port_queue(const struct switch_port *sp, unsigned index)
{
	return of(sp)->queue[index];
}

static bool port_in_use(const struct switch_port *sp, unsigned index)
{
	return of(sp)->in[index];
}

static void describe(struct switch_port *sp, struct port *port)
{
	struct vhost_port *vp = of(sp);

	vp->n_enabled = vp->n_unused = 0;
	if (!port)
		return;
	port->calls = &vp->port_calls;
	net_device_describe(&vp->device, port);
	add_deliver_queues(vp, port);
}

/* No worker waits for kicks of a queue that it does not poll, or that has a doorbell. */
static int kick_fd(const struct switch_port *sp, const struct queue *q)
{
	const struct vhost_vring *v = of(sp)->device.vring[q->index];

	return v->doorbell ? -1 : v->kick_fd;
}

/* Drivers allocate a ring and its buffers on one node. The device area is what we write. */
static void *page(const struct queue *q)
{
	return of(q->owner)->device.vring[q->index]->config.device;
}

static void report(const struct switch_port *sp, json_t *port)
{
	report_vhost_port(of(sp), port);
}

static void report_queue(const struct queue *q, json_t *queue)
{
	report_vhost_queue(of(q->owner), q->index, queue);
}

static void stop(struct switch_port *sp)
{
	vhost_endpoint_destroy(of(sp)->endpoint);
	of(sp)->endpoint = NULL;
}

static void destroy(struct switch_port *sp)
{
	struct vhost_port *vp = of(sp);

	vhost_journal_close(&vp->device);
	vhost_calls_end(&vp->device);
	for (unsigned i = 0; i < VHOST_RINGS_MAX; i++)
		free(vp->queue[i]);
	vhost_device_forget_events(&vp->device);
	switch_port_cleanup(sp);
	free(vp);
}

_Static_assert(VHOST_RINGS_MAX == SWITCH_PORT_QUEUES, "a queue for each ring");

static const struct switch_port_ops vhost_port_ops = {
    .queue = port_queue,
    .in_use = port_in_use,
    .describe = describe,
    .kick_fd = kick_fd,
    .disable_kicks = disable_kicks,
    .page = page,
    .report = report,
    .report_queue = report_queue,
    .stop = stop,
    .destroy = destroy,
};

struct vhost_port *vhost_port_at(const struct vswitch *sw, unsigned index)
{
	struct switch_port *sp = sw->port[index];

	return sp->ops == &vhost_port_ops ? of(sp) : NULL;
}

struct vhost_port *vhost_port_next(const struct vswitch *sw, unsigned *at)
{
	struct vhost_port *vp = NULL;

	while (!vp && *at < sw->n_ports)
		vp = vhost_port_at(sw, (*at)++);
	return vp;
}

/* The journal is beside the socket, so that the next process that serves the socket finds it. */
static int journal_open(struct vhost_port *vp, const struct vhost_endpoint_config *endpoint)
{
	char *path = NULL;
	int err;

	if (endpoint->mode != VHOST_ENDPOINT_FD && asprintf(&path, "%s.rings", endpoint->path) < 0)
		return -ENOMEM;
	err = vhost_journal_open(&vp->device, path);
	free(path);
	return err;
}

static void connection_changed(struct vhost_device *dev, bool connected)
{
	struct vhost_port *vp = dev->opaque;

	vp->unused_looks = 0;
	if (connected) {
		tenant_arrived(vp);
		return;
	}
	tenant_left(vp);
	net_control_forget(vp);
	scheduler_forget(&vp->port);
}

static int device_init(struct vhost_port *vp)
{
	const struct net_offer *offer = &vp->port.sw->offer;

	vp->device.withheld = ~offer->features;
	vp->device.offer_iommu = offer->iommu;
	vp->device.offer_postcopy = offer->postcopy;
	vp->device.offer_doorbells = offer->host_notifier;
	vp->device.offer_inband = offer->inband;
	vp->device.memory_any = offer->memory_any;
	vp->device.record_events = offer->record_events;
	vp->device.owner = 1 + vp->port.index;
	vp->port.limit = &vp->device.limit;
	return vhost_device_init(&vp->device, &net_device_type, vp->port.name, vp);
}

int vhost_port_add(struct vswitch *sw, const struct vhost_endpoint_config *endpoint)
{
	struct vhost_endpoint_config config = *endpoint;
	struct vhost_port *vp = aligned_alloc(CACHE_LINE, sizeof(*vp));
	int err;

	if (!vp)
		return -ENOMEM;
	memset(vp, 0, sizeof(*vp));
	config.connection_changed = connection_changed;
	err = switch_port_init(&vp->port, &vhost_port_ops, sw, endpoint->path);
	if (!err)
		err = device_init(vp);
	if (!err)
		err = vhost_endpoint_create(sw->base, &config, &vp->device, &vp->endpoint);
	if (!err)
		err = journal_open(vp, endpoint);
	if (err) {
		stop(&vp->port);
		destroy(&vp->port);
		return err;
	}
	vswitch_attach(&vp->port);
	return 0;
}
