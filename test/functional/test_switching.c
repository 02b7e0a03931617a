/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * A switch learns, floods, delivers to the owner of an address only, and follows a station that
 * moves. A frame that it refuses is counted with its reason, at the right port.
 *
 * The switch returns the buffers of a sender last: then each frame in them is delivered, or dropped
 * and counted. So a test waits for the buffers, and then looks at the ports and at the counters. No
 * check depends on how fast the machine is.
 *
 * Tests that need no options share one switch. Each of them leaves the addresses and the ports as
 * it found them, and compares counters with those of its beginning.
 */
#include "functional.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define N          3
#define SECOND_NS  UINT64_C(1000000000)
#define TIMEOUT_NS (10 * SECOND_NS)

struct lab {
	struct switch_process sw;
	struct net_driver *nd[N];
	uint8_t mac[N][6];
	uint64_t random;
	json_t *before; /* counters at the beginning of the test */
};

static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};

static void begin(struct lab *l)
{
	json_decref(l->before);
	l->before = switch_stats(&l->sw);
}

/* Nothing may wait at a port that the test did not expect. */
static void end(struct lab *l)
{
	for (unsigned i = 0; i < N; i++)
		must_equal(drain(l->nd[i], 0), 0, "frames that nobody expected");
}

/*
 * If the switch needs much time for a front-end, the front-end has to wait for a multiple of this
 * time. On a busy machine these are seconds.
 */
static struct net_driver *attach_patiently(
    struct switch_process *sw, unsigned port, const struct net_config *c)
{
	struct net_driver *nd;

	must_equal(-net_driver_create(c, &nd), 0, "errno of net_driver_create");
	nd->fe.timeout_ms = TIMEOUT_NS / 1000000;
	must_equal(-net_driver_connect(nd, sw->path[port]), 0, "errno of net_driver_connect");
	return nd;
}

static struct lab *lab_open(const struct net_config *c, unsigned n_workers)
{
	struct lab *l = calloc(1, sizeof(*l));

	switch_start(&l->sw, N, n_workers, false);
	for (unsigned i = 0; i < N; i++) {
		l->nd[i] = attach_patiently(&l->sw, i, c);
		station_mac(l->mac[i], i, 0);
	}
	introduce(l->nd, N);
	l->random = 7;
	begin(l);
	return l;
}

static void lab_close(struct lab *l)
{
	end(l);
	switch_finish(&l->sw);
	for (unsigned i = 0; i < N; i++)
		net_driver_destroy(l->nd[i]);
	json_decref(l->before);
	free(l);
}

static struct lab *shared; /* by the tests that need no options */

static bool shared_ended_well; /* cmocka's result does not tell */

static int open_shared(void **state)
{
	struct net_config c = usual_config(FEATURES_BASE, 1);

	(void)state;
	shared = lab_open(&c, 1);
	return 0;
}

static int close_shared(void **state)
{
	(void)state;
	if (!shared)
		return -1; /* it was not opened */
	lab_close(shared);
	shared_ended_well = true;
	return 0;
}

static int begin_shared(void **state)
{
	begin(shared);
	*state = shared;
	return 0;
}

static int end_shared(void **state)
{
	end(*state);
	return 0;
}

/* Send n times the same frame, and wait until the switch has handled them. */
static void send_and_wait(
    struct lab *l, unsigned from, const uint8_t *frame, uint32_t len, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		send_surely(l->nd[from], 0, frame, len, NULL, NULL);
	wait_handled(l->nd[from]);
}

/* Send a frame from a port; it must arrive, unchanged and once, at just the ports in mask. */
static void expect_at(
    struct lab *l, unsigned from, const uint8_t *dst, const uint8_t *src, unsigned mask)
{
	uint8_t frame[100];

	make_frame(frame, sizeof(frame), dst, src, &l->random);
	send_and_wait(l, from, frame, sizeof(frame), 1);
	for (unsigned i = 0; i < N; i++) {
		bool wanted = mask & (1u << i);
		struct net_frame f;
		bool got = receive_within(l->nd[i], 0, &f, 0);

		must_equal(got, wanted, "whether the frame is at a port");
		if (!got)
			continue;
		must_equal(f.len, sizeof(frame), "length of a frame");
		must(memcmp(f.bytes, frame, f.len) == 0, "the bytes of a frame changed");
		must(!receive_within(l->nd[i], 0, &f, 0), "a frame arrives twice");
	}
}

static void expect_drops(
    struct lab *l, unsigned port, const char *direction, const char *reason, uint64_t n)
{
	json_t *stats = switch_stats(&l->sw);

