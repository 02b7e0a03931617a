/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/report_vhost.h"

#include <ctype.h>
#include <string.h>

#include "base/clock.h"
#include "control/vhost_port.h"
#include "vhost/memory.h"
#include "virtio/virtio.h"
#include "virtio/vring_events.h"

static const struct {
	unsigned bit;
	const char *name;
} feature_table[] = {
#define X(id, number) {number, #id},
    VIRTIO_FEATURES(X)
#undef X
};

/* Whether the ring is active and enabled, and its size. */
static void report_ring(json_t *queue, const struct vhost_device *dev, unsigned index)
{
	const struct vhost_vring *ring = dev->vring[index];
	bool active = ring && ring->active;

	json_object_set_new(queue, "active", json_boolean(active));
	json_object_set_new(queue, "enabled", json_boolean(active && ring->enabled));
	json_object_set_new(queue, "size", json_integer(active ? ring->ring.size : 0));
}

/* Positions are shown as they are in the ring. `value` is shown as a signed number. */
static json_t *event_json(const struct vring_event *e, int64_t now)
{
	return json_pack("{s:I, s:I, s:s, s:i, s:i, s:i}", "ns", (json_int_t)e->ns, "ago_us",
	    (json_int_t)(now - e->ns) / 1000, "event", vring_event_name(e->kind), "avail",
	    (int)e->avail, "used", (int)e->used, "value", (int)e->value);
}

/* The last events of the ring, if events are recorded. */
static void report_events(json_t *queue, const struct vhost_device *dev, unsigned index)
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

json_t *report_features(uint64_t features)
{
	json_t *names = json_array();

	for (unsigned i = 0; i < ARRAY_SIZE(feature_table); i++)
		if (features >> feature_table[i].bit & 1)
			json_array_append_new(names, feature_name(feature_table[i].name));
	return names;
}

/* The front-end's process, time, features, MTU and memory. */
static void report_frontend(const struct vhost_port *vp, json_t *port)
{
	const struct vhost_device *dev = &vp->net.vhost;
	struct vhost_endpoint_peer peer;
	uint64_t bytes, page;

	if (!vhost_endpoint_peer(vp->endpoint, &peer))
		return;
	vhost_memory_measure(dev, &bytes, &page);
	json_object_set_new(port, "frontend",
	    json_pack(
		"{s:i, s:I}", "pid", (int)peer.pid, "connected_s", (json_int_t)(peer.ms / 1000)));
	json_object_set_new(port, "features", report_features(dev->state.features));
	json_object_set_new(port, "rings",
	    json_string(VIRTIO_HAS(dev->state.features, F_RING_PACKED) ? "packed" : "split"));
	json_object_set_new(port, "mtu", json_integer(dev->state.mtu));
	json_object_set_new(port, "memory",
	    json_pack("{s:I, s:I}", "bytes", (json_int_t)bytes, "page_size", (json_int_t)page));
}

/* The control queue, if the switch serves it and not the front-end. */
static json_t *control_json(const struct net_control *nc)
{
	return json_pack("{s:b, s:i, s:I, s:I, s:I}", "served", nc->ring != NULL, "pairs",
	    (int)nc->pairs, "commands", (json_int_t)nc->counts.commands, "refused",
	    (json_int_t)nc->counts.refused, "waits", (json_int_t)nc->counts.waits);
}

void report_vhost_port(const struct vhost_port *vp, json_t *port)
{
	json_object_set_new(
	    port, "connected", json_boolean(vhost_endpoint_connected(vp->endpoint)));
	json_object_set_new(port, "queues_unused", json_integer(vp->net.n_unused));
	json_object_set_new(port, "holds", json_integer((json_int_t)vp->net.vhost.holds));
	json_object_set_new(port, "control_queue", control_json(&vp->net.control));
	report_frontend(vp, port);
}

void report_vhost_queue(const struct vhost_port *vp, unsigned index, json_t *queue)
{
	report_ring(queue, &vp->net.vhost, index);
	report_events(queue, &vp->net.vhost, index);
	if (index % 2 == 0)
		json_object_set_new(queue, "used",
		    json_boolean(switch_port_up(&vp->port) && vp->net.in[index] &&
			vp->net.queue[index]->enabled && vp->net.used[index]));
}
