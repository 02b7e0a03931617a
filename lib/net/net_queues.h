/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The queues of a network device: what workers see of its rings.
 *
 * Threads: the control thread only. Workers see struct port and struct queue.
 */
#pragma once

#include "datapath/port.h"

struct net_device;

/*
 * Take all active rings of the device into use, and update the queues of rings that are in use.
 * Workers see this when the port is published.
 */
void net_queues_take(struct net_device *nd);

/* Take a ring, or all rings, out of use. */
void net_queues_drop(struct net_device *nd, unsigned index);
void net_queues_drop_all(struct net_device *nd);

/* Fill in the queues that take frames. NULL: the port is down. */
void net_queues_describe(struct net_device *nd, struct port *port);

/*
 * Ask the driver of a queue that no worker polls not to kick. Does nothing if the guest still
 * arrives (postcopy).
 */
void net_queues_disable_kicks(const struct net_device *nd, const struct queue *q);

/*
 * Check the egress queues that had no buffers when the port was published. If a queue has buffers
 * now, it is used from now on. Cheap. Call this every few milliseconds.
 */
void net_queues_look_at_unused(struct net_device *nd);
