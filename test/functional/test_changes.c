/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a front-end changes beside its traffic costs no frame, no order and no call: eventfds are
 * replaced, a further queue pair is started, stopped, enabled and disabled, dirty pages are logged
 * and not, the back-end channel is replaced, thousands of times, at a port that sends and receives
 * as fast as its driver can.
 */
#include "functional.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROUNDS   1000
#define LOG_SIZE (1024 * 1024)
#define SLEEPS   2000

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

/* Of both rings of the first pair, to one of two eventfds, or none. */
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

static const struct change changes[] = {
    {"SET_VRING_CALL", change_calls},
    {"SET_VRING_ERR", change_errors},
    {"SET_VRING_ENABLE of another ring", enable_another},
    {"SET_VRING_KICK and GET_VRING_BASE of another ring", start_another},
    {"SET_LOG_BASE and SET_FEATURES", toggle_log},
    {"SET_BACKEND_REQ_FD", replace_channel},
};

/* The rings are the main thread's, the socket is ours. */
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
		must_equal(switch_drops(stats, p, "receive", NULL), 0, what);
		must_equal(switch_drops(stats, p, "deliver", NULL), 0, what);
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

/* As a guest that waits for an interrupt, which comes by one of the two. */
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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(changes_cost_no_frame),
	    cmocka_unit_test(a_driver_that_sleeps_loses_no_call),
	};

	if (argc > 1)
		switch_binary(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
