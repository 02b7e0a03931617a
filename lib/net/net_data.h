/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The data of a network device, which the files of lib/net share, and what the switch gives it.
 *
 * Threads: the control thread only. Workers see struct port and struct queue.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "datapath/port.h"
#include "vhost/device.h"

struct event;
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

struct net_control_counts {
	uint64_t commands; /* answered with OK */
	uint64_t refused;  /* answered with an error, or no buffer for the answer */
	uint64_t waits;    /* how often the queue had to rest */
};

/* The control queue of one port. All zero: the switch serves no control queue of this port. */
struct net_control {
	struct vhost_vring *ring; /* the ring that is served; NULL: none */
	struct event *kick;       /* NULL: there is no eventfd, the timer checks the ring */
	struct event *timer;
	unsigned pairs;     /* how many pairs the driver uses; 0: not known, all enabled pairs */
	unsigned left;      /* commands that may still be served in this window */
	uint64_t window_ms; /* when the window began */
	struct net_control_counts counts;
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
