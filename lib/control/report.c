/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The JSON object is the report; the text table is a view of it. Every number is read from the
 * workers' counters once, so that a table never contradicts its own sums.
 */
#include "control/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "base/log.h"
#include "control/vswitch.h"

/* Sums over the whole switch; see queue_stats for what must be equal. */
struct books {
	uint64_t received, settled;  /* frames taken; and decided: unicast, flooded, dropped */
	uint64_t forwarded, arrived; /* copies sent to a queue; and what became of them there */
	uint64_t delivered, dropped;
};

static json_t *drops_json(const struct queue_stats *s, uint64_t *ret_sum)
{
	json_t *drops = json_object();

	*ret_sum = 0;
	for (unsigned r = 0; r < DROP_N; r++) {
		if (s->drops[r] == 0)
			continue; /* only what happened */
		*ret_sum += s->drops[r];
		json_object_set_new(drops, drop_name(r), json_integer(s->drops[r]));
	}
	return drops;
}

static json_t *queue_json(const struct queue *q, struct books *books)
{
	struct queue_stats s = q->stats;
	bool receives = q->index % 2;
	uint64_t dropped;
	json_t *drops = drops_json(&s, &dropped);
	json_t *out = json_pack("{s:i, s:s, s:I, s:I, s:I, s:I, s:o}", "index", (int)q->index,
	    "direction", receives ? "receive" : "deliver", "frames", (json_int_t)s.frames, "bytes",
	    (json_int_t)s.bytes, "calls", (json_int_t)s.calls, "calls_suppressed",
	    (json_int_t)s.calls_suppressed, "drops", drops);
	const struct vport *vp = vport_of(q);
	const struct placement *place = place_of(q);

	books->dropped += dropped;
	if (receives) {
		json_object_set_new(out, "worker", json_integer(q->worker));
		json_object_set_new(out, "node", json_integer(place->node));
		json_object_set_new(out, "busy_permille", json_integer(vp->up ? place->load : 0));
		json_object_set_new(out, "unicast", json_integer(s.unicast));
		json_object_set_new(out, "flooded", json_integer(s.flooded));
		json_object_set_new(out, "flood_copies", json_integer(s.flood_copies));
		json_object_set_new(out, "segments", json_integer(s.segments));
		books->received += s.frames;
		books->settled += s.unicast + s.flooded + dropped;
		books->forwarded += s.unicast + s.flood_copies + s.segments;
	} else {
		books->delivered += s.frames;
		books->arrived += s.frames + dropped;
	}
	return out;
}

/* What a control queue that is left to us has been used for. */
static json_t *control_json(const struct net_control *nc)
{
	return json_pack("{s:b, s:i, s:I, s:I, s:I}", "served", nc->ring != NULL, "pairs",
	    (int)nc->pairs, "commands", (json_int_t)nc->counts.commands, "refused",
	    (json_int_t)nc->counts.refused, "waits", (json_int_t)nc->counts.waits);
}

static json_t *port_json(const struct vport *vp, struct books *books)
{
	json_t *queues = json_array();

	for (unsigned i = 0; i < VHOST_RINGS_MAX; i++)
		if (vp->queue[i])
			json_array_append_new(queues, queue_json(vp->queue[i], books));
	return json_pack("{s:i, s:s, s:b, s:b, s:o, s:o}", "index", (int)vp->port.index, "path",
	    vp->path, "connected", (int)vhost_endpoint_connected(vp->endpoint), "up", (int)vp->up,
	    "queues", queues, "control_queue", control_json(&vp->control));
}

static json_t *worker_json(const struct vswitch *sw, unsigned w)
{
	struct worker_stats s;

	workers_read_stats(sw->workers, w, &s);
	return json_pack("{s:i, s:i, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:I}", "lcore",
	    (int)s.lcore, "cpu", (int)s.cpu, "node", (int)s.node, "busy_permille",
	    (int)scheduler_load(sw->scheduler, w), "frames", (json_int_t)s.frames, "bursts",
	    (json_int_t)s.turns, "busy_cycles", (json_int_t)s.busy_cycles, "idle_cycles",
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

static json_t *books_json(const struct books *b)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:b}", "received", (json_int_t)b->received,
	    "forwarded", (json_int_t)b->forwarded, "delivered", (json_int_t)b->delivered, "dropped",
	    (json_int_t)b->dropped, "balanced",
	    b->received == b->settled && b->forwarded == b->arrived);
}

json_t *report_json(const struct vswitch *sw)
{
	json_t *ports = json_array(), *workers = json_array();
	struct books books = {0};

	workers_synchronize(sw->workers);
	for (unsigned p = 0; p < sw->n_ports; p++)
		json_array_append_new(ports, port_json(sw->vport[p], &books));
	for (unsigned w = 0; w < workers_count(sw->workers); w++)
		json_array_append_new(workers, worker_json(sw, w));
	return json_pack("{s:o, s:o, s:o, s:o, s:I}", "ports", ports, "workers", workers, "balance",
	    balance_json(sw), "books", books_json(&books), "tsc_hz", (json_int_t)rte_get_tsc_hz());
}

