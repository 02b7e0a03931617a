/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ingress queues move to other workers while frames flow. No frame is lost, the order of frames
 * stays, and the counters balance. The balancer moves a queue once if that helps. In a dry run it
 * only logs the move.
 */
#include "functional.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PORTS   4
#define PAIRS   2
#define STREAMS (PORTS * PAIRS)
#define RUN_MS  500
#define MOVES   300
#define HOT     8 /* ports of the tests of the balancer */

struct lab {
	struct switch_process sw;
	unsigned n;
	struct net_driver *nd[HOT];
};

static void open_lab(struct lab *l, unsigned n, const struct net_config *c, const char *options)
{
	switch_option(options);
	switch_start(&l->sw, n, 2, false);
	switch_option(NULL);
	l->n = n;
	for (unsigned i = 0; i < n; i++)
		l->nd[i] = attach(&l->sw, i, c);
	introduce(l->nd, n);
}

static void close_lab(struct lab *l)
{
	switch_finish(&l->sw);
	for (unsigned i = 0; i < l->n; i++)
		net_driver_destroy(l->nd[i]);
}

static uint64_t of_balance(struct lab *l, const char *counter)
{
	json_t *stats = switch_stats(&l->sw);
	uint64_t n =
	    json_integer_value(json_object_get(json_object_get(stats, "balance"), counter));

	json_decref(stats);
	return n;
}

static unsigned worker_of(const json_t *stats, unsigned port, unsigned pair)
{
	json_t *ports = json_object_get(stats, "ports"), *q;
	size_t i;

	json_array_foreach(json_object_get(json_array_get(ports, port), "queues"), i, q)
	{
		if (json_integer_value(json_object_get(q, "index")) == 2 * pair + 1)
			return json_integer_value(json_object_get(q, "worker"));
	}
	fail_msg("no such queue");
	return 0;
}

/* One stream from each queue, to the ports in turn; every queue moves every few milliseconds. */
static void stream_while_moving(uint64_t features, const char *options)
{
	struct net_config c = usual_config(features, PAIRS);
	struct stream s[STREAMS];
	struct lab l;
	json_t *stats;

	open_lab(&l, PORTS, &c, options);
	for (unsigned i = 0; i < STREAMS; i++) {
		unsigned from = i / PAIRS, to = (from + 1 + i % PAIRS) % PORTS;

		s[i] = usual_stream(l.nd, from, to, i + 1);
		s[i].from_pair = i % PAIRS;
	}
	for (unsigned i = 0; i < 60 && of_balance(&l, "moved") < MOVES; i++)
		streams_run(s, STREAMS, RUN_MS);
	must(of_balance(&l, "moved") >= MOVES, "queues are moved too rarely");
	stats = switch_stats(&l.sw);
	for (unsigned p = 0; p < PORTS; p++) {
		must_equal(
		    switch_drops(stats, p, "ingress", NULL), 0, "frames dropped from a port");
		must_equal(switch_drops(stats, p, "egress", NULL), 0, "frames dropped to a port");
	}
	json_decref(stats);
	close_lab(&l);
}

static void test_moving_queues_lose_and_reorder_nothing(void **state)
{
	(void)state;
	stream_while_moving(FEATURES_BASE, "--balance=rotate --balance-interval=2");
	stream_while_moving(FEATURES_PACKED, "--balance=rotate --balance-interval=2");
	stream_while_moving(FEATURES_BASE, "--balance=rotate --balance-interval=2 --idle=poll");
}

/*
 * Frames are sent one by one. Between them both workers sleep, so each kick must wake the worker
 * that has the queue now.
 */
