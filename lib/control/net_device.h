/* SPDX-License-Identifier: BSD-3-Clause */
/* The network device as a device type of lib/vhost: what it offers, how its rings become a port. */
#pragma once

#include "datapath/port.h"
#include "vhost/device.h"

/* What network devices offer, the same for all ports. */
struct net_offer {
	uint64_t features;  /* which of NET_FEATURES; net_features.h */
	bool memory_any;    /* map any file of a front-end, not only memory */
	bool record_events; /* record events of every ring; see virtio/vring_events.h */
	bool iommu;         /* offer VIRTIO_F_ACCESS_PLATFORM */
	bool inband;        /* offer notifications by messages */
	bool host_notifier; /* give guests pages to kick instead of eventfds */
	bool postcopy;      /* allow postcopy migration: a guest runs before its memory has come */
	unsigned queue_pairs; /* how many the configuration space tells drivers */
};

/* The opaque pointer of such a device is its struct vhost_port. */
extern const struct vhost_device_type net_device_type;

/* Fill in what follows from the negotiated features. This only changes while the port is down. */
void net_device_describe(const struct vhost_device *dev, struct port *port);
