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
	POLICY_VLAN = 1 << 0, /* the port's bridge has VLANs */
};

struct port_policy {
	uint32_t features;     /* enum policy_feature */
	struct vlan_port vlan; /* POLICY_VLAN */
};

/* No features. */
extern const struct port_policy port_policy_none;