	must_equal(switch_drops(stats, port, direction, reason) -
		switch_drops(l->before, port, direction, reason),
	    n, reason);
	json_decref(stats);
}

/* Wait until the report says this of port 2. */
static void wait_for_port_2(struct lab *l, bool (*condition)(const json_t *port), const char *what)
{
	uint64_t deadline = now_ns() + TIMEOUT_NS;

	for (bool done = false; !done;) {
		json_t *stats = switch_stats(&l->sw);

		must(now_ns() < deadline, what);
		done = condition(json_array_get(json_object_get(stats, "ports"), 2));
		json_decref(stats);
	}
}

static bool is_down(const json_t *port)
{
	return json_is_false(json_object_get(port, "up"));
}

static bool has_no_address(const json_t *port)
{
	const json_t *count = json_object_get(port, "address_count");

	return json_is_integer(count) && json_integer_value(count) == 0;
}

/* The front-end of port 2 goes. If the switch forgot its addresses too early, it has done it then.
 */
static void leave_for_a_while(struct lab *l)
{
	frontend_disconnect(&l->nd[2]->fe);
	wait_for_port_2(l, is_down, "the port stays up");
	usleep(200000);
}

static void test_broadcast_multicast_and_unknown_go_to_all_others_once(void **state)
{
	static const uint8_t multicast[6] = {0x01, 0x00, 0x5e, 1, 2, 3};
	static const uint8_t unknown[6] = {2, 9, 9, 9, 9, 9};
	struct lab *l = *state;

	for (unsigned i = 0; i < N; i++) {
		expect_at(l, i, broadcast, l->mac[i], 7 & ~(1u << i));
		expect_at(l, i, multicast, l->mac[i], 7 & ~(1u << i));
		expect_at(l, i, unknown, l->mac[i], 7 & ~(1u << i));
	}
}

/*
 * Send frames to the 16 link-local addresses, 01:80:c2:00:00:00 to 01:80:c2:00:00:0f. The second
 * address is that of pause frames. Frames to it are dropped even if link-local frames are
 * forwarded.
 */
static void run_link_local(struct lab *l, bool forwarded)
{
	for (uint8_t last = 0; last < 16; last++) {
		const uint8_t dst[6] = {0x01, 0x80, 0xc2, 0, 0, last};

		expect_at(l, 0, dst, l->mac[0], forwarded && last != 1 ? 6 : 0);
	}
	expect_drops(l, 0, "ingress", "link-local", forwarded ? 1 : 16);
}

static void test_link_local_frames_are_dropped_and_counted(void **state)
{
	run_link_local(*state, false);
}

static void test_link_local_frames_pass_if_asked_for(void **state)
{
	struct net_config c = usual_config(FEATURES_BASE, 1);
	struct lab *l;

	(void)state;
	switch_option("--forward-bpdu");
	l = lab_open(&c, 1);
	switch_option(NULL);
	run_link_local(l, true);
	lab_close(l);
}

static void test_unicast_goes_to_its_owner_only(void **state)
{
	struct lab *l = *state;

	for (unsigned i = 0; i < N; i++)
		for (unsigned k = 0; k < N; k++)
			if (i != k)
				expect_at(l, i, l->mac[k], l->mac[i], 1u << k);
}

static void test_a_station_that_moves_is_followed(void **state)
{
	struct lab *l = *state;

	expect_at(l, 0, l->mac[1], l->mac[0], 1u << 1);
	expect_at(l, 2, broadcast, l->mac[1], 3); /* station 1 sends from port 2 now */
	expect_at(l, 0, l->mac[1], l->mac[0], 1u << 2);
	expect_at(l, 1, broadcast, l->mac[1], 5); /* and from port 1 again */
	expect_at(l, 0, l->mac[1], l->mac[0], 1u << 1);
}

static void test_hairpin_is_dropped_and_counted(void **state)
{
	struct lab *l = *state;
	uint8_t second[6];

	station_mac(second, 0, 1);
	expect_at(l, 0, broadcast, second, 6);
	expect_at(l, 0, l->mac[0], second, 0);
	expect_at(l, 0, second, l->mac[0], 0);
	expect_drops(l, 0, "ingress", "hairpin", 2);
}

static void test_bad_sources_are_dropped_and_counted(void **state)
{
	static const uint8_t zero[6], group[6] = {3, 0, 0, 0, 0, 1};
	struct lab *l = *state;

	expect_at(l, 0, l->mac[1], zero, 0);
	expect_at(l, 0, broadcast, group, 0);
	expect_at(l, 0, broadcast, broadcast, 0);
	expect_drops(l, 0, "ingress", "bad-source", 3);
	/* The group address was not learned. */
	expect_at(l, 1, group, l->mac[1], 5);
}

