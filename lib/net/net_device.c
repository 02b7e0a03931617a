/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The type of network devices: their features, and the callbacks by which lib/vhost tells the
 * workers of started, changed and stopped rings.
 *
 * A pause publishes a forwarding without the port, or without one of its rings. It returns when no
 * worker uses the old forwarding. All other changes of the forwarding are collected. They are
 * published together just before the next answer to the front-end, at the latest at the end of the
 * event loop's turn. Two changes need no new forwarding: a new dirty log and a new eventfd for
 * calls. They only wait until the bursts end that run now.
 *
 * An announcement is a frame that a worker handles as if the port's guest had sent it.
 *
 * Threads: the control thread. lib/vhost has checked all values of the front-end, except MAC
 * addresses and the MTU. These are checked here.
 */
#include "net/net_device.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "bridge/fdb.h"
#include "bridge/rarp.h"
#include "net/net_control.h"
#include "net/net_features.h"
#include "net/net_queues.h"
#include "net/net_state.h"
#include "vhost/call.h"
#include "vhost/journal.h"
#include "virtio/vhost_user.h"
#include "worker/worker.h"

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

/* If a driver negotiates the feature, it accepts frames that need the offload. */
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

/*
 * Fill in the fields of port that depend on the negotiated features. They change only while the
 * port is down.
 */
static void describe_features(const struct net_device *nd, struct port *port)
{
	const struct vhost_device *dev = &nd->vhost;
	uint64_t features = dev->state.features;

	port->hdr_len = virtio_net_hdr_len(features);
	port->sends_offload = VIRTIO_HAS(features, NET_F_CSUM);
	port->accepts = offloads_accepted(features);
	port->mtu = VIRTIO_HAS(features, NET_F_MTU) ? dev->state.mtu : 0;
	if (port->mtu == 0)
		port->mtu = nd->offer.mtu;
}

void net_device_describe(struct net_device *nd, struct port *port)
{
	if (port)
		describe_features(nd, port);
	net_queues_describe(nd, port);
}

/* The change is published at once, because the caller unmaps memory next. */
static void net_pause(struct vhost_device *dev)
{
	struct net_device *nd = dev->opaque;

	net_control_pause(nd);
	net_queues_drop_all(nd);
	nd->host->changed(nd);
	nd->host->publish(nd);
}

/*
 * The change is published at once, because the caller changes the ring or closes its descriptors
 * next.
 */
static void net_pause_ring(struct vhost_device *dev, unsigned index)
{
	struct net_device *nd = dev->opaque;

	if (dev->vring[index] == nd->control.ring) {
		net_control_pause(nd);
		return;
	}
	net_queues_drop(nd, index);
	nd->host->changed(nd);
	nd->host->publish(nd);
}

/*
 * The ring of the control queue. NULL: the front-end serves the control queue itself, or the ring
 * is not active.
 */
static struct vhost_vring *control_ring(const struct vhost_device *dev)
{
	unsigned last = dev->n_vrings - 1;

	return dev->vring[last] && dev->vring[last]->active && net_control_is(dev, last)
	    ? dev->vring[last]
	    : NULL;
}

static void net_resume(struct vhost_device *dev)
{
	struct net_device *nd = dev->opaque;

	net_control_start(nd, control_ring(dev));
	net_queues_take(nd);
	nd->host->changed(nd);
}

/* The changes are published now, because the front-end is answered next. */
static void net_commit(struct vhost_device *dev)
{
	struct net_device *nd = dev->opaque;

	nd->host->publish(nd);
}

/* Announce that mac is behind this port now, by a frame from mac. */
static int net_announce(struct vhost_device *dev, const uint8_t mac[6])
{
	struct net_device *nd = dev->opaque;
	uint64_t address = mac_load(mac);
	uint8_t frame[RARP_FRAME_LEN];

	if (address == 0 || mac_is_group(address))
		return -EINVAL;
	rarp_build(frame, mac);
	/* A worker that does not know the port yet would lose the frame. */
	nd->host->publish(nd);
	return nd->host->send(nd, frame, sizeof(frame));
}

