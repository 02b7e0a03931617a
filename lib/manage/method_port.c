/* SPDX-License-Identifier: BSD-3-Clause */
#include "manage/methods.h"

#include "bridge/fdb.h"
#include "control/report_vhost.h"
#include "control/vhost_port.h"
#include "control/vswitch.h"
#include "datapath/drop.h"
#include "vhost/memory.h"
#include "virtio/virtio.h"

struct sums {
	uint64_t in, out, drops;
};

static struct sums sum_up(const struct switch_port *sp)
{
	struct sums sums = {0};

	for (unsigned i = 0; i < SWITCH_PORT_QUEUES; i++) {
		const struct queue *q = sp->ops->queue(sp, i);

		if (!q)
			continue; /* it was never in use */
		*(i % 2 ? &sums.in : &sums.out) += q->stats.frames;
		for (unsigned r = 0; r < DROP_N; r++)
			sums.drops += q->stats.drops[r];
	}
	return sums;
}

static void add_frontend(const struct switch_port *sp, json_t *port)
{
	const struct vhost_port *vp = vhost_port_at(sp->sw, sp->index);
	struct vhost_endpoint_peer peer;
	uint64_t bytes, page;

	if (!vp || !vhost_endpoint_peer(vp->endpoint, &peer))
		return;
	vhost_memory_measure(&vp->net.vhost, &bytes, &page);
	json_object_set_new(port, "pid", peer.pid ? json_integer(peer.pid) : json_null());
	json_object_set_new(port, "connected_for", json_integer((json_int_t)(peer.ms / 1000)));
	json_object_set_new(port, "memory", json_integer((json_int_t)bytes));
	json_object_set_new(port, "memory_page", json_integer((json_int_t)page));
	json_object_set_new(port, "features", report_features(vp->net.vhost.state.features));
}

/* What port.list tells of each port. */
static json_t *port_json(const struct switch_port *sp)
{
	const struct vhost_port *vp = vhost_port_at(sp->sw, sp->index);
	const struct vhost_device_state *st = vp ? &vp->net.vhost.state : NULL;
	bool connected = vp && vhost_endpoint_connected(vp->endpoint);
	struct sums sums = sum_up(sp);
	json_t *rings = json_null(), *mtu = json_null();
	char state[128];

	if (st && st->have_features)
		rings = json_string(VIRTIO_HAS(st->features, F_RING_PACKED) ? "packed" : "split");
	if (st && st->mtu)
		mtu = json_integer(st->mtu);
	return json_pack("{s:o, s:i, s:b, s:b, s:s, s:o, s:i, s:o, s:I, s:I, s:I, s:I}", "name",
	    manage_text(sp->name), "index", (int)sp->index, "up", (int)switch_port_up(sp),
	    "connected", (int)connected, "state", vswitch_port_state(sp, state, sizeof(state)),
	    "rings", rings, "pairs_used", sp->port ? (int)sp->port->n_egress : 0, "mtu", mtu,
	    "addresses", (json_int_t)fdb_port_count(switch_port_fdb(sp), sp->index), "in_frames",
	    (json_int_t)sums.in, "out_frames", (json_int_t)sums.out, "drops",
	    (json_int_t)sums.drops);
}

struct switch_port *manage_find_port(const struct rpc_call *call, const char *field)
{
	const struct manage *m = call->arg;
	const json_t *name = json_object_get(call->params, field);
	struct switch_port *sp = vswitch_port_find(m->config.sw, json_string_value(name));

	if (!sp)
		manage_fail_field(call->error, MANAGE_NOT_FOUND, call->method->name, field, name,
		    "a port; port.list names all ports");
	return sp;
}

json_t *manage_port(const struct switch_port *sp)
{
	const struct port_config config = manage_config_of(sp);
	json_t *port = port_json(sp);

	if (port) {
		json_object_update_new(port, manage_port_config(&config));
		add_frontend(sp, port);
	}
	return port;
}

json_t *method_port_list(const struct rpc_call *call)
{
	const struct manage *m = call->arg;
	unsigned p = (unsigned)json_integer_value(json_object_get(call->params, "from")), next = p;
	size_t limit = (size_t)json_integer_value(json_object_get(call->params, "limit"));
	const struct switch_port *sp;
	json_t *entries = json_array();

	while ((sp = vswitch_port_next(m->config.sw, &p)) && json_array_size(entries) < limit) {
		json_array_append_new(entries, port_json(sp));
		next = p;
	}
	return manage_list(entries, sp ? json_integer(next) : NULL);
}

json_t *method_port_show(const struct rpc_call *call)
{
	const struct switch_port *sp = manage_find_port(call, "name");

	return sp ? manage_port(sp) : NULL;
}

static json_t *drops_json(const struct queue_stats *s)
{
	json_t *drops = json_array();

	for (unsigned r = 0; r < DROP_N; r++) {
		if (s->drops[r] == 0)
			continue; /* list only what happened */
		json_array_append_new(drops,
		    json_pack(
			"{s:s, s:I}", "reason", drop_name(r), "frames", (json_int_t)s->drops[r]));
	}
	return drops;
}

static json_t *queue_json(const struct switch_port *sp, const struct queue *q)
{
	bool ingress = q->index % 2;
	bool polled = ingress && switch_port_up(sp) && q->worker != WORKER_NONE;

	return json_pack("{s:i, s:s, s:b, s:o, s:I, s:I, s:I, s:I, s:I, s:o}", "index",
	    (int)q->index, "direction", ingress ? "ingress" : "egress", "enabled",
	    (int)(sp->ops->in_use(sp, q->index) && q->enabled), "worker",
	    polled ? json_integer(q->worker) : json_null(), "frames", (json_int_t)q->stats.frames,
	    "bytes", (json_int_t)q->stats.bytes, "unicast", (json_int_t)q->stats.unicast, "flooded",
	    (json_int_t)q->stats.flooded, "calls", (json_int_t)q->stats.calls, "drops",
	    drops_json(&q->stats));
}

json_t *method_port_stats(const struct rpc_call *call)
{
	const struct switch_port *sp = manage_find_port(call, "name");
	json_t *queues;

	if (!sp)
		return NULL;
	queues = json_array();
	for (unsigned i = 0; i < SWITCH_PORT_QUEUES; i++) {
		const struct queue *q = sp->ops->queue(sp, i);

		if (q)
			json_array_append_new(queues, queue_json(sp, q));
	}
	return json_pack("{s:o, s:o}", "name", manage_text(sp->name), "queues", queues);
}
