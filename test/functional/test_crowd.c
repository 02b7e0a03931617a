/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Beside a thousand ports that have nothing to do, one whose front-end enables and disables a ring
 * as fast as it may: the worker rests all the same, and two others' frames are through at once.
 */
#include "functional.h"

#include "../skips.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PORTS       1000
#define PAIRS       2
#define RING        8
#define RESTLESS    (PORTS - 1)
#define FRAMES      1000
#define BEGIN_US    500000 /* in which it may make many changes at once */
#define ALONE_US    1000000
#define PATIENCE_MS 20000
#define AWAKE_MAX   0.3

struct crowd {
	struct switch_process sw;
	struct net_driver *nd[PORTS];
	pthread_t thread;
	atomic_bool stop;
};

static void open_crowd(struct crowd *c)
{
	struct net_config config = usual_config(FEATURES_BASE, PAIRS);

	if (!allow_descriptors(16 * PORTS))
		skip_without("open-files", "1,000 ports, for ulimit -Hn is below 16,000");
	switch_start(&c->sw, PORTS, 1, false);
	config.ring_size = RING;
	for (unsigned i = 0; i < PORTS; i++) {
		config.n_pairs = i < 2 ? 1 : PAIRS; /* between the first two one queue is used */
		c->nd[i] = attach(&c->sw, i, &config);
	}
	introduce(c->nd, 2);
}

static void close_crowd(struct crowd *c)
{
	switch_finish(&c->sw);
	for (unsigned i = 0; i < PORTS; i++)
		net_driver_destroy(c->nd[i]);
}

static void *change_main(void *arg)
{
	struct crowd *c = arg;

	c->nd[RESTLESS]->fe.timeout_ms = PATIENCE_MS; /* it is read as often as it may change */
	for (unsigned i = 0; !atomic_load(&c->stop); i++)
		must_equal(-frontend_set_vring_enable(&c->nd[RESTLESS]->fe, 2, i % 2), 0,
		    "errno of SET_VRING_ENABLE");
	return NULL;
}

struct time_use {
	uint64_t snapshots, awake, asleep; /* cycles */
};

static struct time_use read_time_use(struct crowd *c)
{
	json_t *stats = switch_stats(&c->sw);
	json_t *w = json_array_get(json_object_get(stats, "workers"), 0);
	struct time_use use = {
	    .snapshots = json_integer_value(json_object_get(stats, "snapshots")),
	    .awake = json_integer_value(json_object_get(w, "busy_cycles")) +
		json_integer_value(json_object_get(w, "idle_cycles")),
	    .asleep = json_integer_value(json_object_get(w, "sleep_cycles")),
	};

	json_decref(stats);
	return use;
}

/* Which part of the time the worker was awake since then. */
static double awake_since(struct crowd *c, const struct time_use *then)
{
	struct time_use now = read_time_use(c);
	double awake = now.awake - then->awake, asleep = now.asleep - then->asleep;

	printf("%llu snapshots, the worker awake for %.1f %% of the time\n",
	    (unsigned long long)(now.snapshots - then->snapshots), 100 * awake / (awake + asleep));
	return awake / (awake + asleep);
}

static void print_delays(struct crowd *c, const char *when)
{
	struct time_use then = read_time_use(c);
	uint64_t ns[FRAMES];

	measure_delays(c->nd, ns, FRAMES, NULL, NULL);
	printf("%s: frames through after p50 %.1f us, p99 %.1f us; ", when, ns[FRAMES / 2] / 1e3,
	    ns[FRAMES * 99 / 100] / 1e3);
	awake_since(c, &then);
}

static void test_one_that_changes_all_the_time_wakes_nobody_else(void **state)
{
	struct crowd *c = calloc(1, sizeof(*c));
	struct time_use then;
	double awake;

	(void)state;
	open_crowd(c);
	print_delays(c, "quiet");
	must_equal(pthread_create(&c->thread, NULL, change_main, c), 0, "pthread_create");
	usleep(BEGIN_US);
	then = read_time_use(c);
	usleep(ALONE_US);
	awake = awake_since(c, &then);
	print_delays(c, "with changes");
	atomic_store(&c->stop, true);
	pthread_join(c->thread, NULL);
	close_crowd(c);
	free(c);
	must(awake < AWAKE_MAX, "the worker polls idle ports without rest");
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_one_that_changes_all_the_time_wakes_nobody_else)};

	if (argc > 1)
		switch_binary(argv[1]);
	return group_status(cmocka_run_group_tests(tests, NULL, NULL));
}
