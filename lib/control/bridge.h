/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bridges, for lib/control. What the management may do with bridges is in port_settings.h.
 *
 * Threads: the control thread only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/port_settings.h"
#include "datapath/forwarding.h"

struct bridge {
	struct bridge_config config;
	uint16_t number; /* in the forwarding; it can be used again */
	uint64_t id;     /* not 0; no other bridge ever has it */
	struct fdb *fdb;
	unsigned n_ports; /* also ports that are being removed */
	unsigned n_vlan;  /* ports of these that have a VLAN setting */
};

/* Make the default bridge. -EINVAL, -ENOMEM, or an errno of getrandom(2). */
int bridges_create(struct vswitch *sw, const struct bridge_config *config);

/* No worker uses the tables any more. */
void bridges_destroy(struct vswitch *sw);

/* Does the bridge look at tags? */
static inline bool bridge_has_vlans(const struct bridge *bridge)
{
	return bridge->n_vlan > 0;
}

/* Describe the bridges for a forwarding. Returns how many numbers there are. */
unsigned bridges_describe(const struct vswitch *sw, struct bridge_setup ret[BRIDGES_MAX]);

/*
 * The port has these VLANs in the bridge from now on, or no longer. Workers see it with the next
 * commit, together with all ports of the bridge that change because of it.
 */
void bridge_join(struct bridge *bridge, struct switch_port *sp);
void bridge_leave(struct bridge *bridge, struct switch_port *sp);

/* Drop entries that are too old: in all tables, one of `parts` parts of each. */
void bridges_age(struct vswitch *sw, unsigned parts);

/*
 * Drop entries of ports that are flushed, in about max_buckets buckets of all tables together.
 * False: nothing is left.
 */
bool bridges_flush_some(struct vswitch *sw, uint32_t max_buckets);

/* Does a table have entries of the port that are to be flushed? */
bool bridges_flush_pending(const struct vswitch *sw, uint16_t port);
