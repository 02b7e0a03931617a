/* SPDX-License-Identifier: BSD-3-Clause */
#include "manage/methods.h"

#include <string.h>

#include "bridge/fdb.h"
#include "control/vswitch.h"
#include "manage/change.h"

/*
 * The most buckets that one answer looks at: a megabyte of memory. Workers write the table
 * meanwhile; nothing waits for them, and they do not wait.
 */
#define BUCKETS_AT_ONCE 16384

struct listing {
	const struct vswitch *sw;
	const struct fdb *fdb;
	uint32_t now_s;
	int only; /* the port's index; -1: all ports */
	json_t *entries;
};

static void list_address(const struct fdb_entry *entry, void *arg)
{
	const struct listing *l = arg;
	const struct switch_port *sp = entry->port < PORTS_MAX ? l->sw->port[entry->port] : NULL;
	unsigned age = entry->is_static ? 0 : fdb_stamp_age(l->fdb, entry->stamp, l->now_s);

	if (!sp || (l->only >= 0 && entry->port != l->only))
		return;
	json_array_append_new(l->entries,
	    json_pack("{s:o, s:o, s:o, s:i, s:b}", "mac", manage_mac(entry->mac), "vlan",
		entry->domain ? json_integer(entry->domain) : json_null(), "port",
		manage_text(sp->name), "age", (int)age, "static", (int)entry->is_static));
}

/* List addresses from a bucket on. Returns the bucket to go on with. */
static uint32_t list_from(struct listing *l, uint32_t from, size_t limit)
{
	uint32_t end = fdb_buckets(l->fdb);

	end = MIN(end, from + BUCKETS_AT_ONCE);
	while (from < end && json_array_size(l->entries) + FDB_BUCKET_SLOTS <= limit)
		fdb_foreach_from(l->fdb, from++, 1, list_address, l);
	return from;
}

/* Which table and which port? False: error. */
static bool choose(const struct rpc_call *call, struct listing *l)
{
	const struct bridge *bridge = manage_find_bridge(call, "bridge");
	const struct switch_port *sp;

	if (!bridge)
		return false;
	l->fdb = vswitch_bridge_fdb(bridge);
	if (!json_object_get(call->params, "port"))
		return true;
	sp = manage_find_port(call, "port");
	if (!sp)
		return false;
	l->only = sp->index;
	l->fdb = switch_port_fdb(sp);
	return true;
}

json_t *method_fdb_list(const struct rpc_call *call)
{
	const struct manage *m = call->arg;
	json_int_t from = json_integer_value(json_object_get(call->params, "from"));
	json_int_t limit = json_integer_value(json_object_get(call->params, "limit"));
	struct listing l = {.sw = m->config.sw, .now_s = workers_clock(), .only = -1};
	uint32_t buckets, next;

	if (!choose(call, &l))
		return NULL;
	buckets = fdb_buckets(l.fdb);
	l.entries = json_array();
	next = list_from(&l, (uint32_t)MIN(from, (json_int_t)buckets), (size_t)limit);
	return manage_list(l.entries, next < buckets ? json_integer(next) : NULL);
}

/* The address that the parameters name. */
static struct port_static address_of(const struct rpc_call *call)
{
	struct port_static a = {
	    .vlan = (uint16_t)json_integer_value(json_object_get(call->params, "vlan"))};

	manage_read_mac(json_string_value(json_object_get(call->params, "mac")), a.mac);
	return a;
}

/* Where the port has this static address; n_mac_static: it does not have it. */
static unsigned find_static(const struct port_settings *s, const struct port_static *a)
{
	unsigned i = 0;

	while (i < s->n_mac_static &&
	    (s->mac_static[i].vlan != a->vlan || memcmp(s->mac_static[i].mac, a->mac, 6) != 0))
		i++;
	return i;
}

json_t *method_fdb_add(const struct rpc_call *call)
{
	const struct port_static a = address_of(call);
	struct switch_port *sp;
	struct port_settings s;

	if (change_waits(call))
		return NULL;
	sp = manage_find_port(call, "port");
	if (!sp)
		return NULL;
	s = *vswitch_port_settings(sp);
	if (find_static(&s, &a) < s.n_mac_static)
		return manage_fail_field(call->error, MANAGE_EXISTS, call->method->name, "mac",
		    json_object_get(call->params, "mac"), "new: the port has it already");
	if (s.n_mac_static == PORT_MACS_STATIC_MAX)
		return manage_fail(call->error, MANAGE_NO_ROOM,
		    "%s: the port has %u static addresses already", call->method->name,
		    PORT_MACS_STATIC_MAX);
	s.mac_static[s.n_mac_static++] = a;
	return manage_set_port(sp, call->method->name, &s, call->error) ? json_object() : NULL;
}

json_t *method_fdb_del(const struct rpc_call *call)
{
	const struct port_static a = address_of(call);
	struct switch_port *sp;
	struct port_settings s;
	unsigned i;

	if (change_waits(call))
		return NULL;
	sp = manage_find_port(call, "port");
	if (!sp)
		return NULL;
	s = *vswitch_port_settings(sp);
	i = find_static(&s, &a);
	if (i == s.n_mac_static)
		return manage_fail_field(call->error, MANAGE_NOT_FOUND, call->method->name, "mac",
		    json_object_get(call->params, "mac"), "a static address of the port");
	s.mac_static[i] = s.mac_static[--s.n_mac_static];
	return manage_set_port(sp, call->method->name, &s, call->error) ? json_object() : NULL;
}

json_t *method_fdb_flush(const struct rpc_call *call)
{
	const struct manage *m = call->arg;
	struct switch_port *sp;

	if (json_object_get(call->params, "port")) {
		sp = manage_find_port(call, "port");
		if (!sp)
			return NULL;
		address_owner_flush(sp);
		return json_object();
	}
	for (unsigned p = 0; (sp = vswitch_port_next(m->config.sw, &p));)
		address_owner_flush(sp);
	return json_object();
}