static void net_synchronize(struct vhost_device *dev)
{
	const struct net_device *nd = dev->opaque;

	workers_synchronize(nd->host->workers);
}

static void net_set_call(struct vhost_device *dev, unsigned index)
{
	const struct net_device *nd = dev->opaque;
	struct queue *q = nd->queue[index];

	if (!nd->in[index])
		return;
	/*
	 * This store comes after vhost_call_replaced(). So a worker that sees the new fd also sees
	 * that it may be slow.
	 */
	__atomic_store_n(&q->call_fd, dev->vring[index]->call_fd, __ATOMIC_RELEASE);
	workers_synchronize(nd->host->workers);
}

/* virtio 1.2, 5.1.2: receiveq1, transmitq1, receiveq2, ..., and the control queue. */
static enum vring_direction net_ring_direction(const struct vhost_device *dev, unsigned index)
{
	if (net_control_is(dev, index))
		return VRING_REQUEST;
	return index % 2 ? VRING_TRANSMIT : VRING_RECEIVE;
}

static int net_set_mtu(struct vhost_device *dev, uint16_t mtu)
{
	const struct net_device *nd = dev->opaque;
	uint16_t most = nd->offer.mtu ? nd->offer.mtu : UINT16_MAX;

	return mtu < MTU_MIN || mtu > most ? -EINVAL : 0;
}

/* Fill in the configuration space. A driver reads it if its front-end has none of its own. */
static void net_get_config(struct vhost_device *dev, uint8_t *space)
{
	const struct net_device *nd = dev->opaque;
	struct virtio_net_config config = {
	    .status = VIRTIO_NET_S_LINK_UP,
	    .max_virtqueue_pairs = nd->offer.queue_pairs,
	    .mtu = nd->offer.mtu ? nd->offer.mtu : MTU_DEFAULT,
	};

	if (dev->state.mtu)
		config.mtu = dev->state.mtu;
	memcpy(space, &config, sizeof(config));
}

static const struct vhost_device_type net_device_type = {
    .name = "net",
    .feature_prefix = "NET_",
    .features = NET_FEATURES,
    .protocol_features = NET_PROTOCOL_FEATURES,
    .n_rings = VHOST_RINGS_MAX,
    .ring_direction = net_ring_direction,
    .pause = net_pause,
    .pause_ring = net_pause_ring,
    .resume = net_resume,
    .commit = net_commit,
    .set_call = net_set_call,
    .synchronize = net_synchronize,
    .set_mtu = net_set_mtu,
    .config_size = sizeof(struct virtio_net_config),
    .get_config = net_get_config,
    .announce = net_announce,
    .save = net_state_save,
    .load = net_state_load,
};

unsigned net_device_closer(uint16_t index)
{
	return 1 + index;
}

int net_device_init(struct net_device *nd, const struct net_offer *offer, const char *name)
{
	struct vhost_device *dev = &nd->vhost;

	nd->offer = *offer;
	dev->withheld = ~offer->features;
	dev->offer_iommu = offer->iommu;
	dev->offer_postcopy = offer->postcopy;
	dev->offer_doorbells = offer->host_notifier;
	dev->offer_inband = offer->inband;
	dev->memory_any = offer->memory_any;
	dev->record_events = offer->record_events;
	dev->owner = net_device_closer(nd->index);
	return vhost_device_init(dev, &net_device_type, name, nd);
}

void net_device_leave(struct net_device *nd)
{
	net_control_pause(nd);
	net_queues_drop_all(nd);
}

void net_device_forget(struct net_device *nd)
{
	nd->unused_looks = 0;
	net_control_forget(nd);
}

void net_device_cleanup(struct net_device *nd)
{
	vhost_journal_close(&nd->vhost);
	vhost_calls_end(&nd->vhost);
	for (unsigned i = 0; i < VHOST_RINGS_MAX; i++)
		free(nd->queue[i]);
	vhost_device_forget_events(&nd->vhost);
}
