/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A port whose frames come from a vhost-user front-end: the kind with a network device, its
 * endpoint (socket), and what must be remembered of front-ends.
 *
 * Threads: the control thread only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/calls.h"
#include "control/net_control.h"
#include "control/switch_port.h"
#include "control/tenant.h"
#include "control/vswitch.h"
#include "datapath/port.h"
#include "vhost/device.h"
#include "vhost/endpoint.h"

struct vhost_port {
	struct switch_port port; /* this port, for the switch */
	struct port_calls port_calls CACHE_ALIGNED;
	struct vhost_endpoint *endpoint;
	struct vhost_device device;
	bool spoilt;                          /* its memory is incomplete: drop the connection */
	bool in[VHOST_RINGS_MAX];             /* rings that workers may use */
	bool used[VHOST_RINGS_MAX];           /* deliver rings that had buffers since they are in */
	struct queue *queue[VHOST_RINGS_MAX]; /* by ring; kept over reconnects, for its counters */
	uint8_t reported[VHOST_RINGS_MAX];    /* enum vring_break already logged */
	struct call_history calls;            /* how calls to its drivers went */
	struct net_control control;
	struct tenant tenant;
	unsigned n_enabled, n_unused; /* deliver queues; how many of them had no buffers so far */
	unsigned unused_looks;        /* checks that found some of these unused, and others not */
};

/* Add a port with this endpoint to the switch. Errors are logged. -ENOSPC: too many ports. */
int vhost_port_add(struct vswitch *sw, const struct vhost_endpoint_config *endpoint);

/* Port number index of the switch; NULL: it is of another kind. */
struct vhost_port *vhost_port_at(const struct vswitch *sw, unsigned index);

/* The first vhost port from number *at on. *at becomes the number after it. NULL: no more. */
struct vhost_port *vhost_port_next(const struct vswitch *sw, unsigned *at);

/*
 * Take all active rings of the device into use, and update the queues of rings that are in use.
 * Workers see this when the port is published.
 */
void vhost_port_take_rings(struct vhost_port *vp);

/* Take a ring, or all rings, out of use. */
void vhost_port_drop_ring(struct vhost_port *vp, unsigned index);
void vhost_port_drop_rings(struct vhost_port *vp);

/*
 * Check the deliver queues that had no buffers when the port was published. If a queue has buffers
 * now, it is used from now on. Cheap. Call this every few milliseconds.
 */
void vhost_port_look_at_unused(struct vhost_port *vp);
