/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * A bridge is an address table, and a number by which ports and forwardings name it. If the first
 * port of a bridge gets a VLAN setting, or the last one loses it, the policies of all its ports
 * change. So all of them are published again, with the same commit.
 *
 * A bridge is removed when it has no ports. Workers may still use its table, so a forwarding
 * without the bridge is published first.
 *
 * While the switch runs, errands make and free the tables (bridge_table.h). At most one table is
 * being made. Until it is there, there is no bridge.
 *
 * Threads: the control thread.
 */
#include "control/bridge.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "bridge/fdb.h"
#include "bridge/forward.h"
#include "control/bridge_table.h"
#include "control/vswitch.h"

static bool name_valid(const char *name)
{
	size_t n = strnlen(name, BRIDGE_NAME_MAX + 1);

	for (size_t i = 0; i < n; i++)
		if (isalnum((unsigned char)name[i]) == 0 && !strchr("-_.", name[i]))
			return false;
	return n >= 1 && n <= BRIDGE_NAME_MAX;
}

static int check(const struct vswitch *sw, const struct bridge_config *c, struct port_fault *fault)
{
	if (!name_valid(c->name))
		return vswitch_refuse(fault, -EINVAL, "name",
		    "the name of a bridge has 1 to %u letters, digits, \"-\", \"_\" or \".\"",
		    BRIDGE_NAME_MAX);
	if (vswitch_bridge_find(sw, c->name))
		return vswitch_refuse(
		    fault, -EEXIST, "name", "%s: there is a bridge of this name", c->name);
	if (c->fdb_entries < 1 || c->fdb_entries > FDB_ENTRIES_MAX)
		return vswitch_refuse(fault, -EINVAL, "fdb_entries",
		    "%s: %u addresses are not 1 to %u", c->name, c->fdb_entries, FDB_ENTRIES_MAX);
	if (c->fdb_age_s < 1 || c->fdb_age_s > FDB_AGE_MAX_S)
		return vswitch_refuse(fault, -EINVAL, "fdb_age_s",
		    "%s: an ageing time of %u s is not 1 to %u", c->name, c->fdb_age_s,
		    FDB_AGE_MAX_S);
	return 0;
}

/* Do the tables of all bridges but the default bridge leave room for another one? */
static int check_room(
    const struct vswitch *sw, const struct bridge_config *c, struct port_fault *fault)
{
	const struct bridge *bridge;
	uint32_t sum = 0;

	for (unsigned at = 1; (bridge = vswitch_bridge_next(sw, &at));)
		sum += bridge->config.fdb_entries;
	if (c->fdb_entries > BRIDGES_ENTRIES_MAX - sum)
		return vswitch_refuse(fault, -ENOSPC, "fdb_entries",
		    "%s: %u addresses, but all bridges besides the default bridge may have %u "
		    "together, and %u are in use",
		    c->name, c->fdb_entries, BRIDGES_ENTRIES_MAX, sum);
	return 0;
}

/* Takes the table; NULL: makes it. */
static int create(
    struct vswitch *sw, unsigned number, const struct bridge_config *config, struct fdb *fdb)
{
	struct bridge *bridge = calloc(1, sizeof(*bridge));

	if (bridge && !fdb)
		fdb = fdb_create(config->fdb_entries, config->fdb_age_s);
	if (!bridge || !fdb) {
		int err = bridge ? -errno : -ENOMEM;

		fdb_destroy(fdb);
		free(bridge);
		return err;
	}
	*bridge = (struct bridge){
	    .config = *config, .number = (uint16_t)number, .id = ++sw->n_bridges_made, .fdb = fdb};
	if (config->forward_bpdu)
		forward_link_local_too(bridge->fdb);
	sw->bridge[number] = bridge;
	sw->n_bridges = MAX(sw->n_bridges, number + 1U);
	return 0;
}

int bridges_create(struct vswitch *sw, const struct bridge_config *config)
{
	int err = create(sw, 0, config, NULL);

	if (!err)
		sw->fdb = sw->bridge[0]->fdb;
	return err;
}

