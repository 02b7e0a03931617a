/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The network device's type: what it offers, and how the rings that lib/vhost has brought to life
 * become a port. Odd rings, which the guest sends on, are queues that one worker each polls; even
 * rings that are enabled are queues that any worker delivers to. A queue outlives its ring, for it
 * keeps the books.
 *
 * Pause and resume take the port out of the workers' forwarding and put it in again, which takes a
 * new forwarding each. What need not stop the rings (the dirty log) only waits for the bursts in
 * hand. Announcements are frames that a worker sends in the port's name.
 *
 * Threads: control thread. Nothing that a front-end says gets here unchecked by lib/vhost, but for
 * addresses, which are checked here.
 */
#include "control/net_device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "bridge/fdb.h"
#include "bridge/rarp.h"
#include "control/net_features.h"
#include "control/net_state.h"
#include "control/vswitch.h"
#include "control/watchdog.h"
#include "virtio/vhost_user.h"

#define MTU_MIN     68
#define MTU_DEFAULT 1500

#define NET_PROTOCOL_FEATURES \
	((1ULL << VHOST_USER_PROTOCOL_F_MQ) | (1ULL << VHOST_USER_PROTOCOL_F_REPLY_ACK) | \
	    (1ULL << VHOST_USER_PROTOCOL_F_NET_MTU) | (1ULL << VHOST_USER_PROTOCOL_F_RARP) | \
	    (1ULL << VHOST_USER_PROTOCOL_F_DEVICE_STATE) | \
	    (1ULL << VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS) | \
	    (1ULL << VHOST_USER_PROTOCOL_F_STATUS) | (1ULL << VHOST_USER_PROTOCOL_F_BACKEND_REQ) | \
	    (1ULL << VHOST_USER_PROTOCOL_F_BACKEND_SEND_FD) | \
	    (1ULL << VHOST_USER_PROTOCOL_F_CONFIG) | \
	    (1ULL << VHOST_USER_PROTOCOL_F_RESET_DEVICE) | \
	    (1ULL << VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD) | \
	    (1ULL << VHOST_USER_PROTOCOL_F_HOST_NOTIFIER) | \
	    (1ULL << VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS) | \
	    (1ULL << VHOST_USER_PROTOCOL_F_PAGEFAULT))

/* Feature bit a driver negotiates -> what frames it accepts unfinished. */
static const struct {
	uint64_t feature;
	uint32_t accepts;
} accept_table[] = {
    {VIRTIO_BIT(NET_F_GUEST_CSUM), OFFLOAD_CSUM},
    {VIRTIO_BIT(NET_F_GUEST_TSO4), OFFLOAD_TSO4},
    {VIRTIO_BIT(NET_F_GUEST_TSO6), OFFLOAD_TSO6},
    {VIRTIO_BIT(NET_F_GUEST_ECN), OFFLOAD_ECN},
    {VIRTIO_BIT(NET_F_GUEST_UFO), OFFLOAD_UFO},
    {VIRTIO_BIT(NET_F_GUEST_USO4), OFFLOAD_USO4},
    {VIRTIO_BIT(NET_F_GUEST_USO6), OFFLOAD_USO6},
};

static uint32_t offloads_accepted(uint64_t features)
{
	uint32_t accepts = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(accept_table); i++)
		if (features & accept_table[i].feature)
			accepts |= accept_table[i].accepts;
	return accepts;
}

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
	*q = (struct queue){.port = &vp->port, .index = index, .call_fd = -1, .kick_fd = -1};
	rte_spinlock_init(&q->lock);
	vp->queue[index] = q;
	return q;
}

static void ring_take(struct vport *vp, unsigned index, struct vhost_vring *v)
{
	struct port *port = &vp->port;
	struct queue *q;

	if (v == vp->control.ring)
		return; /* no worker's */
	q = queue_get(vp, index);
	if (!q)
		return;
	q->ring = &v->ring;
	q->enabled = v->enabled;
	q->call_fd = v->call_fd;
	q->miss_fd = watchdog_miss_fd(vp->sw->watchdog);
	q->kick_fd = v->doorbell ? -1 : v->kick_fd;
	q->shared = workers_count(vp->sw->workers) > 1;
	atomic_store(&q->call_left, false);
	vp->reported[index] = VRING_BREAK_NONE;
	vswitch_disable_kicks(q);
	/* Odd rings are the guest's transmit queues (virtio 1.2, 5.1.2). */
	if (index % 2)
		vp->polled[vp->n_polled++] = q;
	else if (v->enabled && net_control_uses_pair(vp, index / 2))
		port->deliver[port->n_deliver++] = q;
}

