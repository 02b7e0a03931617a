/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control queue of a network device whose front-end leaves it to us (virtio 1.2, 5.1.6.5).
 *
 * Threads: the control thread. Costs it a bounded share, whatever the guest does.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct event;
struct vhost_device;
struct vhost_vring;
struct vport;

struct net_control_counts {
	uint64_t commands; /* answered with OK */
	uint64_t refused;  /* answered with an error, or not possible to answer */
	uint64_t waits;    /* had to wait because there were too many */
};

/* Of one port. All zero: nothing has been handed over. */
struct net_control {
	struct vhost_vring *ring; /* that is served; NULL: none */
	struct event *kick;       /* NULL: no descriptor, the timer asks */
	struct event *timer;
	unsigned
	    pairs; /* whose receive queues the driver uses; 0: not known, all that are enabled */
	unsigned left; /* commands until window_ms is over */
	uint64_t window_ms;
	struct net_control_counts counts;
};

/*
 * Is this ring the control queue? A front-end that keeps the configuration space does not tell us
 * about its control queue. One that leaves it to us starts one ring more than there are for pairs.
 */
bool net_control_is(const struct vhost_device *dev, unsigned index);

/* Serve this ring, or none (NULL): called when the port's rings are taken into use. */
void net_control_start(struct vport *vp, struct vhost_vring *ring);

/* Leave the ring alone: it may change. What the driver has asked for stays. */
void net_control_pause(struct vport *vp);

/* The front-end has gone. */
void net_control_forget(struct vport *vp);

/* Does the driver use this pair? */
bool net_control_uses_pair(const struct vport *vp, unsigned pair);