void bridges_destroy(struct vswitch *sw)
{
	struct bridge *bridge;

	vswitch_bridge_give_up(sw);
	for (unsigned at = 0; (bridge = vswitch_bridge_next(sw, &at));) {
		fdb_destroy(bridge->fdb);
		free(bridge);
	}
	sw->n_bridges = 0;
	sw->fdb = NULL;
}

unsigned bridges_describe(const struct vswitch *sw, struct bridge_setup ret[BRIDGES_MAX])
{
	for (unsigned i = 0; i < sw->n_bridges; i++) {
		const struct bridge *bridge = sw->bridge[i];

		ret[i] = (struct bridge_setup){0};
		if (bridge)
			ret[i] = (struct bridge_setup){
			    .fdb = bridge->fdb, .vlans = bridge_has_vlans(bridge)};
	}
	return sw->n_bridges;
}

/* All ports of the bridge get other policies. */
static void changed(struct vswitch *sw, const struct bridge *bridge)
{
	struct switch_port *sp;

	for (unsigned p = 0; (sp = vswitch_next_port(sw, &p));)
		if (sp->bridge == bridge)
			vswitch_changed(sp);
}

void bridge_join(struct bridge *bridge, struct switch_port *sp)
{
	bridge->n_ports++;
	bridge->n_vlan += sp->settings.vlan.set;
	sp->bridge = bridge;
	if (bridge->n_vlan == 1 && sp->settings.vlan.set)
		changed(sp->sw, bridge);
}

void bridge_leave(struct bridge *bridge, struct switch_port *sp)
{
	sp->bridge = NULL;
	bridge->n_ports--;
	bridge->n_vlan -= sp->settings.vlan.set;
	if (bridge->n_vlan == 0 && sp->settings.vlan.set)
		changed(sp->sw, bridge);
}

void bridges_age(struct vswitch *sw, unsigned parts)
{
	const struct bridge *bridge;

	for (unsigned at = 0; (bridge = vswitch_bridge_next(sw, &at));)
		fdb_age_some(bridge->fdb, workers_clock(), fdb_buckets(bridge->fdb) / parts + 1);
}

bool bridges_flush_some(struct vswitch *sw, uint32_t max_buckets)
{
	const struct bridge *bridge;
	unsigned n = 0;
	bool left = false;

	for (unsigned at = 0; (bridge = vswitch_bridge_next(sw, &at));)
		n += fdb_flush_waits(bridge->fdb);
	for (unsigned at = 0; n && (bridge = vswitch_bridge_next(sw, &at));)
		left |= fdb_flush_some(bridge->fdb, MAX(max_buckets / n, 1u));
	return left;
}

bool bridges_flush_pending(const struct vswitch *sw, uint16_t port)
{
	const struct bridge *bridge;
	bool pending = false;

	for (unsigned at = 0; (bridge = vswitch_bridge_next(sw, &at));)
		pending |= fdb_flush_pending(bridge->fdb, port);
	return pending;
}

void vswitch_bridge_defaults(const struct vswitch *sw, struct bridge_config *ret_config)
{
	*ret_config = sw->bridge[0]->config;
	ret_config->name[0] = '\0';
	ret_config->drop_unknown = false;
}

/* May there be such a bridge, too? Then *ret_number is its number. */
static int may_add(const struct vswitch *sw, const struct bridge_config *config,
    unsigned *ret_number, struct port_fault *ret_fault)
{
	unsigned number = 0;
	int err;

	*ret_fault = (struct port_fault){0};
	err = check(sw, config, ret_fault);
	if (err)
		return err;
	while (number < BRIDGES_MAX && sw->bridge[number])
		number++;
	if (number == BRIDGES_MAX)
		return vswitch_refuse(ret_fault, -ENOSPC, NULL, "%s: more than %u bridges",
		    config->name, BRIDGES_MAX);
	*ret_number = number;
	return check_room(sw, config, ret_fault);
}

