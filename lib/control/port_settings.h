/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What may be set for a port besides its front-end: the bridge, the VLANs and the policy; and
 * bridges. A struct port_settings is a plain value. All settings can change while the port is up,
 * and no frame of another port is lost by the change.
 *
 * A bridge has an address table and ports. Ports of different bridges never exchange a frame. There
 * is always the bridge "default". While no port of a bridge has a VLAN setting, the bridge does not
 * look at tags. As soon as one port has one, all ports of the bridge have VLANs; a port without a
 * setting is then a trunk of all VLANs.
 *
 * Threads: the control thread only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bridge/vlan.h"
#include "control/bridge_config.h"
#include "datapath/policy.h"

#define PORT_MACS_ALLOW_MAX  POLICY_MACS_MAX
#define PORT_MACS_STATIC_MAX 64
#define PORT_MAC_LIMIT_MAX   (1u << 24)
#define PORT_STORM_MAX       1000000000 /* frames per second */

struct port_config;
struct port_fault;
struct switch_port;
struct vswitch;

struct port_mac {
	uint8_t mac[6]; /* neither 0 nor a group address */
};

/* An address that stays in the table: it is not aged, moved or pushed out. */
struct port_static {
	uint8_t mac[6];
	uint16_t vlan; /* 0: the domain of frames without a VLAN */
};

/* Zeros are the default: the default bridge, no VLAN setting, no policy. */
struct port_settings {
	char bridge[BRIDGE_NAME_MAX + 1]; /* "": the default bridge */
	struct vlan_config vlan;

	/* Frames from other source addresses are dropped (mac-not-allowed). 0: any are allowed. */
	unsigned n_mac_allow;
	struct port_mac mac_allow[PORT_MACS_ALLOW_MAX];

	unsigned n_mac_static;
	struct port_static mac_static[PORT_MACS_STATIC_MAX];

	/*
	 * The most addresses that are learned on the port, static addresses not counted. Frames
	 * from further addresses are dropped (mac-limit). 0: no limit.
	 */
	uint32_t mac_limit;
	/*
	 * An address that is known on another port is not moved here, even while that port is down.
	 * Frames that say so are dropped (mac-move).
	 */
	bool mac_move_guard;
	bool isolated; /* it exchanges no frame with other isolated ports of its bridge */

	/* Frames per second that may enter, per kind; further ones are dropped (storm). 0: no
	 * limit. */
	uint32_t storm_broadcast;
	uint32_t storm_multicast;
	uint32_t storm_unknown; /* unicast frames whose destination is not known */
};

/*
 * Change the settings of a port. Addresses that were learned on it are forgotten if its bridge or
 * its VLANs change. If it fails, nothing has changed, and *ret_fault says which field is wrong and
 * why, see vswitch_port_add(). The new settings are in effect with the next commit, at the latest
 * at the end of this turn. -EINVAL; -ENOENT: there is no such bridge; -ENOMEM.
 *
 * vswitch_port_add() takes the same value in port_config.settings.
 */
int vswitch_port_set(
    struct switch_port *sp, const struct port_settings *settings, struct port_fault *ret_fault);

/* The settings as they were given last. */
const struct port_settings *vswitch_port_settings(const struct switch_port *sp);

/* Private to lib/control, but for what the functions below tell. */
struct bridge;

/* The values of the default bridge as the command line gave them, for bridges that say nothing. */
void vswitch_bridge_defaults(const struct vswitch *sw, struct bridge_config *ret_config);

/*
 * A large table takes the calling thread a tenth of a second. -EEXIST; -ENOSPC: BRIDGES_MAX,
 * BRIDGES_ENTRIES_MAX; -EINVAL; -ENOMEM. *ret_fault says why.
 */
int vswitch_bridge_add(struct vswitch *sw, const struct bridge_config *config,
    struct bridge **ret_bridge, struct port_fault *ret_fault);

/*
 * The same for a running switch: an errand makes the table. Also -ETIMEDOUT; -EAGAIN: it is not
 * there yet, so call again some time later, with the same config. A call with another config, or
 * vswitch_bridge_give_up(), gives up the bridge for which there is no table yet.
 */
int vswitch_bridge_add_soon(struct vswitch *sw, const struct bridge_config *config,
    struct bridge **ret_bridge, struct port_fault *ret_fault);
void vswitch_bridge_give_up(struct vswitch *sw);

/* -EBUSY: it has ports; -EINVAL: it is the default bridge. *ret_fault says why. */
int vswitch_bridge_del(struct vswitch *sw, struct bridge *bridge, struct port_fault *ret_fault);

/* Change drop_unknown of a bridge; in effect with the next commit. */
void vswitch_bridge_drop_unknown(struct vswitch *sw, struct bridge *bridge, bool drop_unknown);

/* The bridge with this name ("": the default bridge); NULL: there is none. */
struct bridge *vswitch_bridge_find(const struct vswitch *sw, const char *name);

/* The first bridge from number *at on. *at becomes the number after it. NULL: no more. */
struct bridge *vswitch_bridge_next(const struct vswitch *sw, unsigned *at);

const struct bridge_config *vswitch_bridge_config(const struct bridge *bridge);
struct fdb *vswitch_bridge_fdb(const struct bridge *bridge);
unsigned vswitch_bridge_ports(const struct bridge *bridge); /* how many it has */
