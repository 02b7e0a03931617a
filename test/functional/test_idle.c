/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Workers sleep and wake up. A frame may be sent while the worker falls asleep, sleeps, or wakes
 * up. It must be delivered at once, not when the sleep ends by itself. Idle ports must cost almost
 * nothing. (test/unit/worker tests the race alone, longer and under the thread sanitizer.)
 */
#include "functional.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define BATCHES    6
#define ROUNDS     1000                /* each */
#define LATE_NS    UINT64_C(900000000) /* a sleep without a kick takes a second */
#define PAUSE_US   1500                /* at most, between two frames */
#define P50_US     200                 /* of the best batch: the machine may be busy */
#define P99_US     10000               /* the worker slept before one frame in twelve */
#define IDLE_PORTS 8
#define IDLE_S     2
#define IDLE_SHARE 0.02
#define REPLACED   200
#define SETTLE_US  1500000 /* after this time the switch does not check a new front-end any more */

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* A pause that is exact to the microsecond. */
static void spin_us(uint64_t us)
{
	uint64_t end = now_ns() + us * 1000;

	while (now_ns() < end)
		;
}

static uint64_t sleeps(struct switch_process *sw)
{
	json_t *stats = switch_stats(sw);
	json_t *worker = json_array_get(json_object_get(stats, "workers"), 0);
	uint64_t n = json_integer_value(json_object_get(worker, "sleeps"));

	json_decref(stats);
	return n;
}

static uint64_t one_frame(struct net_driver *nd[2], unsigned sender, uint64_t *random)
{
	struct net_driver *from = nd[sender], *to = nd[!sender];
	uint8_t frame[100], src[6], dst[6];
	struct net_frame f;
	uint64_t start;

	station_mac(src, sender, 0);
	station_mac(dst, !sender, 0);
	make_frame(frame, sizeof(frame), dst, src, random);
	start = now_ns();
	send_surely(from, 0, frame, sizeof(frame), NULL, NULL);
	while (net_receive(to, 0, &f) == 0)
		must(now_ns() - start < LATE_NS, "a frame waits for the end of a sleep");
	return now_ns() - start;
}

static void one_batch(struct net_driver *nd[2], uint64_t *random, uint64_t best[2])
{
	uint64_t latency[ROUNDS];

	for (unsigned i = 0; i < ROUNDS; i++) {
		/* Mostly around the moment when the worker falls asleep. This moment varies. */
		spin_us(random_between(random, 150, i % 8 ? 450 : PAUSE_US));
		/*
		 * Mostly the same driver sends. So the other driver is still asked to kick while
		 * the worker is awake.
		 */
		latency[i] = one_frame(nd, random_between(random, 0, 3) == 0, random);
	}
	qsort(latency, ROUNDS, sizeof(latency[0]), by_value);
	best[0] = MIN(best[0], latency[ROUNDS / 2] / 1000);
	best[1] = MIN(best[1], latency[ROUNDS / 100 * 99] / 1000);
}

static void race(uint64_t features)
{
	uint64_t random = 1, slept, best[2] = {UINT64_MAX, UINT64_MAX};
	struct net_driver *nd[2];
	struct switch_process sw;

	switch_start(&sw, 2, 1, false);
	for (unsigned i = 0; i < 2; i++) {
		struct net_config c = usual_config(features, 1);

		nd[i] = attach(&sw, i, &c);
	}
	introduce(nd, 2);
	for (unsigned i = 0; i < BATCHES; i++)
		one_batch(nd, &random, best);
	slept = sleeps(&sw);
	printf("%llu sleeps in %u rounds; frame through after p50 %llu us, p99 %llu us\n",
	    (unsigned long long)slept, BATCHES * ROUNDS, (unsigned long long)best[0],
	    (unsigned long long)best[1]);
	must(best[0] <= P50_US, "a frame takes too long");
	must(best[1] <= P99_US, "too many frames wait for a sleep to end");
	must(slept > BATCHES * ROUNDS / 50, "the worker hardly slept: nothing was tried");
	net_driver_destroy(nd[0]);
	net_driver_destroy(nd[1]);
	switch_finish(&sw);
}

static void test_no_wake_up_is_lost_split(void **state)
{
	(void)state;
	race(FEATURES_BASE);
}

static void test_no_wake_up_is_lost_split_without_event_index(void **state)
{
	(void)state;
	race(FEATURES_BASE & ~VIRTIO_BIT(F_EVENT_IDX));
}

static void test_no_wake_up_is_lost_packed(void **state)
{
	(void)state;
	race(FEATURES_PACKED);
}