static void net_pause(struct vhost_device *dev)
{
	struct vport *vp = dev->opaque;

	vp->up = false;
	net_control_pause(vp);
	vswitch_republish(vp->sw);
}

/* Say that mac is behind this port now, by a frame that comes from it. */
static int net_announce(struct vhost_device *dev, const uint8_t mac[6])
{
	struct vport *vp = dev->opaque;
	uint64_t address = mac_load(mac);
	uint8_t frame[RARP_FRAME_LEN];

	if (address == 0 || mac_is_group(address))
		return -EINVAL;
	rarp_build(frame, mac);
	for (unsigned i = 0; vp->up && i < vp->n_polled; i++)
		if (vp->polled[i]->enabled)
			return workers_inject(vp->sw->workers, vp->polled[i]->worker,
			    vp->port.index, frame, sizeof(frame));
	return -ENETDOWN;
}

static void net_synchronize(struct vhost_device *dev)
{
	const struct vport *vp = dev->opaque;

	workers_synchronize(vp->sw->workers);
}

/* The control queue, if there is one for us and it runs. */
static struct vhost_vring *control_ring(const struct vhost_device *dev)
{
	unsigned last = dev->n_vrings - 1;

	return dev->vring[last] && dev->vring[last]->active && net_control_is(dev, last)
	    ? dev->vring[last]
	    : NULL;
}

static void net_resume(struct vhost_device *dev)
{
	struct vport *vp = dev->opaque;
	uint64_t features = dev->state.features;
	struct port *port = &vp->port;

	port->hdr_len = virtio_net_hdr_len(features);
	port->sends_offload = VIRTIO_HAS(features, NET_F_CSUM);
	port->accepts = offloads_accepted(features);
	port->mtu = VIRTIO_HAS(features, NET_F_MTU) ? dev->state.mtu : 0;
	port->n_deliver = 0;
	vp->n_polled = 0;
	net_control_start(vp, control_ring(dev));
	for (unsigned i = 0; i < dev->n_vrings; i++)
		if (dev->vring[i] && dev->vring[i]->active)
			ring_take(vp, i, dev->vring[i]);
	scheduler_place(vp->sw->scheduler, vp);
	vp->up = vhost_device_active(dev);
	vswitch_republish(vp->sw);
}

/* 5.1.2: receiveq1, transmitq1, receiveq2, ..., and the control queue. */
static enum vring_direction net_ring_direction(const struct vhost_device *dev, unsigned index)
{
	if (net_control_is(dev, index))
		return VRING_REQUEST;
	return index % 2 ? VRING_TRANSMIT : VRING_RECEIVE;
}

static int net_set_mtu(struct vhost_device *dev, uint16_t mtu)
{
	(void)dev;
	return mtu < MTU_MIN ? -EINVAL : 0;
}

/* What a driver reads when the front-end leaves the configuration space to us. */
static void net_get_config(struct vhost_device *dev, uint8_t *space)
{
	const struct vport *vp = dev->opaque;
	struct virtio_net_config config = {
	    .status = VIRTIO_NET_S_LINK_UP,
	    .max_virtqueue_pairs = vp->sw->queue_pairs,
	    .mtu = dev->state.mtu ? dev->state.mtu : MTU_DEFAULT,
	};

	memcpy(space, &config, sizeof(config));
}

const struct vhost_device_type net_device_type = {
    .name = "net",
    .feature_prefix = "NET_",
    .features = NET_FEATURES,
    .protocol_features = NET_PROTOCOL_FEATURES,
    .n_rings = VHOST_RINGS_MAX,
    .ring_direction = net_ring_direction,
    .pause = net_pause,
    .resume = net_resume,
    .synchronize = net_synchronize,
    .set_mtu = net_set_mtu,
    .config_size = sizeof(struct virtio_net_config),
    .get_config = net_get_config,
    .announce = net_announce,
    .save = net_state_save,
    .load = net_state_load,
};
