/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is done with the frames that come from a port, besides forwarding them by their addresses.
 * A policy is a set of features. It does not change after it was published. Several ports can share
 * a policy. Without features the stage "classify" is left out (classify.c), and frames are looked
 * up by lookup.c; otherwise by lookup_policy.c.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bridge/vlan.h"

struct fdb;

enum policy_feature {
	POLICY_VLAN = 1 << 0,         /* the port's bridge has VLANs */
	POLICY_MAC_ALLOW = 1 << 1,    /* frames have one of these source addresses */
	POLICY_ISOLATED = 1 << 2,     /* no frames to or from other isolated ports */
	POLICY_DROP_UNKNOWN = 1 << 3, /* no unicast frames to unknown addresses */
	POLICY_MAC_LIMIT = 1 << 4,    /* at most so many addresses */
	POLICY_MAC_GUARD = 1 << 5,    /* no addresses of other ports */
	POLICY_STORM = 1 << 6,        /* so many flooded frames per second */
};

#define POLICY_MACS_MAX 64

/* Kinds of flooded frames. */
enum storm_kind { STORM_BROADCAST, STORM_MULTICAST, STORM_UNKNOWN, STORM_KINDS };

/*
 * How many frames of each kind have come: second << 32 | frames in this second. All workers that
 * poll a queue of the port change it.
 */
struct storm_count {
	_Atomic uint64_t window[STORM_KINDS];
};

struct port_policy {
	uint32_t features;               /* enum policy_feature */
	struct vlan_port vlan;           /* POLICY_VLAN */
	uint32_t mac_limit;              /* POLICY_MAC_LIMIT */
	uint32_t storm[STORM_KINDS];     /* POLICY_STORM: the most frames per second; 0: no limit */
	struct storm_count *storm_count; /* of the port; it changes while the policy is in use */
	unsigned n_allow;                /* POLICY_MAC_ALLOW */
	uint64_t allow[POLICY_MACS_MAX]; /* as mac_load() returns them */
};

/* Count a frame in second now_s. False: there were `most` frames in this second already. */
static inline bool storm_allows(_Atomic uint64_t *window, uint32_t most, uint32_t now_s)
{
	uint64_t was = atomic_load_explicit(window, memory_order_relaxed), is;

	do {
		/* The clock of another worker may be a little ahead. */
		if ((int32_t)(now_s - (uint32_t)(was >> 32)) > 0)
			is = (uint64_t)now_s << 32 | 1;
		else if ((uint32_t)was >= most)
			return false;
		else
			is = was + 1;
	} while (!atomic_compare_exchange_weak_explicit(
	    window, &was, is, memory_order_relaxed, memory_order_relaxed));
	return true;
}

/* Is it one of the source addresses of POLICY_MAC_ALLOW? mac: as mac_load() returns it. */
static inline bool policy_lists_mac(const struct port_policy *policy, uint64_t mac)
{
	for (unsigned k = 0; k < policy->n_allow; k++)
		if (policy->allow[k] == mac)
			return true;
	return false;
}

/*
 * Does the policy of port `self` let the port learn the address, as from a frame? An address that
 * the port has already may stay. Any thread.
 */
bool policy_may_learn(
    const struct port_policy *policy, const struct fdb *fdb, uint16_t self, uint64_t address);

/* No features. */
extern const struct port_policy port_policy_none;