/* One direction of one port, summed over its queues. */
struct direction_sum {
	json_int_t frames, bytes, drops[DROP_N], dropped;
};

static void sum_direction(const json_t *port, const char *direction, struct direction_sum *sum)
{
	size_t i;
	json_t *q;

	memset(sum, 0, sizeof(*sum));
	json_array_foreach(json_object_get(port, "queues"), i, q)
	{
		const json_t *drops = json_object_get(q, "drops");

		if (strcmp(json_string_value(json_object_get(q, "direction")), direction) != 0)
			continue; /* the other direction's */
		sum->frames += json_integer_value(json_object_get(q, "frames"));
		sum->bytes += json_integer_value(json_object_get(q, "bytes"));
		for (unsigned r = 0; r < DROP_N; r++) {
			json_int_t n = json_integer_value(json_object_get(drops, drop_name(r)));

			sum->drops[r] += n;
			sum->dropped += n;
		}
	}
}

static void print_drops(FILE *out, const char *what, const struct direction_sum *sum)
{
	for (unsigned r = 0; r < DROP_N; r++)
		if (sum->drops[r])
			fprintf(out, "        %s %" PRId64 " dropped, %s: %s\n", what,
			    (int64_t)sum->drops[r], drop_name(r), drop_text(r));
}

static const char *link_state(const json_t *port)
{
	if (json_is_true(json_object_get(port, "up")))
		return "up";
	return json_is_true(json_object_get(port, "connected")) ? "waits" : "down";
}

static void print_port(FILE *out, const json_t *port)
{
	struct direction_sum in, to;

	sum_direction(port, "receive", &in);
	sum_direction(port, "deliver", &to);
	fprintf(out,
	    "%4d  %-5s %14" PRId64 " %16" PRId64 " %14" PRId64 " %16" PRId64 " %12" PRId64 "  %s\n",
	    (int)json_integer_value(json_object_get(port, "index")), link_state(port),
	    (int64_t)in.frames, (int64_t)in.bytes, (int64_t)to.frames, (int64_t)to.bytes,
	    (int64_t)(in.dropped + to.dropped), json_string_value(json_object_get(port, "path")));
	print_drops(out, "from the guest:", &in);
	print_drops(out, "to the guest:", &to);
}

static int number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

/* The receive queues that cost anything, below their worker. */
static void print_load(FILE *out, const json_t *ports, size_t worker)
{
	size_t p, i;
	json_t *port, *q;

	json_array_foreach(ports, p, port)
	{
		json_array_foreach(json_object_get(port, "queues"), i, q)
		{
			if (json_object_get(q, "worker") && number(q, "busy_permille") >= 10 &&
			    (size_t)number(q, "worker") == worker)
				fprintf(out, "        port %d queue %d %5d %%\n",
				    number(port, "index"), number(q, "index") / 2,
				    number(q, "busy_permille") / 10);
		}
	}
}

static void print_workers(FILE *out, const json_t *report)
{
	const json_t *ports = json_object_get(report, "ports");
	const json_t *balance = json_object_get(report, "balance");
	size_t i;
	json_t *w;

	json_array_foreach(json_object_get(report, "workers"), i, w)
	{
		fprintf(out, "worker on CPU %d, node %d: %d %% busy\n", number(w, "cpu"),
		    number(w, "node"), number(w, "busy_permille") / 10);
		print_load(out, ports, i);
	}
	if (i < 2)
		return; /* nobody to share with */
	fprintf(out, "balance %s: %d moves proposed, %d made\n",
	    json_string_value(json_object_get(balance, "mode")), number(balance, "proposed"),
	    number(balance, "moved"));
}

void report_text(const struct vswitch *sw, FILE *out)
{
	json_t *report = report_json(sw), *port;
	size_t i;

	if (!report)
		return;
	fprintf(out, "port  link  %14s %16s %14s %16s %12s  %s\n", "received", "bytes", "delivered",
	    "bytes", "dropped", "socket");
	json_array_foreach(json_object_get(report, "ports"), i, port) print_port(out, port);
	print_workers(out, report);
	fflush(out);
	json_decref(report);
}

int report_write(const struct vswitch *sw, const char *path)
{
	json_t *report = report_json(sw);
	char *temporary = NULL;
	int err = 0;

	/* syscalls: openat write rename unlink */
	if (!report || asprintf(&temporary, "%s.new", path) < 0)
		err = -ENOMEM;
	else if (json_dump_file(report, temporary, JSON_INDENT(1)) < 0 ||
	    rename(temporary, path) < 0)
		err = errno ? -errno : -EIO;
	if (err)
		log_error("cannot write counters to %s: %s", path, strerror(-err));
	free(temporary);
	json_decref(report);
	return err;
}