static int tell_failed(const struct bridge_config *config, int err, struct port_fault *ret_fault)
{
	if (err == -ENOMEM)
		return vswitch_refuse(ret_fault, err, "fdb_entries",
		    "%s: no memory for a table of %u addresses", config->name, config->fdb_entries);
	if (err == -ETIMEDOUT)
		return vswitch_refuse(ret_fault, err, "fdb_entries",
		    "%s: a table of %u addresses could not be made in time: threads of the switch "
		    "are held up, perhaps by front-ends",
		    config->name, config->fdb_entries);
	return vswitch_refuse(ret_fault, err, NULL, "%s: %s", config->name, error_text(-err));
}

int vswitch_bridge_add(struct vswitch *sw, const struct bridge_config *config,
    struct bridge **ret_bridge, struct port_fault *ret_fault)
{
	unsigned number;
	int err = may_add(sw, config, &number, ret_fault);

	if (err)
		return err;
	err = create(sw, number, config, NULL);
	if (err)
		return tell_failed(config, err, ret_fault);
	*ret_bridge = sw->bridge[number];
	return 0;
}

/* The table for this bridge, from an errand. -EAGAIN: it is not there yet. */
static int take_table(struct vswitch *sw, const struct bridge_config *config, struct fdb **ret_fdb)
{
	int err;

	if (sw->table && !bridge_table_is_for(sw->table, config))
		vswitch_bridge_give_up(sw);
	if (!sw->table) {
		sw->table = bridge_table_begin(config);
		return sw->table ? -EAGAIN : -ENOMEM;
	}
	err = bridge_table_take(sw->table, ret_fdb);
	if (err != -EAGAIN)
		sw->table = NULL;
	return err;
}

int vswitch_bridge_add_soon(struct vswitch *sw, const struct bridge_config *config,
    struct bridge **ret_bridge, struct port_fault *ret_fault)
{
	struct fdb *fdb;
	unsigned number;
	int err = may_add(sw, config, &number, ret_fault);

	if (err)
		return err;
	err = take_table(sw, config, &fdb);
	if (err == -EAGAIN)
		return err;
	if (!err)
		err = create(sw, number, config, fdb);
	if (err)
		return tell_failed(config, err, ret_fault);
	*ret_bridge = sw->bridge[number];
	return 0;
}

void vswitch_bridge_give_up(struct vswitch *sw)
{
	bridge_table_give_up(sw->table);
	sw->table = NULL;
}

int vswitch_bridge_del(struct vswitch *sw, struct bridge *bridge, struct port_fault *ret_fault)
{
	const char *name = bridge->config.name;

	*ret_fault = (struct port_fault){0};
	if (bridge->number == 0)
		return vswitch_refuse(
		    ret_fault, -EINVAL, "name", "%s: the default bridge stays", name);
	if (bridge->n_ports)
		return vswitch_refuse(ret_fault, -EBUSY, "name",
		    "%s: the bridge has %u ports, with those whose removal has not ended", name,
		    bridge->n_ports);
	sw->bridge[bridge->number] = NULL;
	/* Now, because the table is freed next. */
	vswitch_commit_bridges(sw);
	bridge_table_free(bridge->fdb, bridge->config.fdb_entries);
	free(bridge);
	return 0;
}

void vswitch_bridge_drop_unknown(struct vswitch *sw, struct bridge *bridge, bool drop_unknown)
{
	bridge->config.drop_unknown = drop_unknown;
	changed(sw, bridge);
}

struct bridge *vswitch_bridge_find(const struct vswitch *sw, const char *name)
{
	struct bridge *bridge;

	for (unsigned at = 0; (bridge = vswitch_bridge_next(sw, &at));)
		if (strcmp(bridge->config.name, *name ? name : BRIDGE_DEFAULT) == 0)
			return bridge;
	return NULL;
}

struct bridge *vswitch_bridge_next(const struct vswitch *sw, unsigned *at)
{
	struct bridge *bridge = NULL;

	while (!bridge && *at < sw->n_bridges)
		bridge = sw->bridge[(*at)++];
	return bridge;
}

const struct bridge_config *vswitch_bridge_config(const struct bridge *bridge)
{
	return &bridge->config;
}

struct fdb *vswitch_bridge_fdb(const struct bridge *bridge)
{
	return bridge->fdb;
}

unsigned vswitch_bridge_ports(const struct bridge *bridge)
{
	return bridge->n_ports;
}
