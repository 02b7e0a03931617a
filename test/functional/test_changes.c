/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Changes of a port that sends and receives at full speed lose no frame and no call, and do not
 * reorder frames. Thousands of times, eventfds are replaced, a further queue pair is started,
 * stopped, enabled and disabled, the dirty log is turned on and off, and the back-end channel is
 * replaced. If a front-end makes changes all the time, its answers come late. Other front-ends get
 * their answers in time. Egress queues that the driver has not filled yet get no frames.
 * Changes of many ports in one turn of the event loop become one forwarding.
 */
#include "functional.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vhost/rate.h"

#define ROUNDS   1000
#define ADDED    50 /* regions of memory */
#define LOG_SIZE (1024 * 1024)
#define SLEEPS   2000
#define MANY     16 /* ports */

struct lab {
	struct switch_process sw;
	struct net_driver *nd[2];
	struct stream s[2];
	int event[2];
	int log_fd;
	atomic_bool changing;
	const struct change *change;
};

struct change {
	const char *what;
	int (*make)(struct lab *l, unsigned round);
};

static struct frontend *fe_of(struct lab *l)
{
	return &l->nd[0]->fe;
}

/* Replace the call eventfd of a ring of the first pair by one of two eventfds, or by none. */
static int change_calls(struct lab *l, unsigned round)
{
	return frontend_set_vring_fd(fe_of(l), VHOST_USER_SET_VRING_CALL, round % 2,
	    round % 5 ? l->event[round / 2 % 2] : -1);
}

static int change_errors(struct lab *l, unsigned round)
{
	return frontend_set_vring_fd(
	    fe_of(l), VHOST_USER_SET_VRING_ERR, round % 2, l->event[round / 2 % 2]);
}

static int enable_another(struct lab *l, unsigned round)
{
	return frontend_set_vring_enable(fe_of(l), 3, round % 2);
}

static int start_another(struct lab *l, unsigned round)
{
	uint32_t base;

	if (round % 2)
		return frontend_get_vring_base(fe_of(l), 3, &base);
	return net_driver_start_ring(l->nd[0], 3, l->nd[0]->queue[3].base);
}

static int toggle_log(struct lab *l, unsigned round)
{
	uint64_t features = fe_of(l)->features;

	if (round % 4 == 0)
		return frontend_set_log_base(fe_of(l), LOG_SIZE, 0, l->log_fd);
	return frontend_set_u64(fe_of(l), VHOST_USER_SET_FEATURES,
	    features | (round % 2 ? VIRTIO_BIT(VHOST_F_LOG_ALL) : 0));
}

static int replace_channel(struct lab *l, unsigned round)
{
	(void)round;
	return frontend_open_channel(fe_of(l));
}

/* Add memory that the driver does not use yet. */
static int add_memory(struct lab *l, unsigned round)
{
	int region;

	if (round % (ROUNDS / ADDED)) {
		usleep(200); /* let the stream go on meanwhile */
		return 0;
	}
	region =
	    frontend_region_create(fe_of(l), UINT64_C(0x4000000000) + round * 4096, 4096, 0, false);
	must(region >= 0, "no memory");
	return frontend_add_mem_reg(fe_of(l), region);
}

static const struct change changes[] = {
    {"SET_VRING_CALL", change_calls},
    {"SET_VRING_ERR", change_errors},
    {"SET_VRING_ENABLE of another ring", enable_another},
    {"SET_VRING_KICK and GET_VRING_BASE of another ring", start_another},
    {"SET_LOG_BASE and SET_FEATURES", toggle_log},
    {"SET_BACKEND_REQ_FD", replace_channel},
    {"ADD_MEM_REG now and then, and nothing", add_memory},
};

/* This thread uses only the front-end's socket; the main thread uses the rings. */
static void *change_main(void *arg)
{
	struct lab *l = arg;

	for (unsigned i = 0; i < ROUNDS; i++)
		must_equal(-l->change->make(l, i), 0, l->change->what);
	atomic_store(&l->changing, false);
	return NULL;
}

