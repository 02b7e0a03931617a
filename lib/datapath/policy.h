/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is done with the frames that come from a port, besides forwarding them by their addresses.
 * A policy is a set of features. It does not change after it was published. Several ports can share
 * a policy. Without features the stage "classify" is left out (classify.c), and frames are looked
 * up by lookup.c; otherwise by lookup_policy.c.
 */
#pragma once

#include <stdint.h>

#include "bridge/vlan.h"

enum policy_feature {
	POLICY_VLAN = 1 << 0,         /* the port's bridge has VLANs */
	POLICY_MAC_ALLOW = 1 << 1,    /* frames have one of these source addresses */
	POLICY_ISOLATED = 1 << 2,     /* no frames to or from other isolated ports */
	POLICY_DROP_UNKNOWN = 1 << 3, /* no unicast frames to unknown addresses */
	POLICY_MAC_LIMIT = 1 << 4,    /* at most so many addresses */
	POLICY_MAC_GUARD = 1 << 5,    /* no addresses of other ports that are up */
};

#define POLICY_MACS_MAX 64

struct port_policy {
	uint32_t features;               /* enum policy_feature */
	struct vlan_port vlan;           /* POLICY_VLAN */
	uint32_t mac_limit;              /* POLICY_MAC_LIMIT */
	unsigned n_allow;                /* POLICY_MAC_ALLOW */
	uint64_t allow[POLICY_MACS_MAX]; /* as mac_load() returns them */
};

/* No features. */
extern const struct port_policy port_policy_none;
