/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests which drivers are asked to kick, and for how long. Queues are replaced by counters. The
 * eventfds are real. test_idle_race.c shows that no kick is lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "worker/idle.h"
#include "worker/poll.h"

#define QUEUES 200

static struct lab {
	struct queue queue[QUEUES];
	struct queue *all[QUEUES];
	struct poll_entry entry[QUEUES];
	uint64_t key[QUEUES];
	int kick_fd[QUEUES];
	struct poll_list list;
	unsigned enables, disables; /* since the last call of expect() */
	bool something[QUEUES];     /* the ring has a chain */
	struct idle idle;
} lab;

static bool kick_enable(const struct queue *q)
{
	lab.enables++;
	return lab.something[q - lab.queue];
}

static void kick_disable(const struct queue *q)
{
	(void)q;
	lab.disables++;
}

static void expect(unsigned enables, unsigned disables)
{
	assert_int_equal(lab.enables, enables);
	assert_int_equal(lab.disables, disables);
	lab.enables = lab.disables = 0;
}

static bool prepare(void)
{
	return idle_prepare(&lab.idle, &lab.list, lab.entry);
}

static int open_lab(void **state)
{
	static const struct queue_ops ops = {
	    .kick_enable = kick_enable, .kick_disable = kick_disable};

	(void)state;
	memset(&lab, 0, sizeof(lab));
	assert_int_equal(idle_init(&lab.idle, 1000000000), 0);
	for (unsigned i = 0; i < QUEUES; i++) {
		lab.queue[i].ops = &ops;
		lab.kick_fd[i] = eventfd(0, EFD_NONBLOCK);
		lab.all[i] = &lab.queue[i];
		lab.key[i] = 7 * i;
		assert_int_equal(idle_watch(&lab.idle, lab.kick_fd[i], lab.key[i]), 0);
	}
	lab.list = (struct poll_list){.n = QUEUES, .kicks = true, .queue = lab.all, .key = lab.key};
	return 0;
}

static int close_lab(void **state)
{
	(void)state;
	idle_cleanup(&lab.idle);
	for (unsigned i = 0; i < QUEUES; i++)
		close(lab.kick_fd[i]);
	return 0;
}

static void disable_kick(unsigned i)
{
	idle_disable_kick(&lab.entry[i], &lab.queue[i]);
}

static void kick(unsigned i)
{
	eventfd_write(lab.kick_fd[i], 1);
}

/* Sleep. Returns the queue that was kicked; QUEUES: none. */
static unsigned wait_for_kick(void)
{
	uint64_t kicked[IDLE_KICKS];
	unsigned n = idle_wait(&lab.idle, kicked);

	assert_true(n <= 1);
	return n ? poll_find(&lab.list, kicked[0]) : QUEUES;
}

static void all_who_kicked_are_told(void **state)
{
	uint64_t kicked[IDLE_KICKS];
	bool told[QUEUES] = {false};
	unsigned all = 0;

	(void)state;
	assert_true(prepare());
	for (unsigned i = 0; i < QUEUES; i++)
		kick(i);
	for (unsigned n = idle_wait(&lab.idle, kicked); n; n = idle_more_kicks(&lab.idle, kicked)) {
		for (unsigned k = 0; k < n; k++) {
			unsigned i = poll_find(&lab.list, kicked[k]);

			assert_in_range(i, 0, QUEUES - 1);
			assert_false(told[i]);
			told[i] = true;
			all++;
		}
	}
	assert_int_equal(all, QUEUES);
}

static void a_driver_stays_asked_until_it_had_something(void **state)
{
	(void)state;
	assert_true(prepare());
	expect(QUEUES, 0);
	assert_true(prepare());
	expect(0, 0);
	disable_kick(7);
	disable_kick(7);
	expect(0, 1);
	assert_true(prepare());
	expect(1, 0);
}

static void a_kick_says_whose_it_is(void **state)
{
	(void)state;
	for (unsigned i = 0; i < QUEUES; i += 33) {
		assert_true(prepare());
		kick(i);
		assert_int_equal(wait_for_kick(), i);
	}
	/* A wake-up by the control thread is no kick of a queue. */
	assert_true(prepare());
	atomic_store(&lab.idle.asleep, true);
	idle_wake(&lab.idle);
	assert_int_equal(wait_for_kick(), QUEUES);
}