static void open_lab(struct lab *l, uint64_t features)
{
	struct net_config c = usual_config(features, 2);

	*l = (struct lab){.log_fd = memfd_create("log", MFD_CLOEXEC)};
	must(ftruncate(l->log_fd, LOG_SIZE) == 0, "a log");
	c.protocol_features = VHOST_PROTOCOL_BIT(BACKEND_REQ) | VHOST_PROTOCOL_BIT(LOG_SHMFD);
	switch_start(&l->sw, 2, 1, false);
	for (unsigned i = 0; i < 2; i++) {
		l->nd[i] = attach(&l->sw, i, &c);
		must_equal(-frontend_set_vring_enable(&l->nd[i]->fe, 2, false), 0,
		    "errno of a receive ring's end");
		l->event[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	introduce(l->nd, 2);
	l->s[0] = usual_stream(l->nd, 0, 1, 1);
	l->s[1] = usual_stream(l->nd, 1, 0, 2);
}

static void close_lab(struct lab *l)
{
	for (unsigned i = 0; i < 2; i++) {
		net_driver_destroy(l->nd[i]);
		close(l->event[i]);
	}
	close(l->log_fd);
	switch_finish(&l->sw);
}

static void check_nothing_dropped(struct lab *l, const char *what)
{
	json_t *stats = switch_stats(&l->sw);

	for (unsigned p = 0; p < 2; p++) {
		must_equal(switch_drops(stats, p, "ingress", NULL), 0, what);
		must_equal(switch_drops(stats, p, "egress", NULL), 0, what);
	}
	json_decref(stats);
}

static void stream_through(struct lab *l, const struct change *change)
{
	uint64_t before = l->s[0].sent + l->s[1].sent, start = now_ns();
	pthread_t thread;

	l->change = change;
	atomic_store(&l->changing, true);
	must_equal(pthread_create(&thread, NULL, change_main, l), 0, "pthread_create");
	while (atomic_load(&l->changing))
		streams_step(l->s, 2);
	pthread_join(thread, NULL);
	streams_settle(l->s, 2);
	printf("%u x %s in %llu ms beside %llu frames\n", ROUNDS, change->what,
	    (unsigned long long)(now_ns() - start) / 1000000,
	    (unsigned long long)(l->s[0].sent + l->s[1].sent - before));
	must(l->s[0].sent + l->s[1].sent - before > 1000, "there was hardly a stream");
	check_nothing_dropped(l, change->what);
}

static void changes_cost_no_frame(void **state)
{
	struct lab l;

	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		open_lab(&l, packed ? FEATURES_PACKED : FEATURES_BASE);
		for (unsigned i = 0; i < ARRAY_SIZE(changes); i++)
			stream_through(&l, &changes[i]);
		close_lab(&l);
	}
}

static void *replace_calls_main(void *arg)
{
	struct lab *l = arg;

	for (unsigned i = 0; atomic_load(&l->changing); i++)
		must_equal(
		    -frontend_set_vring_fd(fe_of(l), VHOST_USER_SET_VRING_CALL, 0, l->event[i % 2]),
		    0, "errno of SET_VRING_CALL");
	return NULL;
}

/* Wait as a guest does that sleeps until an interrupt: one of the two eventfds is written. */
static void sleep_for_frame(struct lab *l)
{
	struct pollfd fds[2] = {
	    {.fd = l->event[0], .events = POLLIN}, {.fd = l->event[1], .events = POLLIN}};
	struct net_frame f;
	eventfd_t count;

	for (;;) {
		driver_ring_call_enable(&l->nd[0]->queue[0].ring);
		if (net_receive(l->nd[0], 0, &f) == 1)
			break;
		must(poll(fds, 2, 2000) > 0, "a call was lost");
		for (unsigned i = 0; i < 2; i++)
			eventfd_read(l->event[i], &count);
	}
}

static void a_driver_that_sleeps_loses_no_call(void **state)
{
	uint8_t frame[100], src[6], dst[6];
	uint64_t random = 1;
	pthread_t thread;
	struct lab l;

	(void)state;
	open_lab(&l, FEATURES_BASE);
	station_mac(src, 1, 0);
	station_mac(dst, 0, 0);
	make_frame(frame, sizeof(frame), dst, src, &random);
	must_equal(-frontend_set_vring_fd(fe_of(&l), VHOST_USER_SET_VRING_CALL, 0, l.event[0]), 0,
	    "errno of SET_VRING_CALL");
	atomic_store(&l.changing, true);
	must_equal(pthread_create(&thread, NULL, replace_calls_main, &l), 0, "pthread_create");
	for (unsigned i = 0; i < SLEEPS; i++) {
		send_surely(l.nd[1], 0, frame, sizeof(frame), NULL, NULL);
		sleep_for_frame(&l);
	}
	atomic_store(&l.changing, false);
	pthread_join(thread, NULL);
	check_nothing_dropped(&l, "calls are replaced");
	close_lab(&l);
}

/* How many forwardings have been published. */
static uint64_t count_snapshots(struct switch_process *sw)
{
	json_t *stats = switch_stats(sw);
	uint64_t n = json_integer_value(json_object_get(stats, "forwardings"));

	json_decref(stats);
	return n;
}

static void toggle_for(struct lab *l, unsigned ms, uint64_t *ret_messages)
{
	uint64_t end = now_ns() + ms * UINT64_C(1000000), n = 0;

	for (; now_ns() < end; n++) {
		struct vhost_wire_vring_state wire = {.index = 3, .num = n % 2};

		must_equal(-frontend_send(fe_of(l), VHOST_USER_SET_VRING_ENABLE, VHOST_VERSION,
			       &wire, sizeof(wire), NULL, 0),
		    0, "errno of SET_VRING_ENABLE");
	}
	*ret_messages = n;
}

/* While the switch is stopped, every port changes. So the switch sees all changes in one turn. */
static uint64_t change_all_in_one_turn(struct switch_process *sw, struct net_driver *nd[], bool on)
{
	uint64_t before = count_snapshots(sw);

	kill(sw->pid, SIGSTOP);
	usleep(20000);
	for (unsigned i = 0; i < MANY; i++) {
		struct vhost_wire_vring_state wire = {.index = 1, .num = on};

		must_equal(-frontend_send(&nd[i]->fe, VHOST_USER_SET_VRING_ENABLE, VHOST_VERSION,
			       &wire, sizeof(wire), NULL, 0),
		    0, "errno of SET_VRING_ENABLE");
	}
	kill(sw->pid, SIGCONT);
	/* A message that has to be answered would make it publish what has changed so far. */
	for (unsigned tries = 0; tries < 500 && count_snapshots(sw) == before; tries++)
		usleep(10000);
	usleep(50000);
	return count_snapshots(sw) - before;
}

/* A switch that loses its CPU for long may divide its work among several turns. */
static void changes_of_many_ports_in_one_turn_are_one_snapshot(void **state)
{
	const struct net_config config = usual_config(FEATURES_BASE, 1);
	struct net_driver *nd[MANY];
	struct switch_process sw;
	uint64_t fewest = UINT64_MAX;

	(void)state;
	switch_start(&sw, MANY, 1, false);
	for (unsigned i = 0; i < MANY; i++)
		nd[i] = attach(&sw, i, &config);
	for (unsigned try = 0; try < 20 && fewest > 1; try++) {
		uint64_t n = change_all_in_one_turn(&sw, nd, try % 2);

		must(n > 0, "nothing was changed");
		fewest = n < fewest ? n : fewest;
	}
	printf("%u ports changed with %llu forwardings\n", MANY, (unsigned long long)fewest);
	must_equal(fewest, 1, "forwardings");
	switch_finish(&sw);
	for (unsigned i = 0; i < MANY; i++)
		net_driver_destroy(nd[i]);
}

/* The front-end sends changes as fast as it can, without waiting for answers. */
static void a_front_end_that_changes_its_rings_all_the_time_waits_alone(void **state)
{
	uint64_t first, before, after, n, start;
	struct lab l;
	json_t *stats;

	(void)state;
	open_lab(&l, FEATURES_BASE);
	first = count_snapshots(&l.sw);
	toggle_for(&l, 500, &n);
	before = count_snapshots(&l.sw);
	printf("%llu messages and %llu forwardings in 500 ms\n", (unsigned long long)n,
	    (unsigned long long)(before - first));
	start = now_ns();
	toggle_for(&l, 2000, &n);
	after = count_snapshots(&l.sw);
	printf("%llu messages and %llu forwardings in 2000 ms\n", (unsigned long long)n,
	    (unsigned long long)(after - before));
	must(
	    before - first <= RATE_BURST + RATE_PER_S, "more forwardings at once than are allowed");
	must(after - before <= RATE_PER_S * ((now_ns() - start) / 1000000 + 100) / 1000,
	    "more forwardings in a second than are allowed");
	must(n > RATE_PER_S, "it did not go on");
	/*
	 * The message of a neighbour does not wait. The last change of the front-end itself is also
	 * made, later.
	 */
	must_equal(-frontend_sync(&l.nd[1]->fe), 0, "errno of a neighbour's message");
	must_equal(-frontend_set_vring_enable(fe_of(&l), 3, true), 0, "errno of the last change");
	streams_run(l.s, 2, 50);
	stats = switch_stats(&l.sw);
	must(json_integer_value(
		 json_object_get(json_array_get(json_object_get(stats, "ports"), 0), "holds")) > 0,
	    "nobody counted");
	json_decref(stats);
	must(switch_log_contains(&l.sw, "changes its rings more than"), "nothing was said");
	close_lab(&l);
}

#define PAIRS 4
#define FLOWS 128

static unsigned count_unused(struct lab *l)
{
	json_t *stats = switch_stats(&l->sw);
	json_t *port = json_array_get(json_object_get(stats, "ports"), 1);
	unsigned n = json_integer_value(json_object_get(port, "queues_unused"));

	json_decref(stats);
	return n;
}

/*
 * Send one frame of each flow to port 1. Returns how many arrived; ret_came[] counts them by queue
 * pair.
 */
static unsigned send_flows(struct lab *l, unsigned n_pairs, unsigned ret_came[PAIRS])
{
	uint8_t frame[100], src[6], dst[6];
	unsigned came = 0;
	uint64_t random = 1, end;
	struct net_frame f;

	station_mac(dst, 1, 0);
	memset(ret_came, 0, PAIRS * sizeof(ret_came[0]));
	for (unsigned i = 0; i < FLOWS; i++) {
		station_mac(src, 0, i);
		make_frame(frame, sizeof(frame), dst, src, &random);
		send_surely(l->nd[0], 0, frame, sizeof(frame), NULL, NULL);
	}
	for (end = now_ns() + UINT64_C(2000000000); came < FLOWS && now_ns() < end;) {
		for (unsigned pair = 0; pair < n_pairs; pair++) {
			while (net_receive(l->nd[1], pair, &f) == 1) {
				ret_came[pair]++;
				came++;
			}
		}
	}
	return came;
}

static void say_hello(struct net_driver *nd, unsigned station)
{
	static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};
	uint8_t frame[60], mac[6];
	uint64_t random = 1;

	station_mac(mac, station, 0);
	make_frame(frame, sizeof(frame), all, mac, &random);
	send_surely(nd, 0, frame, sizeof(frame), NULL, NULL);
}

