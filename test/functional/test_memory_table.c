/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory that changes while the device runs.
 *
 * Stations 0 and 1 exchange streams in which no frame may be lost. Stations 2 and 3 exchange
 * streams in which frames may be lost. Station 2 changes its memory: the frames that it gets must
 * be correct.
 */
#include "functional.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define N 4

struct lab {
	struct switch_process sw;
	struct net_driver *nd[N], *changing;
	struct stream s[N];
	struct switch_usage before;
};

static int lab_setup(void **state)
{
	struct lab *l = calloc(1, sizeof(*l));

	switch_start(&l->sw, N, 1, false);
	for (unsigned i = 0; i < N; i++) {
		struct net_config c = usual_config(i % 2 ? FEATURES_PACKED : FEATURES_BASE, 1);

		if (i == 2)
			c.ring_size = 128;
		l->nd[i] = attach(&l->sw, i, &c);
	}
	introduce(l->nd, N);
	for (unsigned i = 0; i < N; i++) {
		l->s[i] = usual_stream(l->nd, i, i ^ 1, i + 1);
		l->s[i].lossy = i >= 2;
		l->s[i].window = i >= 2 ? 32 : 64;
	}
	l->changing = l->nd[2];
	streams_run(l->s, N, 200);
	l->before = switch_usage_at_rest(&l->sw);
	*state = l;
	return 0;
}

static int lab_teardown(void **state)
{
	struct lab *l = *state;
	struct switch_usage after;
	uint64_t then, deadline;
	json_t *stats;

	streams_settle(l->s, N);
	then = l->s[2].received + l->s[3].received;
	for (unsigned i = 0; i < N; i++)
		l->s[i].lossy = false; /* no change now: no frame may be lost */
	deadline = now_ns() + UINT64_C(10000000000);
	do {
		must(now_ns() < deadline, "the changed port carries nothing");
		streams_run(l->s, N, 300);
	} while (l->s[2].received + l->s[3].received <= then + 100);
	after = switch_usage_at_rest(&l->sw);
	must_equal(after.n_maps, l->before.n_maps, "mappings of vswitchd");
	must_equal(after.n_fds, l->before.n_fds, "open descriptors of vswitchd");
	stats = switch_stop(&l->sw);
	switch_check_totals(stats);
	for (unsigned i = 0; i < 2; i++) {
		must_equal(
		    switch_drops(stats, i, "ingress", NULL), 0, "frames lost from a bystander");
		must_equal(switch_drops(stats, i, "egress", NULL), 0, "frames lost to a bystander");
	}
	json_decref(stats);
	switch_remove(&l->sw);
	for (unsigned i = 0; i < N; i++)
		net_driver_destroy(l->nd[i]);
	free(l);
	return 0;
}

static void run(struct lab *l, unsigned steps)
{
	for (unsigned i = 0; i < steps; i++)
		streams_step(l->s, N);
}

static void test_the_same_table_again(void **state)
{
	struct lab *l = *state;

	for (unsigned i = 0; i < 200; i++) {
		must_equal(-frontend_set_mem_table(&l->changing->fe), 0, "errno of SET_MEM_TABLE");
		run(l, 10);
	}
}

static void test_a_table_that_grows_and_shrinks(void **state)
{
	struct lab *l = *state;
	struct frontend *fe = &l->changing->fe;
	int extra[6];

	for (unsigned i = 0; i < 30; i++) {
		for (unsigned k = 0; k < ARRAY_SIZE(extra); k++) {
			extra[k] = frontend_region_create(
			    fe, UINT64_C(0x8000000000) + k * 0x200000, 0x100000, 0, false);
			must(extra[k] >= 0, "frontend_region_create");
			must_equal(-frontend_set_mem_table(fe), 0, "errno of SET_MEM_TABLE");
			run(l, 5);
		}
		for (unsigned k = 0; k < ARRAY_SIZE(extra); k++)
			frontend_region_destroy(fe, extra[k]);
		must_equal(-frontend_set_mem_table(fe), 0, "errno of SET_MEM_TABLE");
		run(l, 5);
	}
}

static void test_regions_added_and_removed_hundreds_of_times(void **state)
{
	struct lab *l = *state;
	struct frontend *fe = &l->changing->fe;
	int extra[16];

	must(VHOST_PROTOCOL_HAS(fe->protocol_features, CONFIGURE_MEM_SLOTS), "no memory slots");
	for (unsigned i = 0; i < 20; i++) {
		for (unsigned k = 0; k < ARRAY_SIZE(extra); k++) {
			extra[k] = frontend_region_create(
			    fe, UINT64_C(0x8000000000) + k * 0x200000, 0x100000, 0, false);
			must(extra[k] >= 0, "frontend_region_create");
			must_equal(-frontend_add_mem_reg(fe, extra[k]), 0, "errno of ADD_MEM_REG");
			run(l, 3);
		}
		for (unsigned k = 0; k < ARRAY_SIZE(extra); k++) {
			must_equal(-frontend_rem_mem_reg(fe, extra[k]), 0, "errno of REM_MEM_REG");
			frontend_region_destroy(fe, extra[k]);
			run(l, 3);
		}
	}
}

