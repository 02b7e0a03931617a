/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kind of port that has a vhost-user front-end. It consists of a network device, its endpoint
 * (socket), and data about front-ends that is kept over connections.
 *
 * Threads: the control thread only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/calls.h"
#include "control/switch_port.h"
#include "control/address_owner.h"
#include "control/vswitch.h"
#include "datapath/port.h"
#include "net/net_device.h"
#include "vhost/endpoint.h"

struct vhost_port {
	struct switch_port port; /* this port, for the switch */
	struct port_calls port_calls CACHE_ALIGNED;
	struct vhost_endpoint *endpoint;
	struct net_device net;
	bool memory_lost;                  /* its memory is incomplete: drop the connection */
	uint8_t reported[VHOST_RINGS_MAX]; /* enum vring_break already logged */
	struct call_history calls;         /* how calls to its drivers went */
	struct address_owner address_owner;
};

/* Add a port to the switch. Errors are logged. -ENOSPC: too many ports. */
int vhost_port_add(struct vswitch *sw, const struct port_config *config);

/* Port number index of the switch; NULL: there is none, or it is of another kind. */
struct vhost_port *vhost_port_at(const struct vswitch *sw, unsigned index);

/* The first vhost port from number *at on. *at becomes the number after it. NULL: no more. */
struct vhost_port *vhost_port_next(const struct vswitch *sw, unsigned *at);
