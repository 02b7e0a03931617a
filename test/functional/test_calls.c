/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front-end has call eventfds that are slow or that block. Its guest gets late interrupts, or the
 * front-end is disconnected. Its neighbours lose almost no time, because neither the worker nor the
 * control thread waits for the eventfds. This is tested with one worker, and with two workers that
 * share egress queues.
 */
#include "functional.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#define MS        UINT64_C(1000000)
#define DELAYS    1000
#define WATCHERS  150000
#define RINGS     (2 * NET_PAIRS_MAX)
#define ANSWERS   40
#define ANSWER_NS (40 * MS)

struct lab {
	struct switch_process sw;
	struct net_driver *nd[2], *hostile;
	struct stream s[2];
	uint64_t delay[DELAYS];
};

static void open_lab(struct lab *l, unsigned workers, unsigned pairs)
{
	struct net_config c = usual_config(FEATURES_BASE, pairs);

	c.n_receive = 16;
	switch_start(&l->sw, 4, workers, false);
	attach_neighbours(&l->sw, l->nd, l->s);
	l->hostile = attach(&l->sw, 2, &c);
}

static void close_lab(struct lab *l)
{
	net_driver_destroy(l->hostile);
	net_driver_destroy(l->nd[0]);
	net_driver_destroy(l->nd[1]);
	switch_finish(&l->sw);
}

/* Let n entries of epoll sets watch fd: each write to fd notifies all of them. */
static int *watch(int fd, unsigned n)
{
	enum { COPIES = 250 };
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	int copy[COPIES], *set = calloc(n / COPIES + 1, sizeof(*set));

	for (unsigned i = 0; i < COPIES; i++)
		copy[i] = dup(fd);
	for (unsigned i = 0; i < n / COPIES; i++) {
		set[i] = epoll_create1(EPOLL_CLOEXEC);
		for (unsigned k = 0; k < COPIES; k++)
			must(epoll_ctl(set[i], EPOLL_CTL_ADD, copy[k], &event) == 0,
			    "the eventfd cannot be watched so often");
	}
	for (unsigned i = 0; i < COPIES; i++)
		close(copy[i]);
	return set;
}

static uint64_t time_of_write(int fd)
{
	uint64_t start = now_ns();

	eventfd_write(fd, 1);
	return now_ns() - start;
}

/*
 * Cause one call to the hostile driver: it asks for a call, and the neighbour broadcasts a frame.
 */
static void have_it_called(void *arg)
{
	static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct lab *l = arg;
	uint8_t frame[64], src[6];
	struct net_frame f;
	uint64_t random = 1;

	while (net_receive(l->hostile, 0, &f) > 0)
		;
	driver_ring_call_enable(&l->hostile->queue[0].ring);
	station_mac(src, 0, 0);
	make_frame(frame, sizeof(frame), all, src, &random);
	send_surely(l->nd[0], 0, frame, sizeof(frame), NULL, NULL);
}

static unsigned longer_than(const uint64_t ns[], unsigned n, uint64_t limit)
{
	unsigned longer = 0;

	for (unsigned i = 0; i < n; i++)
		longer += ns[i] > limit;
	return longer;
}

static void slow_eventfd(unsigned workers)
{
	static struct lab l;
	json_t *stats;
	unsigned late;
	uint64_t slow;

	open_lab(&l, workers, 1);
	watch(l.hostile->queue[0].call_fd, WATCHERS);
	slow = time_of_write(l.hostile->queue[0].call_fd);
	printf("a write takes %lu us\n", slow / 1000);
	measure_delays(l.nd, l.delay, DELAYS, have_it_called, &l);
	/* A busy machine delays some frames, too: so judge the median. */
	late = longer_than(l.delay, DELAYS, slow / 2);
	printf("median %lu us, p99 %lu us, longest %lu us, %u of %u late\n",
	    l.delay[DELAYS / 2] / 1000, l.delay[DELAYS * 99 / 100] / 1000,
	    l.delay[DELAYS - 1] / 1000, late, DELAYS);
	must(l.delay[DELAYS / 2] < slow / 2, "most frames wait for the write to the slow eventfd");
	stats = switch_stats(&l.sw);
	must(switch_counter(stats, 2, "egress", "calls") > DELAYS / 2, "it was hardly called");
	json_decref(stats);
	for (unsigned i = 0; i < 40 && !switch_log_contains(&l.sw, "eventfds take long"); i++) {
		have_it_called(&l);
		usleep(100000);
	}
	must(switch_log_contains(&l.sw, "eventfds take long"),
	    "the log does not say that the eventfd is slow");
	close_lab(&l);
}

static void test_a_slow_eventfd_costs_neighbours_one_write(void **state)
{
	(void)state;
	slow_eventfd(1);
}