/* Processor time of all threads, in seconds. */
static double cpu_seconds(pid_t pid)
{
	char path[64], line[1024], *at;
	unsigned long long user = 0, system = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	must(file && fgets(line, sizeof(line), file), "no /proc/PID/stat");
	fclose(file);
	at = strrchr(line, ')');
	must(at &&
		sscanf(at, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
		    &system) == 2,
	    "an odd /proc/PID/stat");
	return (double)(user + system) / sysconf(_SC_CLK_TCK);
}

static void test_idle_ports_cost_next_to_nothing(void **state)
{
	struct net_driver *nd[IDLE_PORTS];
	struct switch_process sw;
	double before, share;

	(void)state;
	switch_start(&sw, IDLE_PORTS, 1, false);
	for (unsigned i = 0; i < IDLE_PORTS; i++) {
		struct net_config c = usual_config(i % 2 ? FEATURES_PACKED : FEATURES_BASE, 4);

		nd[i] = attach(&sw, i, &c);
	}
	introduce(nd, IDLE_PORTS);
	usleep(100000);
	before = cpu_seconds(sw.pid);
	sleep(IDLE_S);
	share = (cpu_seconds(sw.pid) - before) / IDLE_S;
	printf("%u idle ports, 4 queue pairs each: %.1f %% of a core\n", IDLE_PORTS, share * 100);
	must(share <= IDLE_SHARE, "an idle switch is busy");
	for (unsigned i = 0; i < IDLE_PORTS; i++)
		net_driver_destroy(nd[i]);
	switch_finish(&sw);
}

/* Count what all epoll sets of the process watch: one line "tfd: ..." each. */
static unsigned count_watched(pid_t pid)
{
	char path[64], line[256];
	struct dirent *entry;
	unsigned n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo", pid);
	dir = opendir(path);
	must(dir != NULL, "no /proc/PID/fdinfo");
	while ((entry = readdir(dir))) {
		int fd = openat(dirfd(dir), entry->d_name, O_RDONLY);
		FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;

		while (file && fgets(line, sizeof(line), file))
			n += strncmp(line, "tfd:", 4) == 0;
		if (file)
			fclose(file);
	}
	closedir(dir);
	return n;
}

/* Count when the switch has finished its checks of a new front-end, which use an epoll set. */
static unsigned settled_watched(pid_t pid)
{
	usleep(SETTLE_US);
	return count_watched(pid);
}

/*
 * The front-end keeps the old eventfds open, so the kernel would report kicks by them for ever if
 * the switch did not stop watching them.
 */
static void test_kicks_that_were_replaced_wake_nobody(void **state)
{
	struct net_config c = usual_config(FEATURES_BASE, 1);
	uint64_t random = 1, slept;
	struct net_driver *nd[2];
	struct switch_process sw;
	int old[REPLACED];
	unsigned watched;

	(void)state;
	switch_start(&sw, 2, 1, false);
	for (unsigned i = 0; i < 2; i++)
		nd[i] = attach(&sw, i, &c);
	introduce(nd, 2);
	watched = settled_watched(sw.pid);
	for (unsigned i = 0; i < REPLACED; i++) {
		struct net_queue *q = &nd[0]->queue[1];

		must_equal(-net_driver_stop(nd[0]), 0, "errno of a stop");
		old[i] = q->kick_fd;
		q->kick_fd = eventfd(0, EFD_NONBLOCK);
		must_equal(-net_driver_resume(nd[0]), 0, "errno of a start");
		usleep(random_between(&random, 0, 1000));
		one_frame(nd, 0, &random);
	}
	must_equal(settled_watched(sw.pid), watched, "descriptors that are watched");
	slept = sleeps(&sw);
	for (unsigned i = 0; i < REPLACED; i++) {
		usleep(1000);
		eventfd_write(old[i], 1);
	}
	must(sleeps(&sw) - slept < REPLACED / 2, "a kick of before wakes the worker");
	for (unsigned i = 0; i < REPLACED; i++)
		close(old[i]);
	net_driver_destroy(nd[0]);
	net_driver_destroy(nd[1]);
	switch_finish(&sw);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_no_wake_up_is_lost_split),
	    cmocka_unit_test(test_no_wake_up_is_lost_split_without_event_index),
	    cmocka_unit_test(test_no_wake_up_is_lost_packed),
	    cmocka_unit_test(test_kicks_that_were_replaced_wake_nobody),
	    cmocka_unit_test(test_idle_ports_cost_next_to_nothing),
	};

	if (argc > 1)
		switch_binary(argv[1]);
	if (argc > 2)
		cmocka_set_test_filter(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
