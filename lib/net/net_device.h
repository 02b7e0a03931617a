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

#include <stdint.h>

#include "datapath/port.h"
#include "net/net_data.h"

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
