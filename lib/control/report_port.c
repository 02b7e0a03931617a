/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/report_port.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bridge/fdb.h"
#include "control/vswitch.h"
#include "vhost/memory.h"
#include "virtio/virtio.h"
#include "virtio/vring_events.h"

/* The most buckets that are read, which takes some milliseconds; the most addresses listed. */
#define BUCKETS_MAX   (UINT32_C(1) << 17)
#define ADDRESSES_MAX 8192

static const struct {
	unsigned bit;
	const char *name;
} feature_table[] = {
#define X(id, number) {number, #id},
    VIRTIO_FEATURES(X)
#undef X
};

void report_ring(json_t *queue, const struct vhost_device *dev, unsigned index)
{
	const struct vhost_vring *ring = dev->vring[index];
	bool active = ring && ring->active;

	json_object_set_new(queue, "active", json_boolean(active));
	json_object_set_new(queue, "enabled", json_boolean(active && ring->enabled));
	json_object_set_new(queue, "size", json_integer(active ? ring->ring.size : 0));
}

/* Positions are shown as they are in the ring, `value` as a signed number. */
static json_t *event_json(const struct vring_event *e, int64_t now)
{
	return json_pack("{s:I, s:I, s:s, s:i, s:i, s:i}", "ns", (json_int_t)e->ns, "ago_us",
	    (json_int_t)(now - e->ns) / 1000, "event", vring_event_name(e->kind), "avail",
	    (int)e->avail, "used", (int)e->used, "value", (int)e->value);
}

void report_events(json_t *queue, const struct vhost_device *dev, unsigned index)
{
	struct vring_event event[2 * VRING_EVENTS_KEPT];
	json_t *events;
	unsigned n;

	if (!dev->events[index])
		return;
	events = json_array();
	n = vring_events_read(dev->events[index], event);
	for (unsigned i = 0; i < n; i++)
		json_array_append_new(events, event_json(&event[i], clock_ns()));
	json_object_set_new(queue, "events", events);
}

/* "NET_F_MRG_RXBUF" -> "mrg_rxbuf", as in log lines. */
static json_t *feature_name(const char *name)
{
	char text[32];
	unsigned n = 0;

	for (name = strstr(name, "F_") + 2; *name && n < sizeof(text) - 1; name++)
		text[n++] = tolower((unsigned char)*name);
	return json_stringn(text, n);
}

static json_t *feature_names(uint64_t features)
{
	json_t *names = json_array();

	for (unsigned i = 0; i < ARRAY_SIZE(feature_table); i++)
		if (features >> feature_table[i].bit & 1)
			json_array_append_new(names, feature_name(feature_table[i].name));
	return names;
}

void report_frontend(json_t *port, const struct vport *vp)
{
	const struct vhost_device *dev = &vp->device;
	struct vhost_endpoint_peer peer;
	uint64_t bytes, page;

	if (!vhost_endpoint_peer(vp->endpoint, &peer))
		return;
	vhost_memory_measure(dev, &bytes, &page);
	json_object_set_new(port, "frontend",
	    json_pack(
		"{s:i, s:I}", "pid", (int)peer.pid, "connected_s", (json_int_t)(peer.ms / 1000)));
	json_object_set_new(port, "features", feature_names(dev->state.features));
	json_object_set_new(port, "rings",
	    json_string(VIRTIO_HAS(dev->state.features, F_RING_PACKED) ? "packed" : "split"));
	json_object_set_new(port, "mtu", json_integer(dev->state.mtu));
	json_object_set_new(port, "memory",
	    json_pack("{s:I, s:I}", "bytes", (json_int_t)bytes, "page_size", (json_int_t)page));
}

struct address_lists {
	const struct fdb *fdb;
	uint32_t now_s;
	unsigned n_ports;
	unsigned per_port;
	json_t *list[]; /* by port */
};

static void list_address(uint64_t mac, uint16_t port, unsigned stamp, void *arg)
{
	struct address_lists *lists = arg;
	char text[18];

	if (port >= lists->n_ports || json_object_size(lists->list[port]) >= lists->per_port)
		return;
	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", (unsigned)mac & 0xff,
	    (unsigned)(mac >> 8) & 0xff, (unsigned)(mac >> 16) & 0xff, (unsigned)(mac >> 24) & 0xff,
	    (unsigned)(mac >> 32) & 0xff, (unsigned)(mac >> 40) & 0xff);
	json_object_set_new(
	    lists->list[port], text, json_integer(fdb_stamp_age(lists->fdb, stamp, lists->now_s)));
}

struct address_lists *address_lists_create(const struct vswitch *sw)
{
	struct address_lists *lists =
	    calloc(1, sizeof(*lists) + sw->n_ports * sizeof(lists->list[0]));

	if (!lists)
		return NULL;
	lists->fdb = sw->fdb;
	lists->now_s = vswitch_clock();
	lists->n_ports = sw->n_ports;
	lists->per_port = ADDRESSES_MAX / MAX(sw->n_ports, 1);
	for (unsigned p = 0; p < sw->n_ports; p++)
		lists->list[p] = json_object();
	fdb_foreach_in(sw->fdb, BUCKETS_MAX, list_address, lists);
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