static void test_runts_are_dropped_and_counted(void **state)
{
	struct lab *l = *state;
	uint8_t frame[14] = {0};

	for (unsigned len = 1; len < 14; len++)
		send_and_wait(l, 0, frame, len, 1);
	expect_at(l, 0, l->mac[1], l->mac[0], 2);
	expect_drops(l, 0, "ingress", "runt", 13);
}

/* The front-end tells the MTU before the rings start. */
static void test_frames_longer_than_the_agreed_mtu_are_dropped_and_counted(void **state)
{
	struct net_config c = usual_config(FEATURES_BASE | VIRTIO_BIT(NET_F_MTU), 1);
	uint8_t frame[1000 + 23];
	struct net_frame f;
	struct lab *l;

	(void)state;
	c.protocol_features = VHOST_PROTOCOL_BIT(NET_MTU);
	l = lab_open(&c, 1);
	must_equal(-net_driver_stop(l->nd[0]), 0, "errno of stop");
	must_equal(-frontend_set_u64(&l->nd[0]->fe, VHOST_USER_NET_SET_MTU, 1000), 0,
	    "errno of NET_SET_MTU");
	must_equal(-net_driver_resume(l->nd[0]), 0, "errno of resume");
	for (unsigned from = 0; from < 2; from++) {
		make_frame(frame, sizeof(frame), l->mac[2], l->mac[from], &l->random);
		send_and_wait(l, from, frame, sizeof(frame) - 1, 1);
		send_and_wait(l, from, frame, sizeof(frame), 1);
	}
	for (unsigned n = 0; n < 3; n++)
		must(receive_within(l->nd[2], 0, &f, 0), "a frame that is not too long");
	must(!receive_within(l->nd[2], 0, &f, 0), "no frame that is too long");
	expect_drops(l, 0, "ingress", "oversize", 1);
	expect_drops(l, 1, "ingress", "oversize", 0);
	lab_close(l);
}

static void test_frames_for_a_port_that_left_are_counted(void **state)
{
	struct lab *l = *state;
	uint8_t frame[100];
	json_t *stats;

	leave_for_a_while(l);
	make_frame(frame, sizeof(frame), l->mac[2], l->mac[0], &l->random);
	send_and_wait(l, 0, frame, sizeof(frame), 10);
	must_equal(drain(l->nd[1], 0), 0, "frames of somebody else");
	expect_drops(l, 0, "ingress", "port-down", 10);
	stats = switch_stats(&l->sw);
	must_equal(switch_counter(stats, 0, "ingress", "flooded"),
	    switch_counter(l->before, 0, "ingress", "flooded"), "frames flooded");
	json_decref(stats);
	must_equal(-connect_patiently(l->nd[2], l->sw.path[2]), 0, "errno of a second connection");
	expect_at(l, 2, broadcast, l->mac[2], 3);
	expect_at(l, 0, l->mac[2], l->mac[0], 4);
}

/* Send ten frames to the station of port 2. Returns how many of them were flooded. */
static uint64_t flooded_for_2(struct lab *l)
{
	json_t *stats = switch_stats(&l->sw);
	uint64_t before = switch_counter(stats, 0, "ingress", "flooded"), after;
	uint8_t frame[100];

	json_decref(stats);
	make_frame(frame, sizeof(frame), l->mac[2], l->mac[0], &l->random);
	send_and_wait(l, 0, frame, sizeof(frame), 10);
	stats = switch_stats(&l->sw);
	after = switch_counter(stats, 0, "ingress", "flooded");
	json_decref(stats);
	must_equal(drain(l->nd[1], 0), after - before, "flooded frames at the other port");
	return after - before;
}

static struct lab *lab_with_option(const char *option)
{
	struct net_config c = usual_config(FEATURES_BASE, 1);
	struct lab *l;

	switch_option(option);
	l = lab_open(&c, 1);
	switch_option(NULL);
	return l;
}

static void test_a_front_end_that_comes_back_keeps_its_addresses(void **state)
{
	struct lab *l = *state;

	for (unsigned i = 0; i < 3; i++) {
		leave_for_a_while(l);
		must_equal(flooded_for_2(l), 0, "frames flooded while it is away");
		must_equal(-connect_patiently(l->nd[2], l->sw.path[2]), 0, "errno of a connection");
		expect_at(l, 0, l->mac[2], l->mac[0], 4);
	}
}