static void test_a_kick_finds_the_worker_that_has_the_queue_now(void **state)
{
	struct net_config c = usual_config(FEATURES_BASE, 1);
	uint64_t random = 3;
	struct lab l;

	(void)state;
	open_lab(&l, PORTS, &c, "--balance=rotate --balance-interval=9");
	for (unsigned i = 0; i < 500 || of_balance(&l, "moved") < MOVES; i++) {
		unsigned from = i % PORTS, to = (i + 1) % PORTS;
		uint8_t frame[60], src[6], dst[6];
		struct net_frame f;

		station_mac(src, from, 0);
		station_mac(dst, to, 0);
		make_frame(frame, sizeof(frame), dst, src, &random);
		send_surely(l.nd[from], 0, frame, sizeof(frame), NULL, NULL);
		must(receive_within(l.nd[to], 0, &f, 400), "a kick was not heard");
		must(memcmp(f.bytes, frame, sizeof(frame)) == 0, "the bytes of a frame changed");
		usleep(random_between(&random, 0, 12000));
	}
	close_lab(&l);
}

/*
 * Keep a worker busy: two ports that it polls send broadcasts to guests that take no frames. Every
 * burst finds seven full rings and tries them again.
 */
static void load_worker(struct lab *l, const unsigned port[2], unsigned ms)
{
	static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};
	uint64_t end = now_ns() + ms * UINT64_C(1000000), random = 5;
	uint8_t frame[2][60];

	for (unsigned i = 0; i < 2; i++) {
		uint8_t mac[6];

		station_mac(mac, port[i], 0);
		make_frame(frame[i], 60, all, mac, &random);
	}
	while (now_ns() < end) {
		bool any = false;

		for (unsigned k = 0; k < 64; k++)
			any |= net_send(l->nd[port[k % 2]], 0, frame[k % 2], 60, NULL, NULL) == 0;
		if (!any)
			usleep(10); /* the transmit rings are full */
	}
}

/* Two ports whose queues one worker polls. */
static void find_mates(struct lab *l, unsigned ret_port[2])
{
	json_t *stats = switch_stats(&l->sw);
	unsigned first = worker_of(stats, 0, 0), mate = 1;

	while (mate < l->n && worker_of(stats, mate, 0) != first)
		mate++;
	must(mate < l->n, "eight queues are not shared out over two workers");
	ret_port[0] = 0;
	ret_port[1] = mate;
	json_decref(stats);
}

static void open_hot_lab(struct lab *l, unsigned ret_port[2], const char *options)
{
	struct net_config c = usual_config(FEATURES_BASE, 1);

	c.ring_size = 1024;
	c.n_receive = 64;
	open_lab(l, HOT, &c, options);
	find_mates(l, ret_port);
}

static void test_a_busy_worker_gives_a_queue_away_once(void **state)
{
	unsigned port[2];
	struct lab l;
	json_t *stats;

	(void)state;
	open_hot_lab(&l, port, "--balance=on --balance-interval=100 --balance-threshold=40");
	for (unsigned i = 0; i < 50 && of_balance(&l, "moved") == 0; i++)
		load_worker(&l, port, 200);
	stats = switch_stats(&l.sw);
	must(worker_of(stats, port[0], 0) != worker_of(stats, port[1], 0),
	    "two busy queues stay with one worker");
	json_decref(stats);
	must(switch_log_contains(&l.sw, ": moved queue 0 from CPU "), "a move is not logged");
	load_worker(&l, port, 2000);
	must_equal(of_balance(&l, "moved"), 1, "moves");
	close_lab(&l);
}

static void test_a_dry_run_only_says_so(void **state)
{
	unsigned port[2];
	struct lab l;

	(void)state;
	open_hot_lab(&l, port, "--balance=dry-run --balance-interval=100 --balance-threshold=40");
	for (unsigned i = 0; i < 50 && of_balance(&l, "proposed") == 0; i++)
		load_worker(&l, port, 200);
	must(switch_log_contains(&l.sw, ": would move queue 0 from CPU "), "nothing is proposed");
	must_equal(of_balance(&l, "moved"), 0, "moves in a dry run");
	close_lab(&l);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_moving_queues_lose_and_reorder_nothing),
	    cmocka_unit_test(test_a_kick_finds_the_worker_that_has_the_queue_now),
	    cmocka_unit_test(test_a_busy_worker_gives_a_queue_away_once),
	    cmocka_unit_test(test_a_dry_run_only_says_so),
	};

	if (argc > 1)
		switch_binary(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
