/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The report is a JSON object. report_text.c turns this object into a table. Every counter of the
 * workers is read once, so the sums in the report agree with the numbers in it.
 */
#include "control/report.h"

#include <rte_cycles.h>

#include "control/report_port.h"
#include "control/vswitch.h"

/*
 * Sums over the whole switch. The comment of struct queue_stats (datapath/port.h) says which sums
 * must be equal.
 */
struct totals {
	uint64_t ingress, ingress_done;  /* frames taken from guests; and sent on or dropped */
	uint64_t forwarded, egress_done; /* copies sent to queues; and delivered or dropped there */
	uint64_t egress, dropped;
};

static json_t *drops_json(const struct queue_stats *s, uint64_t *ret_sum)
{
	json_t *drops = json_object();

	*ret_sum = 0;
	for (unsigned r = 0; r < DROP_N; r++) {
		if (s->drops[r] == 0)
			continue; /* list only what happened */
		*ret_sum += s->drops[r];
		json_object_set_new(drops, drop_name(r), json_integer(s->drops[r]));
	}
	return drops;
}

static void add_up(
    struct totals *totals, const struct queue_stats *s, bool ingress, uint64_t dropped)
{
	totals->dropped += dropped;
	if (ingress) {
		totals->ingress += s->frames;
		totals->ingress_done += s->unicast + s->flooded + dropped;
		totals->forwarded += s->unicast + s->flood_copies + s->gso_segments;
	} else {
		totals->egress += s->frames;
		totals->egress_done += s->frames + dropped;
	}
}

/* What the queues of ports that are removed had counted, for each direction. */
static json_t *removed_json(const struct removed_ports *removed, struct totals *totals)
{
	const struct queue_stats *in = &removed->ingress, *to = &removed->egress;
	uint64_t in_dropped, to_dropped;
	json_t *in_drops = drops_json(in, &in_dropped), *to_drops = drops_json(to, &to_dropped);

	add_up(totals, in, true, in_dropped);
	add_up(totals, to, false, to_dropped);
	return json_pack("{s:i, s:{s:I, s:I, s:I, s:I, s:I, s:I, s:o}, s:{s:I, s:I, s:o}}", "ports",
	    (int)removed->n, "ingress", "frames", (json_int_t)in->frames, "bytes",
	    (json_int_t)in->bytes, "unicast", (json_int_t)in->unicast, "flooded",
	    (json_int_t)in->flooded, "flood_copies", (json_int_t)in->flood_copies, "gso_segments",
	    (json_int_t)in->gso_segments, "drops", in_drops, "egress", "frames",
	    (json_int_t)to->frames, "bytes", (json_int_t)to->bytes, "drops", to_drops);
}

static json_t *queue_json(const struct queue *q, struct totals *totals)
{
	struct queue_stats s = q->stats;
	bool ingress = q->index % 2;
	uint64_t dropped;
	json_t *drops = drops_json(&s, &dropped);
	json_t *out = json_pack("{s:i, s:s, s:I, s:I, s:I, s:I, s:I, s:o}", "index", (int)q->index,
	    "direction", ingress ? "ingress" : "egress", "frames", (json_int_t)s.frames, "bytes",
	    (json_int_t)s.bytes, "calls", (json_int_t)s.calls, "calls_left",
	    (json_int_t)s.calls_left, "calls_suppressed", (json_int_t)s.calls_suppressed, "drops",
	    drops);
	const struct switch_port *sp = q->owner;
	const struct placement *place = place_of(q);

	sp->ops->report_queue(q, out);
	if (ingress) {
		json_object_set_new(out, "worker", json_integer(q->worker));
		json_object_set_new(out, "node", json_integer(place->node));
		json_object_set_new(
		    out, "busy_permille", json_integer(switch_port_up(sp) ? place->load : 0));
		json_object_set_new(out, "unicast", json_integer(s.unicast));
		json_object_set_new(out, "flooded", json_integer(s.flooded));
		json_object_set_new(out, "flood_copies", json_integer(s.flood_copies));
		json_object_set_new(out, "gso_segments", json_integer(s.gso_segments));
	}
	add_up(totals, &s, ingress, dropped);
	return out;
}

