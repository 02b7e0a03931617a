/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The queues of a network device. Workers use its rings through these queues.
 *
 * Threads: the control thread only. Workers see struct port and struct queue.
 */
#pragma once

#include "datapath/port.h"

struct net_device;

/*
 * Begin to use all active rings of the device, and update the queues of rings that are already in
 * use. Workers see this when the port is published.
 */
void net_queues_take(struct net_device *nd);

/* Stop using a ring, or all rings. */
void net_queues_drop(struct net_device *nd, unsigned index);
void net_queues_drop_all(struct net_device *nd);

/* Fill in the queues that take frames. NULL: the port is down. */
void net_queues_describe(struct net_device *nd, struct port *port);

/*
 * Ask the driver not to kick a queue that no worker polls. Does nothing during a postcopy
 * migration.
 */
void net_queues_disable_kicks(const struct net_device *nd, const struct queue *q);

/*
 * Check the egress queues that had no buffers when the port was published. If a queue has buffers
 * now, it gets frames from now on. Call this every few milliseconds; it takes little time.
 */
void net_queues_look_at_unused(struct net_device *nd);