/* A thread of the switch writes its log, so a line comes some time after its cause. */
static void wait_for_log(struct lab *l, const char *text)
{
	uint64_t deadline = now_ns() + TIMEOUT_NS;

	while (!switch_log_contains(&l->sw, text)) {
		must(now_ns() < deadline, text);
		usleep(1000);
	}
}

static void test_addresses_of_a_front_end_that_stays_away_are_forgotten(void **state)
{
	struct lab *l = lab_with_option("--forget-after 1");
	uint64_t gone = now_ns(), flooded;

	(void)state;
	frontend_disconnect(&l->nd[2]->fe);
	flooded = flooded_for_2(l);
	must(flooded == 0 || now_ns() - gone >= SECOND_NS, "frames flooded at first");
	wait_for_port_2(l, has_no_address, "the addresses stay");
	must(now_ns() - gone >= SECOND_NS, "the addresses are forgotten too early");
	wait_for_log(l, "1 addresses are forgotten: its front-end did not come back");
	must_equal(flooded_for_2(l), 10, "frames flooded after the time");
	/* A guest that connects to the socket now gets such frames like all other ports. */
	must_equal(-connect_patiently(l->nd[2], l->sw.path[2]), 0, "errno of a connection");
	expect_at(l, 0, l->mac[2], l->mac[0], 6);
	/* After a frame from the address at another port, frames for it go there. */
	expect_at(l, 1, broadcast, l->mac[2], 5);
	expect_at(l, 0, l->mac[2], l->mac[0], 2);
	lab_close(l);
}

/* Start a process that is another guest at port 2 until it is killed. */
static pid_t other_guest(const struct lab *l)
{
	struct net_config c = usual_config(FEATURES_BASE, 1);
	struct net_driver *nd;
	pid_t pid = fork();

	must(pid >= 0, "fork");
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (net_driver_create(&c, &nd) || connect_patiently(nd, l->sw.path[2]))
		_exit(1);
	for (;;)
		pause();
}

static void test_another_front_end_does_not_get_its_predecessors_frames_alone(void **state)
{
	struct lab *l = lab_with_option(NULL);
	pid_t pid;

	(void)state;
	frontend_disconnect(&l->nd[2]->fe);
	pid = other_guest(l);
	wait_for_port_2(l, has_no_address, "the addresses stay");
	wait_for_log(l, "1 addresses are forgotten: another front-end has connected");
	must_equal(flooded_for_2(l), 10, "frames flooded when another one has come");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	lab_close(l);
}

static void test_a_full_receiver_is_counted(void **state)
{
	struct lab *l = *state;
	uint8_t frame[100];

	make_frame(frame, sizeof(frame), l->mac[1], l->mac[0], &l->random);
	send_and_wait(l, 0, frame, sizeof(frame), 1000);
	expect_drops(l, 1, "egress", "ring-full", 1000 - 256);
	must_equal(drain(l->nd[1], 0), 256, "frames that found room");
	expect_at(l, 0, l->mac[1], l->mac[0], 2);
}

static void test_a_disabled_transmit_queue_is_drained_and_counted(void **state)
{
	struct lab *l = *state;

	must_equal(-frontend_set_vring_enable(&l->nd[0]->fe, 1, false), 0, "errno of disable");
	expect_at(l, 0, l->mac[1], l->mac[0], 0);
	expect_at(l, 0, broadcast, l->mac[0], 0);
	expect_drops(l, 0, "ingress", "queue-disabled", 2);
	must_equal(-frontend_set_vring_enable(&l->nd[0]->fe, 1, true), 0, "errno of enable");
	expect_at(l, 0, l->mac[1], l->mac[0], 2);
}

static void test_too_small_buffers_are_counted(void **state)
{
	struct net_config c = usual_config(FEATURES_BASE & ~VIRTIO_BIT(NET_F_MRG_RXBUF), 1);
	struct lab *l;
	uint8_t frame[300];

	(void)state;
	c.receive_shape = (struct net_shape){.n = 2, .len = {12, 200}, .gap = 8};
	l = lab_open(&c, 1);
	make_frame(frame, sizeof(frame), l->mac[1], l->mac[0], &l->random);
	send_and_wait(l, 0, frame, 201, 1);
	send_and_wait(l, 0, frame, 300, 1);
	expect_at(l, 0, l->mac[1], l->mac[0], 2);
	expect_drops(l, 1, "egress", "buffer-too-small", 2);
	lab_close(l);
}

enum { FLOWS = 64, ROUNDS = 50, PAIRS = 4 };