static json_t *port_json(
    const struct switch_port *sp, const struct address_lists *lists, struct totals *totals)
{
	const struct port_config *config = vswitch_port_config(sp);
	json_t *queues = json_array(), *port;
	char state[160];

	for (unsigned i = 0; i < SWITCH_PORT_QUEUES; i++) {
		const struct queue *q = sp->ops->queue(sp, i);

		if (q)
			json_array_append_new(queues, queue_json(q, totals));
	}
	port = json_pack("{s:i, s:s, s:s, s:b, s:s, s:o}", "index", (int)sp->index, "name",
	    sp->name, "path", config->path ? config->path : sp->name, "up", (int)switch_port_up(sp),
	    "state", vswitch_port_state(sp, state, sizeof(state)), "queues", queues);
	sp->ops->report(sp, port);
	report_addresses(port, switch_port_fdb(sp), lists, sp->index);
	return port;
}

static json_t *worker_json(const struct vswitch *sw, unsigned w)
{
	struct worker_stats s;

	workers_read_stats(sw->workers, w, &s);
	return json_pack("{s:i, s:i, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:I}", "lcore",
	    (int)s.lcore, "cpu", (int)s.cpu, "node", (int)s.node, "busy_permille",
	    (int)scheduler_load(sw->scheduler, w), "frames", (json_int_t)s.frames, "busy_turns",
	    (json_int_t)s.busy_turns, "busy_cycles", (json_int_t)s.busy_cycles, "idle_cycles",
	    (json_int_t)s.idle_cycles, "sleeps", (json_int_t)s.sleeps, "sleep_cycles",
	    (json_int_t)s.sleep_cycles);
}

static json_t *balance_json(const struct vswitch *sw)
{
	static const char *const modes[] = SCHEDULE_MODES;
	const struct schedule_config *config = scheduler_config(sw->scheduler);
	struct schedule_counts counts = scheduler_counts(sw->scheduler);

	return json_pack("{s:s, s:i, s:I, s:I}", "mode", modes[config->mode], "interval_ms",
	    (int)config->interval_ms, "proposed", (json_int_t)counts.proposed, "moved",
	    (json_int_t)counts.moved);
}

static json_t *totals_json(const struct totals *b)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:b}", "ingress", (json_int_t)b->ingress,
	    "forwarded", (json_int_t)b->forwarded, "egress", (json_int_t)b->egress, "dropped",
	    (json_int_t)b->dropped, "balanced",
	    b->ingress == b->ingress_done && b->forwarded == b->egress_done);
}

json_t *report_json(const struct vswitch *sw)
{
	json_t *ports = json_array(), *workers = json_array();
	struct address_lists *lists = address_lists_create(sw);
	const struct switch_port *sp;
	struct totals totals = {0};
	json_t *removed;

	workers_synchronize(sw->workers);
	for (unsigned p = 0; (sp = vswitch_next_port(sw, &p));) {
		if (!switch_port_gone(sp))
			json_array_append_new(ports, port_json(sp, lists, &totals));
	}
	removed = removed_json(&sw->removed, &totals);
	for (unsigned w = 0; w < workers_count(sw->workers); w++)
		json_array_append_new(workers, worker_json(sw, w));
	address_lists_destroy(lists);
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:I, s:I}", "version", VSWITCHD_VERSION,
	    "ports", ports, "removed", removed, "workers", workers, "balance", balance_json(sw),
	    "totals", totals_json(&totals), "forwardings", (json_int_t)sw->forwardings, "tsc_hz",
	    (json_int_t)rte_get_tsc_hz());
}