/* If no enabled queue has buffers, a frame is dropped at the first queue. */
static void drop_at_first(struct lab *l)
{
	uint8_t frame[100], src[6], dst[6];
	uint64_t random = 1, drops;
	json_t *stats;

	must_equal(-frontend_set_vring_enable(&l->nd[1]->fe, 0, false), 0, "errno of a disable");
	station_mac(src, 0, 0);
	station_mac(dst, 1, 0);
	make_frame(frame, sizeof(frame), dst, src, &random);
	send_surely(l->nd[0], 0, frame, sizeof(frame), NULL, NULL);
	for (unsigned tries = 0; tries < 100; tries++) {
		stats = switch_stats(&l->sw);
		drops = switch_drops(stats, 1, "egress", "ring-full");
		json_decref(stats);
		if (drops)
			break;
		usleep(10000);
	}
	must_equal(drops, 1, "frames dropped for want of buffers");
	must_equal(-frontend_set_vring_enable(&l->nd[1]->fe, 0, true), 0, "errno of an enable");
}

static void use_queues_that_are_filled(uint64_t features)
{
	unsigned came[PAIRS], tries = 0;
	struct net_config c = usual_config(features, 1);
	struct net_frame f;
	struct lab l = {.log_fd = -1};

	switch_start(&l.sw, 2, 1, false);
	l.nd[0] = attach(&l.sw, 0, &c);
	c.n_pairs = PAIRS;
	c.n_filled = 1;
	l.nd[1] = attach(&l.sw, 1, &c);
	say_hello(l.nd[1], 1);
	must(receive_within(l.nd[0], 0, &f, 2000), "a hello did not come");
	must_equal(count_unused(&l), PAIRS - 1, "queues that have had no buffers");
	must_equal(send_flows(&l, 1, came), FLOWS, "flows with one queue filled");
	drop_at_first(&l);
	while (!switch_log_contains(&l.sw, "3 of 4 enabled egress queues"))
		must(tries++ < 500 && usleep(10000) == 0, "nothing was said of unused queues");
	for (unsigned pair = 1; pair < PAIRS; pair++)
		must(net_refill(l.nd[1], pair) >= 0, "net_refill");
	for (tries = 0; count_unused(&l); tries++)
		must(tries < 200 && usleep(5000) == 0, "queues with buffers are not used");
	must_equal(send_flows(&l, PAIRS, came), FLOWS, "flows with all queues filled");
	for (unsigned pair = 0; pair < PAIRS; pair++)
		must(came[pair] > FLOWS / PAIRS / 4, "the flows are not spread");
	/* A queue that has used all its buffers does not count as unused. */
	must_equal(count_unused(&l), 0, "queues that have had no buffers");
	net_driver_destroy(l.nd[0]);
	net_driver_destroy(l.nd[1]);
	switch_finish(&l.sw);
}

static void queues_without_buffers_get_no_frames(void **state)
{
	(void)state;
	use_queues_that_are_filled(FEATURES_BASE);
	use_queues_that_are_filled(FEATURES_PACKED);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(changes_cost_no_frame),
	    cmocka_unit_test(a_driver_that_sleeps_loses_no_call),
	    cmocka_unit_test(changes_of_many_ports_in_one_turn_are_one_snapshot),
	    cmocka_unit_test(a_front_end_that_changes_its_rings_all_the_time_waits_alone),
	    cmocka_unit_test(queues_without_buffers_get_no_frames),
	};

	if (argc > 1)
		switch_binary(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
