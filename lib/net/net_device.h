/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The virtio network device, a device type of lib/vhost. lib/net has its features, its queues (made
 * from its rings), its control queue, and the state that migrates with its guest.
 *
 * A network device knows the switch only through struct net_host.
 *
 * Threads: the control thread only. Workers see struct port and struct queue.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "datapath/port.h"
#include "net/net_control.h"
#include "vhost/device.h"

struct event_base;
struct fdb;
struct net_device;
struct workers;

/* What a network device offers its front-end and its driver. */
struct net_offer {
	uint64_t features;  /* which of NET_FEATURES; net_features.h */
	bool memory_any;    /* map any file of a front-end, not only memory */
	bool record_events; /* record events of every ring; see virtio/vring_events.h */
	bool iommu;         /* offer VIRTIO_F_ACCESS_PLATFORM */
	bool inband;        /* offer notifications by messages */
	bool host_notifier; /* give guests pages to kick instead of eventfds */
	bool postcopy;      /* allow postcopy migration: a guest runs before its memory has come */
	unsigned queue_pairs; /* how many the configuration space tells drivers */
	/*
	 * The largest that a front-end may set, and the guest's if it sets none. 0: what the
	 * front-end says. Longer frames of the guest are dropped.
	 */
	uint16_t mtu;
};

/*
 * The functions and data of the switch that network devices use. They are the same for all devices.
 */
struct net_host {
	struct event_base *base;
	struct workers *workers;
	int miss_fd; /* an eventfd that workers write if a ring waits for a translation */
	/*
	 * The queues have changed. Workers are told at the latest at the end of the event loop's
	 * turn.
	 */
	void (*changed)(struct net_device *nd);
	/*
	 * Tell the workers all changes now. Returns when no worker uses the old state. This is for
	 * changes that must be complete before the caller frees, unmaps or answers.
	 */
	void (*publish)(struct net_device *nd);
	/*
	 * The table of the port's addresses, and the domain of frames without a tag; VLAN_NONE: the
	 * port does not take such frames.
	 */
	struct fdb *(*table)(const struct net_device *nd, uint16_t *ret_domain);
	/* Which addresses the port may have. */
	void (*policy)(const struct net_device *nd, struct port_policy *ret);
	/* The queue has got another ring, which no worker uses yet. */
	void (*begins)(struct net_device *nd, struct queue *q);
	/*
	 * Send a frame in the port's name. -ENETDOWN: the port is down. Other errors as
	 * workers_inject().
	 */
	int (*send)(struct net_device *nd, const uint8_t *frame, uint32_t len);
};

struct net_device {
	struct vhost_device vhost; /* its opaque pointer is this structure */
	const struct net_host *host;
	struct net_offer offer;
	struct switch_port *owner; /* what struct queue says */
	uint16_t index;            /* of the port, in the address table */
	struct net_control control;
	bool in[VHOST_RINGS_MAX];             /* rings that workers may use */
	bool used[VHOST_RINGS_MAX];           /* egress rings that had buffers since in[] is true */
	struct queue *queue[VHOST_RINGS_MAX]; /* by ring; kept over reconnects, for its counters */
	unsigned n_enabled, n_unused; /* egress queues; how many of them had no buffers so far */
	unsigned unused_looks;        /* checks that found some of these unused, and others not */
};

/*
 * The caller has zeroed nd and filled in host, owner and index. name must outlive nd. 0 or a
 * negative errno.
 */
int net_device_init(struct net_device *nd, const struct net_offer *offer, const char *name);

/* No worker uses the queues any more. nd may be zeroed. */
void net_device_cleanup(struct net_device *nd);

/*
 * The port is being removed: workers use none of its queues when the port has been published again.
 * The front-end's messages must not be read any more.
 */
void net_device_leave(struct net_device *nd);

/* The number of the device's descriptors for closer.h, from the index of its port. */
unsigned net_device_closer(uint16_t index);

/* The front-end has disconnected. */
void net_device_forget(struct net_device *nd);

/* Fill in what workers must know, and the queues that take frames. NULL: the port is down. */
void net_device_describe(struct net_device *nd, struct port *port);
