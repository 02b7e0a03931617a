/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control queue of a network device (virtio 1.2, 5.1.6.5), if the switch serves it and not the
 * front-end.
 *
 * Threads: the control thread. It spends a bounded part of its time here, whatever the guest does.
 */
#pragma once

#include <stdbool.h>

struct vhost_device;
struct vhost_vring;
struct net_device;

/*
 * Is this ring the control queue? If the front-end has its own configuration space, it does not
 * tell the switch about its control queue. If it uses the configuration space of the switch, it
 * starts one ring more than its pairs have; this is the control queue.
 */
bool net_control_is(const struct vhost_device *dev, unsigned index);

/*
 * Serve this ring as the control queue. NULL: serve none. To be called when workers begin to use
 * the port's rings.
 */
void net_control_start(struct net_device *nd, struct vhost_vring *ring);

/* Stop serving the ring, because it may change. The number of pairs stays. */
void net_control_pause(struct net_device *nd);

/* The front-end has disconnected. */
void net_control_forget(struct net_device *nd);

/* Does the driver use this pair of queues? */
bool net_control_uses_pair(const struct net_device *nd, unsigned pair);
