/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of the forwarding: which queues a worker polls, and which parts stay the same in the next
 * forwarding.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "datapath/forwarding.h"

#define PORTS 4

static struct port ports[PORTS];
static struct queue queues[PORTS];
static struct queue *queue[PORTS];
static struct port *port[PORTS];

/*
 * A forwarding in which port i has one queue: worker 0 polls the queues of even ports, worker 1
 * those of odd ports. Port 1 is down.
 */
static struct forwarding *picture(void)
{
	struct forwarding_config config = {
	    .n_ports = PORTS, .port = port, .n_queues = PORTS, .queue = queue, .n_workers = 3};
	struct forwarding *fwd;

	for (unsigned i = 0; i < PORTS; i++) {
		ports[i].index = i;
		port[i] = &ports[i];
		queue[i] = &queues[i];
		queues[i].port = &ports[i];
		queues[i].worker = i % 2;
	}
	port[1] = NULL;
	assert_int_equal(forwarding_create(&config, &fwd), 0);
	return fwd;
}

static void each_worker_polls_its_queues_in_order(void **state)
{
	struct forwarding *fwd = picture();

	(void)state;
	for (unsigned worker = 0; worker < 2; worker++) {
		const struct poll_list *list = &fwd->poll[worker];

		assert_int_equal(list->n, 2);
		for (unsigned i = 0; i < 2; i++) {
			assert_ptr_equal(list->queue[i], &queues[2 * i + worker]);
			assert_int_equal(list->port[i], 2 * i + worker);
			assert_int_equal(list->key[i], (uint64_t)(2 * i + worker) << 48);
		}
	}
	assert_int_equal(fwd->poll[2].n, 0);
	assert_int_equal(fwd->n_dests, PORTS);
	for (unsigned i = 0; i < PORTS; i++) {
		assert_ptr_equal(fwd->dest[i].port, port[i]);
		assert_int_equal(fwd->dest[i].edit, EDIT_NONE);
	}
	assert_int_equal(fwd->n_up, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fwd->up[i], i ? i + 1 : 0);
	forwarding_destroy(fwd);
}

/* Otherwise the worker would sleep although a driver that does not kick has sent frames. */
static void only_if_each_of_its_queues_kicks_a_worker_may_wait_for_kicks(void **state)
{
	(void)state;
	for (unsigned kicks = 0; kicks < 1 << PORTS; kicks++) {
		struct forwarding *fwd;

		for (unsigned i = 0; i < PORTS; i++)
			queues[i].kicks = kicks >> i & 1;
		fwd = picture();
		assert_int_equal(fwd->poll[0].kicks, (kicks & 5) == 5);
		assert_int_equal(fwd->poll[1].kicks, (kicks & 10) == 10);
		assert_true(fwd->poll[2].kicks);
		forwarding_destroy(fwd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_worker_polls_its_queues_in_order),
	    cmocka_unit_test(only_if_each_of_its_queues_kicks_a_worker_may_wait_for_kicks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
