/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * Settings are checked as a whole before anything changes. Then static addresses are set, which can
 * fail if another port has one of them; if so, those set before are removed again. The rest cannot
 * fail. switch_port.c makes a struct port_policy of the settings each time the port is published.
 *
 * Addresses that were learned in another bridge or VLAN must be forgotten. Workers learn by the old
 * settings until the commit, so the flush begins after it (port_settings_committed()).
 *
 * Threads: the control thread.
 */
#include "control/port_settings.h"

#include <errno.h>
#include <string.h>

#include "bridge/fdb.h"
#include "control/bridge.h"
#include "control/switch_port.h"
#include "control/vswitch.h"

static bool mac_valid(const uint8_t mac[6])
{
	uint64_t number = mac_load(mac);

	return number != 0 && !mac_is_group(number);
}

static int check_macs(
    const struct switch_port *sp, const struct port_settings *s, struct port_fault *fault)
{
	if (s->n_mac_allow > PORT_MACS_ALLOW_MAX)
		return vswitch_refuse(fault, -EINVAL, "mac_allow",
		    "%s: more than %u allowed addresses", sp->name, PORT_MACS_ALLOW_MAX);
	for (unsigned i = 0; i < s->n_mac_allow; i++)
		if (!mac_valid(s->mac_allow[i].mac))
			return vswitch_refuse(fault, -EINVAL, "mac_allow",
			    "%s: allowed address %u is 0 or a group address", sp->name, i + 1);
	if (s->n_mac_static > PORT_MACS_STATIC_MAX)
		return vswitch_refuse(fault, -EINVAL, "mac_static",
		    "%s: more than %u static addresses", sp->name, PORT_MACS_STATIC_MAX);
	for (unsigned i = 0; i < s->n_mac_static; i++)
		if (!mac_valid(s->mac_static[i].mac) || s->mac_static[i].vlan > VLAN_MAX)
			return vswitch_refuse(fault, -EINVAL, "mac_static",
			    "%s: static address %u is 0 or a group address, or its VLAN is not 0 "
			    "to %u",
			    sp->name, i + 1, VLAN_MAX);
	return 0;
}

static struct bridge *find_bridge(const struct switch_port *sp, const struct port_settings *s)
{
	bool ends = memchr(s->bridge, '\0', sizeof(s->bridge));

	return ends ? vswitch_bridge_find(sp->sw, s->bridge) : NULL;
}

static int check(
    const struct switch_port *sp, const struct port_settings *s, struct port_fault *fault)
{
	if (!vlan_config_valid(&s->vlan))
		return vswitch_refuse(fault, -EINVAL, "vlan",
		    "%s: a VLAN is not %u to %u, or a TPID is not 0x8100 or 0x88a8", sp->name,
		    VLAN_MIN, VLAN_MAX);
	if (s->storm_broadcast > PORT_STORM_MAX || s->storm_multicast > PORT_STORM_MAX ||
	    s->storm_unknown > PORT_STORM_MAX)
		return vswitch_refuse(fault, -EINVAL, "storm",
		    "%s: a limit of frames per second is not 0 to %u", sp->name, PORT_STORM_MAX);
	if (s->mac_limit > PORT_MAC_LIMIT_MAX)
		return vswitch_refuse(fault, -EINVAL, "mac_limit",
		    "%s: a limit of %u addresses is not 0 to %u", sp->name, s->mac_limit,
		    PORT_MAC_LIMIT_MAX);
	return check_macs(sp, s, fault);
}

/* The domain of static addresses without a VLAN: that of frames without a tag, if it has a VLAN. */
static uint16_t untagged_domain(const struct port_settings *s)
{
	return s->vlan.set ? s->vlan.vlan : 0;
}

static uint64_t static_address(const struct port_settings *s, unsigned i)
{
	const struct port_static *a = &s->mac_static[i];

	return fdb_address(mac_load(a->mac), a->vlan ? a->vlan : untagged_domain(s));
}

static bool has_static(const struct port_settings *s, uint64_t address)
{
	for (unsigned i = 0; i < s->n_mac_static; i++)
		if (static_address(s, i) == address)
			return true;
	return false;
}

/* Remove the first n static addresses of s, except those that `keep` has, too. */
static void clear_static(const struct switch_port *sp, struct fdb *fdb,
    const struct port_settings *s, unsigned n, const struct port_settings *keep)
{
	for (unsigned i = 0; i < n; i++)
		if (!keep || !has_static(keep, static_address(s, i)))
			fdb_static_clear(fdb, static_address(s, i), sp->index);
}

/* old: the settings so far, if they are for the same table. */
static int set_static(const struct switch_port *sp, struct fdb *fdb, const struct port_settings *s,
    const struct port_settings *old, struct port_fault *fault)
{
	for (unsigned i = 0; i < s->n_mac_static; i++) {
		int err = fdb_static_set(fdb, static_address(s, i), sp->index);

		if (!err)
			continue; /* set */
		clear_static(sp, fdb, s, i, old);
		return vswitch_refuse(fault, err, "mac_static",
		    err == -EEXIST ? "%s: static address %u is another port's"
				   : "%s: there is no room for static address %u",
		    sp->name, i + 1);
	}
	return 0;
}

