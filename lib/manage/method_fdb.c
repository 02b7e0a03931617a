/* SPDX-License-Identifier: BSD-3-Clause */
#include "manage/methods.h"

#include <stdio.h>

#include "bridge/fdb.h"
#include "control/vswitch.h"

/*
 * The most buckets that one answer looks at: a megabyte of memory. Workers write the table
 * meanwhile; nothing waits for them, and they do not wait.
 */
#define BUCKETS_AT_ONCE 16384

struct listing {
	const struct vswitch *sw;
	uint32_t now_s;
	int only; /* the port's index; -1: all ports */
	json_t *entries;
};

static void list_address(const struct fdb_entry *entry, void *arg)
{
	const struct listing *l = arg;
	uint64_t mac = entry->mac;
	uint16_t port = entry->port;
	const struct switch_port *sp = port < PORTS_MAX ? l->sw->port[port] : NULL;
	char text[18];

	if (!sp || (l->only >= 0 && port != l->only))
		return;
	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", (unsigned)mac & 0xff,
	    (unsigned)(mac >> 8) & 0xff, (unsigned)(mac >> 16) & 0xff, (unsigned)(mac >> 24) & 0xff,
	    (unsigned)(mac >> 32) & 0xff, (unsigned)(mac >> 40) & 0xff);
	json_array_append_new(l->entries,
	    json_pack("{s:s, s:o, s:I}", "mac", text, "port", manage_text(sp->name), "age",
		(json_int_t)fdb_stamp_age(l->sw->fdb, entry->stamp, l->now_s)));
}

/* List addresses from a bucket on. Returns the bucket to go on with. */
static uint32_t list_from(struct listing *l, uint32_t from, size_t limit)
{
	uint32_t end = fdb_buckets(l->sw->fdb);

	end = MIN(end, from + BUCKETS_AT_ONCE);
	while (from < end && json_array_size(l->entries) + FDB_BUCKET_SLOTS <= limit)
		fdb_foreach_from(l->sw->fdb, from++, 1, list_address, l);
	return from;
}

json_t *method_fdb_list(const struct rpc_call *call)
{
	const struct manage *m = call->arg;
	const char *port = json_string_value(json_object_get(call->params, "port"));
	json_int_t from = json_integer_value(json_object_get(call->params, "from"));
	json_int_t limit = json_integer_value(json_object_get(call->params, "limit"));
	struct listing l = {.sw = m->config.sw, .now_s = workers_clock(), .only = -1};
	uint32_t buckets = fdb_buckets(l.sw->fdb), next;
	const struct switch_port *sp;

	if (port) {
		sp = manage_find_port(call, "port");
		if (!sp)
			return NULL;
		l.only = sp->index;
	}
	l.entries = json_array();
	next = list_from(&l, (uint32_t)MIN(from, (json_int_t)buckets), (size_t)limit);
	return manage_list(l.entries, next < buckets ? json_integer(next) : NULL);
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
