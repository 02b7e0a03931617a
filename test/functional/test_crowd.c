/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A switch with 1,000 ports. Two ports exchange frames, and the others are idle. The front-end of
 * one idle port enables and disables a ring as often as the switch allows. The test fails if this
 * keeps the worker awake. It prints the delays of the frames without and with the changes.
 */
#include "functional.h"

#include "../skips.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PORTS      1000
#define PAIRS      2
#define RING       8
#define RESTLESS   (PORTS - 1)
#define FRAMES     1000
#define BEGIN_US   500000 /* the time in which many changes at once are allowed */
#define ALONE_US   1000000
#define TIMEOUT_MS 20000
#define AWAKE_MAX  0.3

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
		config.n_pairs = i < 2 ? 1 : PAIRS; /* the streams need one pair only */
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

	c->nd[RESTLESS]->fe.timeout_ms = TIMEOUT_MS; /* answers wait for the rate of changes */
	for (unsigned i = 0; !atomic_load(&c->stop); i++)
		must_equal(-frontend_set_vring_enable(&c->nd[RESTLESS]->fe, 2, i % 2), 0,
		    "errno of SET_VRING_ENABLE");
	return NULL;
}

struct time_use {
	uint64_t forwardings, sleeps;
	uint64_t awake, asleep; /* cycles */
};

static struct time_use read_time_use(struct crowd *c)
{
	json_t *stats = switch_stats(&c->sw);
	json_t *w = json_array_get(json_object_get(stats, "workers"), 0);
	struct time_use use = {
	    .forwardings = json_integer_value(json_object_get(stats, "forwardings")),
	    .sleeps = json_integer_value(json_object_get(w, "sleeps")),
	    .awake = json_integer_value(json_object_get(w, "busy_cycles")) +
		json_integer_value(json_object_get(w, "idle_cycles")),
	    .asleep = json_integer_value(json_object_get(w, "sleep_cycles")),
	};

	json_decref(stats);
	return use;
}

static struct time_use time_use_since(struct crowd *c, const struct time_use *then)
{
	struct time_use now = read_time_use(c);

	return (struct time_use){.forwardings = now.forwardings - then->forwardings,
	    .sleeps = now.sleeps - then->sleeps,
	    .awake = now.awake - then->awake,
	    .asleep = now.asleep - then->asleep};
}

static double awake_part(const struct time_use *use)
{
	return (double)use->awake / (double)(use->awake + use->asleep);
}

static void print_time_use(const struct time_use *use)
{
	printf("%llu forwardings, %llu sleeps, the worker awake for %.1f %% of the time\n",
	    (unsigned long long)use->forwardings, (unsigned long long)use->sleeps,
	    100 * awake_part(use));
}

static void print_delays(struct crowd *c, const char *when)
{
	struct time_use then = read_time_use(c), use;
	uint64_t ns[FRAMES];

	measure_delays(c->nd, ns, FRAMES, NULL, NULL);
	printf("%s: frames through after p50 %.1f us, p99 %.1f us; ", when, ns[FRAMES / 2] / 1e3,
	    ns[FRAMES * 99 / 100] / 1e3);
	use = time_use_since(c, &then);
	print_time_use(&use);
}

static void test_one_that_changes_all_the_time_wakes_nobody_else(void **state)
{
	struct crowd *c = calloc(1, sizeof(*c));
	struct time_use then, use;

	(void)state;
	open_crowd(c);
	print_delays(c, "quiet");
	must_equal(pthread_create(&c->thread, NULL, change_main, c), 0, "pthread_create");
	usleep(BEGIN_US);
	then = read_time_use(c);
	usleep(ALONE_US);
	use = time_use_since(c, &then);
	print_time_use(&use);
	print_delays(c, "with changes");
	atomic_store(&c->stop, true);
	pthread_join(c->thread, NULL);
	close_crowd(c);
	free(c);
	must(use.forwardings > 100, "hardly anything was changed");
	must(awake_part(&use) < AWAKE_MAX, "the worker polls idle ports without rest");
	must(use.sleeps < use.forwardings / 10, "the worker wakes for what changes nothing for it");
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_one_that_changes_all_the_time_wakes_nobody_else)};

	if (argc > 1)
		switch_binary(argv[1]);
	return group_status(cmocka_run_group_tests(tests, NULL, NULL));
}