static void test_a_slow_eventfd_costs_neighbours_one_write_of_two_workers(void **state)
{
	(void)state;
	slow_eventfd(2);
}

/* A slow eventfd that has become quick again is written without delay. */
static void test_an_eventfd_that_is_quick_again_is_written_at_once(void **state)
{
	static struct lab l;
	unsigned prompt = 0;
	int *set;

	(void)state;
	open_lab(&l, 1, 1);
	set = watch(l.hostile->queue[0].call_fd, WATCHERS);
	for (unsigned i = 0; i < 100; i++) {
		have_it_called(&l);
		usleep(1000);
	}
	for (unsigned i = 0; set[i]; i++)
		close(set[i]);
	free(set);
	usleep(1300000); /* workers do not write to it for a second */
	for (unsigned i = 0; i < 200; i++) {
		struct net_frame f;
		uint64_t start;
		eventfd_t count;

		eventfd_read(l.hostile->queue[0].call_fd, &count);
		start = now_ns();
		have_it_called(&l);
		must(net_wait(l.hostile, 0, 2000) == 1, "a driver is not called");
		prompt += now_ns() - start < MS / 2;
		while (net_receive(l.hostile, 0, &f) > 0)
			;
	}
	/* Calls by the control thread take up to 2 ms, so about 50 of them are prompt by chance. */
	printf("%u of 200 calls took less than 0.5 ms\n", prompt);
	must(prompt > 100, "calls go on being late");
	close_lab(&l);
}

/*
 * A worker leaves a call to the control thread, and then the ring is started anew: the call is
 * still made.
 */
static void test_a_call_is_not_lost_when_its_ring_begins_anew(void **state)
{
	static struct lab l;
	struct frontend *fe;
	unsigned lost = 0;

	(void)state;
	open_lab(&l, 1, 1);
	fe = &l.hostile->fe;
	watch(l.hostile->queue[0].call_fd, WATCHERS);
	for (unsigned i = 0; i < 50; i++) {
		have_it_called(&l);
		usleep(1000);
	}
	for (unsigned i = 0; i < 15; i++) {
		struct pollfd called = {.fd = l.hostile->queue[0].call_fd, .events = POLLIN};
		int extra = frontend_region_create(fe, UINT64_C(1) << 38, 1 << 16, 0, false);
		eventfd_t count;

		must_equal(-frontend_add_mem_reg(fe, extra), 0, "errno of a region more");
		usleep(200000);
		eventfd_read(called.fd, &count);
		have_it_called(&l);
		usleep(200);
		/* This starts all rings anew. */
		must_equal(-frontend_rem_mem_reg(fe, extra), 0, "errno of a region less");
		lost += poll(&called, 1, 2000) == 0;
		frontend_region_destroy(fe, extra);
	}
	printf("%u of 15 calls were lost\n", lost);
	must(lost == 0, "a driver is not called");
	close_lab(&l);
}

/* A front-end that sends requests all the time, in a thread of its own. */
struct asker {
	struct frontend fe;
	uint64_t longest;
	unsigned answers;
	bool failed;
};

static void *ask(void *arg)
{
	struct asker *a = arg;

	for (; a->answers < ANSWERS; a->answers++) {
		uint64_t start = now_ns(), value;

		a->failed |= frontend_get_u64(&a->fe, VHOST_USER_GET_FEATURES, &value) < 0;
		a->longest = MAX(a->longest, now_ns() - start);
		usleep(10000);
	}
	return NULL;
}

/* All rings are started anew. Each of them gets a call, because one may have been lost. */
static void start_rings_anew(struct lab *l)
{
	usleep(50000);
	for (unsigned i = 0; i < RINGS; i++)
		fill_eventfd(l->hostile->queue[i].call_fd);
	frontend_rem_mem_reg(&l->hostile->fe, l->hostile->rings_region);
	frontend_add_mem_reg(&l->hostile->fe, l->hostile->rings_region);
}

/* A machine that stands still delays answers, too, so there are three tries. */
static void test_full_blocking_eventfds_do_not_delay_answers(void **state)
{
	static struct lab l;
	struct asker asker;
	pthread_t thread;
	uint64_t start, longest = UINT64_MAX;

	(void)state;
	for (unsigned try = 0; try < 3 && longest >= ANSWER_NS; try++) {
		if (try)
			close_lab(&l);
		open_lab(&l, 1, NET_PAIRS_MAX);
		asker = (struct asker){.longest = 0};
		frontend_init(&asker.fe);
		must_equal(-frontend_connect(&asker.fe, l.sw.path[3]), 0, "errno of a connect");
		pthread_create(&thread, NULL, ask, &asker);
		start_rings_anew(&l);
		pthread_join(thread, NULL);
		longest = asker.longest;
		printf("the longest of %u answers took %lu us\n", asker.answers, longest / 1000);
		must(!asker.failed, "a front-end got no answer");
		frontend_cleanup(&asker.fe);
	}
	must(longest < ANSWER_NS, "another front-end's answer");
	for (start = now_ns();
	     !switch_log_contains(&l.sw, "blocks: the front-end has filled it");) {
		must(now_ns() - start < 5000 * MS, "the log does not say why");
		usleep(1000);
	}
	close_lab(&l);
}

