/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The largest number of ports, with two queue pairs each: all come up within a time limit, a
 * broadcast reaches each of them once, some exchange frames beside a thousand idle ports, and the
 * counters balance.
 */
#include "functional.h"

#include "../skips.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PORTS   1024
#define PAIRS   2
#define RING    8
#define TALKERS 8
#define RUN_MS  1000
#define ROUND   6     /* broadcasts that fit into a ring */
#define HEAR_MS 10000 /* the time limit for all broadcasts under way */
/* doc/operating.md, "How large it can be" */
#define CONNECT_S   20
#define END_S       2
#define FDS_EACH    10
#define FDS_MORE    64 /* descriptors that the switch needs besides those of its ports */
#define PRIVATE_KIB (UINT64_C(80) * 1000 * 1000 / 1024)

struct crowd {
	struct switch_process sw;
	struct net_driver *nd[PORTS];
	unsigned heard[PORTS];
};

static double seconds_since(uint64_t start)
{
	return (double)(now_ns() - start) / 1e9;
}

/*
 * Connect all ports. The times of the first and the last hundred show whether connecting gets
 * slower.
 */
static void connect_all(struct crowd *c)
{
	struct net_config config = usual_config(FEATURES_BASE, PAIRS);
	uint64_t start = now_ns(), last = 0;
	double first_s = 0;

	config.ring_size = RING;
	for (unsigned i = 0; i < PORTS; i++) {
		if (i == 100)
			first_s = seconds_since(start);
		if (i == PORTS - 100)
			last = now_ns();
		c->nd[i] = attach(&c->sw, i, &config);
	}
	printf("%d ports connected in %.2f s, the first 100 in %.3f s, the last in %.3f s\n", PORTS,
	    seconds_since(start), first_s, seconds_since(last));
	must(seconds_since(start) < CONNECT_S, "it takes too long to connect them all");
}

static void listen_to(struct crowd *c, unsigned port)
{
	struct net_frame f;
	int got;

	for (unsigned pair = 0; pair < PAIRS; pair++) {
		while ((got = net_receive(c->nd[port], pair, &f)) > 0)
			c->heard[port]++;
		must(got == 0, "vswitchd wrote nonsense into a ring or beyond a buffer");
	}
}

/* Send broadcasts from some ports. Every other port must receive each of them once. */
static void broadcast(struct crowd *c, unsigned from, unsigned n)
{
	static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};
	uint64_t end = now_ns() + HEAR_MS * UINT64_C(1000000), random = 1;

	for (unsigned i = from; i < from + n; i++) {
		uint8_t frame[60], mac[6];

		station_mac(mac, i, 0);
		make_frame(frame, sizeof(frame), all, mac, &random);
		send_surely(c->nd[i], i % PAIRS, frame, sizeof(frame), NULL, NULL);
	}
	for (unsigned port = 0; port < PORTS; port++) {
		unsigned wanted = n - (port >= from && port < from + n);

		c->heard[port] = 0;
		while (c->heard[port] < wanted) {
			listen_to(c, port);
			must(now_ns() < end, "a broadcast does not reach a port");
		}
		must_equal(c->heard[port], wanted, "broadcasts that a port heard");
	}
}

static void talk(struct crowd *c)
{
	struct stream s[TALKERS];

	for (unsigned i = 0; i < TALKERS; i++) {
		s[i] = usual_stream(c->nd, i, i ^ 1, i + 1);
		s[i].from_pair = i / 2 % PAIRS;
		s[i].window = RING / 2;
	}
	streams_run(s, TALKERS, RUN_MS);
	for (unsigned i = 0; i < TALKERS; i++)
		must(s[i].received > 100, "a stream hardly flows");
}

/* Count the queues for which the switch found the NUMA node of their memory. */
static unsigned count_nodes(const json_t *port)
{
	unsigned n = 0;
	size_t i;
	json_t *q, *node;

	json_array_foreach(json_object_get(port, "queues"), i, q)
	{
		node = json_object_get(q, "node");
		n += node && json_integer_value(node) >= 0;
	}
	return n;
}

static void check_counters(const json_t *stats)
{
	unsigned queues = 0, nodes = 0;

	switch_check_totals(stats);
	for (unsigned p = 0; p < PORTS; p++) {
		json_t *port = json_array_get(json_object_get(stats, "ports"), p);

		nodes += count_nodes(port);
		queues += json_array_size(json_object_get(port, "queues"));
		must_equal(
		    switch_drops(stats, p, "ingress", NULL), 0, "frames dropped from a port");
		must_equal(switch_drops(stats, p, "egress", NULL), 0, "frames dropped to a port");
	}
	must_equal(queues, PORTS * PAIRS * 2, "queues");
	must_equal(switch_counter(stats, PORTS - 1, "egress", "frames"), TALKERS + 1,
	    "frames at a port that only listens");
	printf("the node of %u of %u ingress queues is known\n", nodes, queues / 2);
}

static void test_a_thousand_ports(void **state)
{
	struct crowd *c = calloc(1, sizeof(*c));
	struct switch_usage usage;
	uint64_t start = now_ns();
	json_t *stats;

	(void)state;
	if (!allow_descriptors(16 * PORTS))
		skip_without("open-files", "1,024 ports, for ulimit -Hn is below 16,384");
	/*
	 * With this variable the allocator would write to memory that the switch reserves and never
	 * touches.
	 */
	unsetenv("MALLOC_PERTURB_");
	switch_start(&c->sw, PORTS, 2, false);
	printf("ready after %.2f s\n", seconds_since(start));
	connect_all(c);
	start = now_ns();
	broadcast(c, 0, ROUND);
	broadcast(c, ROUND, TALKERS - ROUND);
	printf("%d broadcasts to all heard after %.2f s\n", TALKERS, seconds_since(start));
	talk(c);
	broadcast(c, 500, 1);
	usage = switch_usage(&c->sw);
	printf("%u descriptors, %u mappings, %llu KiB\n", usage.n_fds, usage.n_maps,
	    (unsigned long long)usage.private_kib);
	must(usage.n_fds <= PORTS * FDS_EACH + FDS_MORE, "a port takes more descriptors");
	must(usage.private_kib <= PRIVATE_KIB, "they take more memory");
	start = now_ns();
	stats = switch_stop(&c->sw);
	printf("ended after %.2f s\n", seconds_since(start));
	must(seconds_since(start) <= END_S, "the end takes longer");
	check_counters(stats);
	json_decref(stats);
	switch_remove(&c->sw);
	for (unsigned i = 0; i < PORTS; i++)
		net_driver_destroy(c->nd[i]);
	free(c);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_thousand_ports)};

	if (argc > 1)
		switch_binary(argv[1]);
	if (argc > 2)
		cmocka_set_test_filter(argv[2]);
	return group_status(cmocka_run_group_tests(tests, NULL, NULL));
}
