/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/report_port.h"

#include <stdio.h>
#include <stdlib.h>

#include "bridge/fdb.h"
#include "control/vswitch.h"

/* Read at most so many buckets, which takes some milliseconds. List at most so many addresses. */
#define BUCKETS_MAX   (UINT32_C(1) << 17)
#define ADDRESSES_MAX 8192

struct address_lists {
	const struct fdb *fdb; /* that is being listed */
	uint32_t now_s;
	unsigned n_ports;
	unsigned per_port;
	json_t *list[]; /* by port */
};

static void list_address(const struct fdb_entry *entry, void *arg)
{
	struct address_lists *lists = arg;
	uint64_t mac = entry->mac;
	uint16_t port = entry->port;
	char text[18];

	if (port >= lists->n_ports || json_object_size(lists->list[port]) >= lists->per_port)
		return;
	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", (unsigned)mac & 0xff,
	    (unsigned)(mac >> 8) & 0xff, (unsigned)(mac >> 16) & 0xff, (unsigned)(mac >> 24) & 0xff,
	    (unsigned)(mac >> 32) & 0xff, (unsigned)(mac >> 40) & 0xff);
	json_object_set_new(lists->list[port], text,
	    json_integer(fdb_stamp_age(lists->fdb, entry->stamp, lists->now_s)));
}

struct address_lists *address_lists_create(const struct vswitch *sw)
{
	struct address_lists *lists =
	    calloc(1, sizeof(*lists) + sw->n_ports * sizeof(lists->list[0]));
	const struct bridge *bridge;

	if (!lists)
		return NULL;
	lists->now_s = workers_clock();
	lists->n_ports = sw->n_ports;
	lists->per_port = ADDRESSES_MAX / MAX(sw->n_ports, 1);
	for (unsigned p = 0; p < sw->n_ports; p++)
		lists->list[p] = json_object();
	for (unsigned at = 0; (bridge = vswitch_bridge_next(sw, &at));) {
		lists->fdb = vswitch_bridge_fdb(bridge);
		fdb_foreach_in(lists->fdb, BUCKETS_MAX / sw->n_bridges, list_address, lists);
	}
	return lists;
}

void address_lists_destroy(struct address_lists *lists)
{
	for (unsigned p = 0; lists && p < lists->n_ports; p++)
		json_decref(lists->list[p]);
	free(lists);
}

void report_addresses(
    json_t *port, const struct fdb *fdb, const struct address_lists *lists, unsigned index)
{
	json_object_set_new(port, "address_count", json_integer(fdb_port_count(fdb, index)));
	if (lists)
		json_object_set(port, "addresses", lists->list[index]);
}