/*
 * A worker hangs in the write to the eventfd. The write is interrupted, and the front-end is not
 * served for a while. If a worker hangs again, the front-end is not served for a longer time.
 */
static void test_a_front_end_that_blocks_a_worker_waits_to_be_served_again(void **state)
{
	static struct lab l;
	struct net_config c = usual_config(FEATURES_BASE, 1);
	uint64_t waited = 0, value;

	(void)state;
	open_lab(&l, 1, 1);
	for (unsigned i = 0; i < 2; i++) {
		uint64_t start;

		usleep(50000);
		fill_eventfd(l.hostile->queue[0].call_fd);
		measure_delays(l.nd, l.delay, 30, have_it_called, &l);
		printf("the longest of 30 frames took %lu us\n", l.delay[29] / 1000);
		must(l.delay[15] < 20 * MS, "frames wait for the blocked write");
		net_driver_destroy(l.hostile);
		must_equal(-net_driver_create(&c, &l.hostile), 0, "errno of a new driver");
		start = now_ns();
		must_equal(
		    -frontend_connect(&l.hostile->fe, l.sw.path[2]), 0, "errno of a connect");
		l.hostile->fe.timeout_ms = 10000;
		must_equal(-frontend_get_u64(&l.hostile->fe, VHOST_USER_GET_FEATURES, &value), 0,
		    "errno of a front-end that comes back");
		printf("it was served after %lu ms\n", (now_ns() - start) / MS);
		waited = now_ns() - start;
		must_equal(-net_driver_start(l.hostile), 0, "errno of a start");
	}
	/*
	 * The second time the front-end is not served for 2 s. A part of this time has passed
	 * before it connects again.
	 */
	must(waited > 1200 * MS, "a front-end that blocks again and again is served at once");
	close_lab(&l);
}

/* How often the control thread has slept. */
static unsigned long long rests(pid_t pid)
{
	unsigned long long n = 0;
	char path[64], line[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)pid, (int)pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "voluntary_ctxt_switches: %llu", &n) == 1)
			break;
	must(f != NULL, "no /proc/PID/task/PID/status");
	fclose(f);
	return n;
}

/*
 * The control thread checks workers every 10 ms, and more often while they make calls. Each check
 * may take the CPU from a guest that shares it. The drivers here use no event index, because a
 * driver with an event index cannot say that it wants no calls at all.
 */
static void test_guests_that_want_no_calls_are_rarely_disturbed(void **state)
{
	enum { SETTLE_MS = 2500, RUN_MS = 1000, LOOKS = RUN_MS / 10 };
	struct net_config c = usual_config(FEATURES_BASE & ~VIRTIO_BIT(F_EVENT_IDX), 1);
	struct switch_process sw;
	struct net_driver *nd[2];
	unsigned long long looks;
	struct stream s[2];

	(void)state;
	switch_start(&sw, 2, 1, false);
	for (unsigned i = 0; i < 2; i++)
		nd[i] = attach(&sw, i, &c);
	introduce(nd, 2);
	for (unsigned i = 0; i < 2; i++)
		s[i] = usual_stream(nd, i, !i, i + 1);
	streams_run(s, 2, SETTLE_MS);
	looks = rests(sw.pid);
	streams_run(s, 2, RUN_MS);
	looks = rests(sw.pid) - looks;
	printf("the control thread looked %llu times in %u ms\n", looks, RUN_MS);
	must(looks < 2 * LOOKS, "the control thread looks too often");
	must(s[0].received > 1000 && s[1].received > 1000, "a stream hardly flows");
	net_driver_destroy(nd[0]);
	net_driver_destroy(nd[1]);
	switch_finish(&sw);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_slow_eventfd_costs_neighbours_one_write),
	    cmocka_unit_test(test_a_slow_eventfd_costs_neighbours_one_write_of_two_workers),
	    cmocka_unit_test(test_an_eventfd_that_is_quick_again_is_written_at_once),
	    cmocka_unit_test(test_a_call_is_not_lost_when_its_ring_begins_anew),
	    cmocka_unit_test(test_full_blocking_eventfds_do_not_delay_answers),
	    cmocka_unit_test(test_a_front_end_that_blocks_a_worker_waits_to_be_served_again),
	    cmocka_unit_test(test_guests_that_want_no_calls_are_rarely_disturbed),
	};

	if (argc > 1)
		switch_binary(argv[1]);
	if (argc > 2)
		cmocka_set_test_filter(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