static bool same_vlans(const struct vlan_config *a, const struct vlan_config *b)
{
	return a->set == b->set && a->mode == b->mode && a->vlan == b->vlan &&
	    memcmp(a->trunk.word, b->trunk.word, sizeof(a->trunk.word)) == 0;
}

/* Forget the addresses in the present table, after the next commit. */
static void forget(struct switch_port *sp)
{
	sp->forget[sp->bridge->number / 64] |= UINT64_C(1) << sp->bridge->number % 64;
}

void port_settings_committed(struct switch_port *sp)
{
	struct bridge *bridge;
	bool any = false;

	for (unsigned at = 0; (bridge = vswitch_bridge_next(sp->sw, &at));) {
		if (!(sp->forget[bridge->number / 64] >> bridge->number % 64 & 1))
			continue; /* nothing to forget there */
		fdb_flush_port(bridge->fdb, sp->index);
		any = true;
	}
	memset(sp->forget, 0, sizeof(sp->forget));
	if (any)
		address_owners_flush(sp->sw);
}

int vswitch_port_set(
    struct switch_port *sp, const struct port_settings *s, struct port_fault *ret_fault)
{
	struct bridge *bridge = find_bridge(sp, s), *before = sp->bridge;
	struct port_settings old = sp->settings;
	int err;

	*ret_fault = (struct port_fault){0};
	if (!bridge)
		return vswitch_refuse(ret_fault, -ENOENT, "bridge", "%s: there is no bridge %.*s",
		    sp->name, BRIDGE_NAME_MAX, s->bridge);
	err = check(sp, s, ret_fault);
	if (err)
		return err;
	err = set_static(sp, bridge->fdb, s, bridge == before ? &old : NULL, ret_fault);
	if (err)
		return err;
	if (before) {
		if (bridge != before || !same_vlans(&old.vlan, &s->vlan))
			forget(sp);
		clear_static(sp, before->fdb, &old, old.n_mac_static, bridge == before ? s : NULL);
		bridge_leave(before, sp);
	}
	sp->settings = *s;
	bridge_join(bridge, sp);
	if (before) /* else it is being added, and is down */
		vswitch_changed(sp);
	return 0;
}

void port_settings_leave(struct switch_port *sp)
{
	if (sp->bridge)
		clear_static(sp, sp->bridge->fdb, &sp->settings, sp->settings.n_mac_static, NULL);
	sp->settings.n_mac_static = 0;
}

void port_settings_drop(struct switch_port *sp)
{
	if (!sp->bridge)
		return;
	clear_static(sp, sp->bridge->fdb, &sp->settings, sp->settings.n_mac_static, NULL);
	bridge_leave(sp->bridge, sp);
}

const struct port_settings *vswitch_port_settings(const struct switch_port *sp)
{
	return &sp->settings;
}

static void storm_policy(struct switch_port *sp, struct port_policy *ret)
{
	const struct port_settings *s = &sp->settings;

	ret->storm[STORM_BROADCAST] = s->storm_broadcast;
	ret->storm[STORM_MULTICAST] = s->storm_multicast;
	ret->storm[STORM_UNKNOWN] = s->storm_unknown;
	ret->storm_count = &sp->storm_count;
	if (s->storm_broadcast || s->storm_multicast || s->storm_unknown)
		ret->features |= POLICY_STORM;
}

void port_settings_policy(struct switch_port *sp, struct port_policy *ret)
{
	const struct port_settings *s = &sp->settings;

	*ret = (struct port_policy){0};
	for (unsigned i = 0; i < s->n_mac_allow; i++)
		ret->allow[i] = mac_load(s->mac_allow[i].mac);
	ret->n_allow = s->n_mac_allow;
	if (ret->n_allow)
		ret->features |= POLICY_MAC_ALLOW;
	ret->mac_limit = s->mac_limit;
	if (s->mac_limit)
		ret->features |= POLICY_MAC_LIMIT;
	if (s->mac_move_guard)
		ret->features |= POLICY_MAC_GUARD;
	storm_policy(sp, ret);
	if (s->isolated)
		ret->features |= POLICY_ISOLATED;
	if (sp->bridge->config.drop_unknown)
		ret->features |= POLICY_DROP_UNKNOWN;
	if (bridge_has_vlans(sp->bridge)) {
		ret->features |= POLICY_VLAN;
		vlan_port_init(&ret->vlan, &sp->settings.vlan);
	}
}

uint16_t port_settings_domain(const struct switch_port *sp)
{
	const struct vlan_config *vlan = &sp->settings.vlan;

	if (!bridge_has_vlans(sp->bridge) || !vlan->set)
		return 0;
	return vlan->vlan ? vlan->vlan : VLAN_NONE;
}
