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
	struct port_config config; /* its path is in `path` */
	char *path;
};

/*
 * Make a port that is not part of the switch yet. config->name is set. On failure nothing is left,
 * fd is closed, and reason may say why. -ENOSPC: too many ports.
 */
int vhost_port_create(struct vswitch *sw, const struct port_config *config,
    struct switch_port **ret_port, char *reason, size_t size);

/* Port number index; NULL: there is none, it is of another kind, or it is being removed. */
struct vhost_port *vhost_port_at(const struct vswitch *sw, unsigned index);

/* The first vhost port from number *at on. *at becomes the number after it. NULL: no more. */
struct vhost_port *vhost_port_next(const struct vswitch *sw, unsigned *at);

/* The same with ports that are being removed. */
struct vhost_port *vhost_port_next_of_all(const struct vswitch *sw, unsigned *at);