static void kicks_of_a_time_awake_do_not_end_the_next_sleep(void **state)
{
	(void)state;
	assert_true(prepare());
	for (unsigned i = 0; i < QUEUES; i++)
		kick(i);
	assert_true(prepare());
	kick(5);
	assert_int_equal(wait_for_kick(), 5);
	/* The same for kicks of a queue that has left the list. */
	lab.list.n = QUEUES - 1;
	kick(QUEUES - 1);
	assert_true(prepare());
	kick(6);
	assert_int_equal(wait_for_kick(), 6);
}

static void a_kick_before_it_was_watched_ends_a_sleep(void **state)
{
	(void)state;
	assert_true(prepare());
	idle_unwatch(&lab.idle, lab.kick_fd[3]);
	kick(3);
	kick(5);
	assert_int_equal(wait_for_kick(), 5);
	assert_int_equal(idle_watch(&lab.idle, lab.kick_fd[3], lab.key[3]), 0);
	assert_int_equal(wait_for_kick(), 3);
}

/* The watch of a port that had the index before, and whose kick was not read in time. */
static void a_kick_of_an_older_port_with_the_same_index_is_nobodys(void **state)
{
	static struct port port[QUEUES];

	(void)state;
	for (unsigned i = 0; i < QUEUES; i++) {
		port[i] = (struct port){.index = i, .generation = 2};
		lab.queue[i].port = &port[i];
		lab.queue[i].index = 1;
		lab.key[i] = poll_key(&lab.queue[i]);
	}
	port[3].generation = 1;
	idle_unwatch(&lab.idle, lab.kick_fd[3]);
	idle_unwatch(&lab.idle, lab.kick_fd[4]);
	assert_int_equal(idle_watch(&lab.idle, lab.kick_fd[3], poll_key(&lab.queue[3])), 0);
	assert_int_equal(idle_watch(&lab.idle, lab.kick_fd[4], lab.key[4]), 0);
	assert_true(prepare());
	expect(QUEUES, 0);
	kick(3);
	assert_int_equal(wait_for_kick(), QUEUES);
	kick(4);
	assert_int_equal(wait_for_kick(), 4);
	/* A kick that came while the worker was awake. */
	kick(3);
	assert_true(prepare());
	expect(0, 0);
}

static void without_all_kicks_a_sleep_is_a_nap(void **state)
{
	uint64_t kicked[IDLE_KICKS];

	(void)state;
	lab.list.kicks = false;
	assert_true(prepare());
	expect(0, 0);
	kick(3);
	assert_int_equal(idle_wait(&lab.idle, kicked), 0);
	assert_int_equal(idle_more_kicks(&lab.idle, kicked), 0);
}

static void what_a_kick_was_for_is_not_slept_over(void **state)
{
	(void)state;
	assert_true(prepare());
	lab.something[3] = true;
	kick(3);
	assert_false(prepare());
	/*
	 * The chain may wait for a translation. Its driver does not kick again, so the worker must
	 * not sleep.
	 */
	assert_false(prepare());
	/* A driver that was not asked does not kick: the ring must be checked. */
	lab.something[3] = false;
	assert_true(prepare());
	disable_kick(3);
	lab.something[3] = true;
	assert_false(prepare());
	assert_false(lab.entry[3].kick_enabled);
}

static void only_kicks_make_it_wait_longer(void **state)
{
	uint64_t spin = lab.idle.spin;

	(void)state;
	assert_true(prepare());
	atomic_store(&lab.idle.asleep, true);
	idle_wake(&lab.idle);
	assert_int_equal(wait_for_kick(), QUEUES);
	idle_adapt(&lab.idle, 1);
	assert_int_equal(lab.idle.spin, spin);
	assert_true(prepare());
	kick(1);
	assert_int_equal(wait_for_kick(), 1);
	idle_adapt(&lab.idle, 1);
	assert_true(lab.idle.spin > spin);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_lab, close_lab)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(all_who_kicked_are_told),
	    TEST(a_driver_stays_asked_until_it_had_something),
	    TEST(a_kick_says_whose_it_is),
	    TEST(kicks_of_a_time_awake_do_not_end_the_next_sleep),
	    TEST(a_kick_before_it_was_watched_ends_a_sleep),
	    TEST(a_kick_of_an_older_port_with_the_same_index_is_nobodys),
	    TEST(without_all_kicks_a_sleep_is_a_nap),
	    TEST(what_a_kick_was_for_is_not_slept_over),
	    TEST(only_kicks_make_it_wait_longer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
