/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * Prints the report as a table for people. There is one line for each port. Indented lines below it
 * show the state of the link, the front-end and its features, the addresses behind the port, and
 * the drops. The workers follow after the ports. All data comes from the JSON object of the report,
 * so the table and the JSON cannot differ.
 */
#include "control/report.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "datapath/drop.h"

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

/* The texts of the column "link", with their meanings. */
static const struct link_state {
	const char *word, *meaning;
} link_up = {"up", ""},
  link_waits = {"waits", "a front-end is connected; its driver has started no ring"},
  link_down = {"down", "no front-end is connected"};

static const struct link_state *link_state(const json_t *port)
{
	if (json_is_true(json_object_get(port, "up")))
		return &link_up;
	return json_is_true(json_object_get(port, "connected")) ? &link_waits : &link_down;
}

static int number(const json_t *object, const char *name)
{
	return (int)json_integer_value(json_object_get(object, name));
}

/* For example "packed rings of 256, 1 of 2 queue pairs enabled". */
static void print_queues(FILE *out, const json_t *port)
{
	unsigned enabled = 0, active = 0, size = 0;
	size_t i;
	json_t *q;

	json_array_foreach(json_object_get(port, "queues"), i, q)
	{
		bool ingress =
		    strcmp(json_string_value(json_object_get(q, "direction")), "ingress") == 0;

		if (!ingress || !json_is_true(json_object_get(q, "active")))
			continue; /* only one ring of each pair is counted */
		active++;
		enabled += json_is_true(json_object_get(q, "enabled"));
		size = number(q, "size");
	}
	if (active)
		fprintf(out, ", %s rings of %u, %u of %u queue pairs enabled",
		    json_string_value(json_object_get(port, "rings")), size, enabled, active);
}

static void print_memory(FILE *out, const json_t *memory)
{
	json_int_t bytes = json_integer_value(json_object_get(memory, "bytes"));

	if (bytes)
		fprintf(out, ", %" PRId64 " KiB of memory in pages of %" PRId64 " KiB",
		    (int64_t)bytes >> 10,
		    (int64_t)json_integer_value(json_object_get(memory, "page_size")) >> 10);
}

static void print_features(FILE *out, const json_t *features)
{
	size_t i;
	json_t *name;

	if (json_array_size(features) == 0)
		return;
	fprintf(out, "        features:");
	json_array_foreach(features, i, name) fprintf(out, " %s", json_string_value(name));
	fputc('\n', out);
}

static void print_frontend(FILE *out, const json_t *port)
{
	const json_t *frontend = json_object_get(port, "frontend");

	if (!frontend)
		return;
	fprintf(out, "        process %d, connected for %d s", number(frontend, "pid"),
	    number(frontend, "connected_s"));
	print_queues(out, port);
	if (number(port, "mtu"))
		fprintf(out, ", MTU %d", number(port, "mtu"));
	print_memory(out, json_object_get(port, "memory"));
	fputc('\n', out);
	print_features(out, json_object_get(port, "features"));
}

#define ADDRESSES_SHOWN 24

static void print_addresses(FILE *out, const json_t *port)
{
	json_t *addresses = json_object_get(port, "addresses"), *age;
	int all = number(port, "address_count"), shown = 0;
	const char *mac;

	if (json_object_size(addresses) == 0)
		return;
	fprintf(out, "        addresses, seconds since heard:");
	json_object_foreach(addresses, mac, age)
	{
		if (shown == ADDRESSES_SHOWN)
			break;
		fprintf(out, "%s %s %d", shown++ ? "," : "", mac, (int)json_integer_value(age));
	}
	if (all > shown)
		fprintf(out, " and %d more", all - shown);
	fputc('\n', out);
}

static void print_port(FILE *out, const json_t *port)
{
	const struct link_state *link = link_state(port);
	struct direction_sum in, to;

	sum_direction(port, "ingress", &in);
	sum_direction(port, "egress", &to);
	fprintf(out,
	    "%4d  %-5s %14" PRId64 " %16" PRId64 " %14" PRId64 " %16" PRId64 " %12" PRId64 "  %s\n",
	    number(port, "index"), link->word, (int64_t)in.frames, (int64_t)in.bytes,
	    (int64_t)to.frames, (int64_t)to.bytes, (int64_t)(in.dropped + to.dropped),
	    json_string_value(json_object_get(port, "path")));
	if (*link->meaning)
		fprintf(out, "        %s: %s\n", link->word, link->meaning);
	print_frontend(out, port);
	print_addresses(out, port);
	print_drops(out, "from the guest:", &in);
	print_drops(out, "to the guest:", &to);
}

/* Below a worker: list its ingress queues that take at least 1 % of its time. */
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
		return; /* one worker has nothing to balance */
	fprintf(out, "balance %s: %d moves proposed, %d made\n",
	    json_string_value(json_object_get(balance, "mode")), number(balance, "proposed"),
	    number(balance, "moved"));
}

void report_text(const json_t *report, FILE *out)
{
	const json_t *port;
	size_t i;

	fprintf(out, "vswitchd %s\n", json_string_value(json_object_get(report, "version")));
	fprintf(out, "port  link  %14s %16s %14s %16s %12s  %s\n", "ingress", "bytes", "egress",
	    "bytes", "dropped", "socket");
	json_array_foreach(json_object_get(report, "ports"), i, port) print_port(out, port);
	print_workers(out, report);
}