struct flows {
	unsigned queue_of[FLOWS], next[FLOWS], used[PAIRS], got;
};

/* Send frame number k of each flow: IPv4, UDP; the flow is the source port. */
static void send_round(struct lab *l, unsigned k)
{
	for (unsigned flow = 0; flow < FLOWS; flow++) {
		uint8_t frame[FLOW_LEN];

		make_flow(frame, l->mac[1], l->mac[0], flow);
		frame[50] = k;
		send_surely(l->nd[0], flow % PAIRS, frame, sizeof(frame), NULL, NULL);
	}
}

/* Take all frames that wait. Each must be the next one of its flow, on the queue of the flow. */
static void take_flows(struct lab *l, struct flows *all)
{
	struct net_frame f;

	for (unsigned pair = 0; pair < PAIRS; pair++) {
		while (receive_within(l->nd[1], pair, &f, 0)) {
			unsigned flow = f.len == 64 ? f.bytes[35] : FLOWS;

			must(flow < FLOWS, "a frame of nobody");
			must_equal(f.bytes[50], all->next[flow]++, "number of a flow's frame");
			if (f.bytes[50] == 0)
				all->queue_of[flow] = pair;
			must_equal(all->queue_of[flow], pair, "queue of a flow");
			all->used[pair]++;
			all->got++;
		}
	}
}

/*
 * Send numbered frames of 64 flows: all frames of a flow must arrive on the same queue, in order.
 * The frames of two rounds are under way. They fit into one queue.
 */
static void run_flows(uint64_t features, unsigned n_workers)
{
	struct net_config c = usual_config(features, PAIRS);
	struct lab *l = lab_open(&c, n_workers);
	struct flows all = {0};

	for (unsigned k = 0; k < ROUNDS; k++) {
		uint64_t deadline = now_ns() + TIMEOUT_NS;

		send_round(l, k);
		while (take_flows(l, &all), all.got < k * FLOWS) {
			must(now_ns() < deadline, "frames do not arrive");
			usleep(20); /* the switch may need this core */
		}
	}
	wait_handled(l->nd[0]);
	take_flows(l, &all);
	for (unsigned pair = 0; pair < PAIRS; pair++)
		must(all.used[pair] > 0, "an egress queue is not used");
	must_equal(all.got, FLOWS * ROUNDS, "frames of all flows");
	lab_close(l);
}

static void test_flows_keep_queue_and_order_with_one_worker(void **state)
{
	(void)state;
	run_flows(FEATURES_BASE, 1);
	run_flows(FEATURES_PACKED, 1);
}

static void test_flows_keep_queue_and_order_with_two_workers(void **state)
{
	(void)state;
	run_flows(FEATURES_BASE, 2);
	run_flows(FEATURES_PACKED, 2);
}

#define SHARED(test) cmocka_unit_test_setup_teardown(test, begin_shared, end_shared)

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
	    SHARED(test_broadcast_multicast_and_unknown_go_to_all_others_once),
	    SHARED(test_link_local_frames_are_dropped_and_counted),
	    SHARED(test_unicast_goes_to_its_owner_only),
	    SHARED(test_a_station_that_moves_is_followed),
	    SHARED(test_hairpin_is_dropped_and_counted),
	    SHARED(test_bad_sources_are_dropped_and_counted),
	    SHARED(test_runts_are_dropped_and_counted),
	    SHARED(test_frames_for_a_port_that_left_are_counted),
	    SHARED(test_a_front_end_that_comes_back_keeps_its_addresses),
	    SHARED(test_a_full_receiver_is_counted),
	    SHARED(test_a_disabled_transmit_queue_is_drained_and_counted),
	    /* From here on a failure shows the log of another switch. */
	    cmocka_unit_test(test_link_local_frames_pass_if_asked_for),
	    cmocka_unit_test(test_frames_longer_than_the_agreed_mtu_are_dropped_and_counted),
	    cmocka_unit_test(test_addresses_of_a_front_end_that_stays_away_are_forgotten),
	    cmocka_unit_test(test_another_front_end_does_not_get_its_predecessors_frames_alone),
	    cmocka_unit_test(test_too_small_buffers_are_counted),
	    cmocka_unit_test(test_flows_keep_queue_and_order_with_one_worker),
	    cmocka_unit_test(test_flows_keep_queue_and_order_with_two_workers),
	};

	if (argc > 1)
		switch_binary(argv[1]);
	if (argc > 2)
		cmocka_set_test_filter(argv[2]);
	return cmocka_run_group_tests(tests, open_shared, close_shared) || !shared_ended_well;
}
