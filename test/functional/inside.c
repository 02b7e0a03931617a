/* SPDX-License-Identifier: BSD-3-Clause */
#include "inside.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/event.h>
#include <rte_eal.h>

#include "base/closer.h"
#include "base/log.h"
#include "base/util.h"
#include "functional.h"
#include "net/net_features.h"

struct vswitch *inside;
char inside_dir[64];

/* What the control thread is to call. */
struct request {
	void (*fn)(void *arg);
	void *arg;
	_Atomic(bool) *done;
};

static int requests[2];
static cpu_set_t control_cpus;

void inside_begin(void (*fn)(void *arg), void *arg, _Atomic(bool) *done)
{
	const struct request request = {fn, arg, done};

	atomic_store(done, false);
	must_equal(write(requests[1], &request, sizeof(request)), sizeof(request), "a request");
}

static void nothing(void *arg)
{
	(void)arg;
}

/*
 * The control thread publishes changes at the end of a turn of its event loop. It reads the second
 * request in a later turn.
 */
void inside_call(void (*fn)(void *arg), void *arg)
{
	static _Atomic(bool) done;

	for (unsigned turn = 0; turn < 2; turn++) {
		inside_begin(turn ? nothing : fn, arg, &done);
		while (!atomic_load(&done))
			usleep(20);
	}
}

static void on_request(evutil_socket_t fd, short what, void *arg)
{
	struct request request;

	(void)what;
	(void)arg;
	if (read(fd, &request, sizeof(request)) != sizeof(request))
		return;
	request.fn(request.arg);
	atomic_store(request.done, true);
}

/* The worker gets the last CPU of this process, all other threads get the others. */
static int start_eal(void)
{
	char lcores[64];
	const char *argv[] = {"inside", "--no-pci", "--no-telemetry", "--no-huge", "--no-shconf",
	    "--log-level=*:critical", lcores, "-m", "64"};
	int last = CPU_SETSIZE - 1, first = 0;

	sched_getaffinity(0, sizeof(control_cpus), &control_cpus);
	while (!CPU_ISSET(last, &control_cpus))
		last--;
	while (!CPU_ISSET(first, &control_cpus))
		first++;
	if (last != first)
		CPU_CLR(last, &control_cpus);
	snprintf(lcores, sizeof(lcores), "--lcores=0@%d,1@%d", first, last);
	return rte_eal_init(ARRAY_SIZE(argv), (char **)(uintptr_t)argv);
}

static int (*all_tests)(void);
static int outcome;
static struct event_base *base;

static void end_loop(void *arg)
{
	(void)arg;
	event_base_loopbreak(base);
}

static void *in_thread(void *arg)
{
	static _Atomic(bool) done;

	(void)arg;
	sched_setaffinity(0, sizeof(control_cpus), &control_cpus);
	outcome = all_tests();
	inside_begin(end_loop, NULL, &done);
	return NULL;
}

int inside_run(int (*tests)(void))
{
	const struct vswitch_config config = {
	    .fdb_entries = 1024,
	    .fdb_age_s = 300,
	    .forget_after_s = 10,
	    .idle_sleep = true,
	    .port_defaults = {.fd = -1,
		.socket_mode = -1,
		.owner = -1,
		.group = -1,
		.offer = {.features = NET_FEATURES, .queue_pairs = 8}},
	    .schedule = {.mode = SCHEDULE_OFF, .interval_ms = 1000, .busy_percent = 70},
	};
	struct event *event;
	pthread_t thread;

	all_tests = tests;
	log_set_level(LOG_ERROR);
	snprintf(inside_dir, sizeof(inside_dir), "%s/vswitchd-test-XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	base = event_base_new();
	if (!mkdtemp(inside_dir) || closer_start(NULL, NULL) < 0 || start_eal() < 0 ||
	    pipe2(requests, O_CLOEXEC) < 0 || vswitch_create(base, &config, &inside) < 0) {
		fprintf(stderr, "the switch does not start\n");
		return 1;
	}
	event = event_new(base, requests[0], EV_READ | EV_PERSIST, on_request, NULL);
	event_add(event, NULL);
	pthread_create(&thread, NULL, in_thread, NULL);
	event_base_dispatch(base);
	pthread_join(thread, NULL);
	vswitch_destroy(inside);
	event_free(event);
	event_base_free(base);
	if (rmdir(inside_dir) < 0) {
		fprintf(stderr, "%s is not empty\n", inside_dir);
		outcome = 1;
	}
	return outcome;
}