/*
 * Move the buffers to another file. Their gpa and uaddr stay the same. Fill the old memory with
 * wrong bytes.
 */
static void replace_buffers(struct net_driver *nd)
{
	struct frontend *fe = &nd->fe;
	struct frontend_region *r = &fe->region[nd->buffers_region], old = *r;
	int fresh = frontend_region_create(fe, UINT64_C(0x10000000000), old.size, 0, false);

	must(fresh >= 0, "frontend_region_create");
	memcpy(fe->region[fresh].host, old.host, old.size);
	memset(old.host, 0xee, old.size);
	r->host = fe->region[fresh].host;
	r->fd = fe->region[fresh].fd;
	fe->region[fresh].host = old.host;
	fe->region[fresh].fd = old.fd;
	frontend_region_destroy(fe, fresh);
	for (unsigned i = 0; i < nd->n_queues; i++)
		for (unsigned k = 0; k < nd->config.ring_size; k++)
			nd->queue[i].slot[k].host += r->host - old.host;
	must_equal(-frontend_set_mem_table(fe), 0, "errno of SET_MEM_TABLE");
}

static void test_buffers_in_new_memory_at_the_same_address(void **state)
{
	struct lab *l = *state;

	for (unsigned i = 0; i < 20; i++) {
		streams_settle(l->s, N); /* a guest's memory does not change under its frames */
		replace_buffers(l->changing);
		run(l, 100);
	}
}

/*
 * Remove regions while frames use them, which no correct guest does: the other stations must not be
 * affected.
 */
static void test_the_table_shrinks_under_running_rings(void **state)
{
	struct lab *l = *state;
	struct net_driver *nd = l->changing;
	struct frontend *fe = &nd->fe;

	for (unsigned i = 0; i < 50; i++) {
		unsigned gone = i % 2 ? nd->buffers_region : nd->rings_region;
		uint64_t size = fe->region[gone].size;

		fe->region[gone].size = 0;
		must_equal(-frontend_set_mem_table(fe), 0, "errno of SET_MEM_TABLE");
		fe->region[gone].size = size;
		for (unsigned k = 0; k < 30; k++)
			streams_step(l->s, 2);
		must_equal(-frontend_set_mem_table(fe), 0, "errno of SET_MEM_TABLE");
		for (unsigned k = 0; k < 30; k++)
			streams_step(l->s, 2);
	}
	must_equal(-net_driver_stop(nd), 0, "errno of net_driver_stop");
	must_equal(-net_driver_reset_rings(nd), 0, "errno of net_driver_reset_rings");
	must_equal(-net_driver_resume(nd), 0, "errno of net_driver_resume");
}

static void test_a_stopped_device_moves_all_its_memory(void **state)
{
	struct lab *l = *state;
	struct net_driver *nd = l->changing;
	struct frontend_region *r = nd->fe.region;

	for (unsigned i = 0; i < 50; i++) {
		must_equal(-net_driver_stop(nd), 0, "errno of net_driver_stop");
		r[nd->rings_region].gpa ^= UINT64_C(0x40000000);
		r[nd->buffers_region].gpa ^= UINT64_C(0x2000000000);
		r[nd->buffers_region].uaddr ^= UINT64_C(0x1000000000);
		must_equal(-frontend_set_mem_table(&nd->fe), 0, "errno of SET_MEM_TABLE");
		must_equal(-net_driver_reset_rings(nd), 0, "errno of net_driver_reset_rings");
		must_equal(-net_driver_resume(nd), 0, "errno of net_driver_resume");
		run(l, 50);
	}
}

#define LAB(test) cmocka_unit_test_setup_teardown(test, lab_setup, lab_teardown)

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
	    LAB(test_the_same_table_again),
	    LAB(test_a_table_that_grows_and_shrinks),
	    LAB(test_regions_added_and_removed_hundreds_of_times),
	    LAB(test_buffers_in_new_memory_at_the_same_address),
	    LAB(test_the_table_shrinks_under_running_rings),
	    LAB(test_a_stopped_device_moves_all_its_memory),
	};

	if (argc > 1)
		switch_binary(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
