/* SPDX-License-Identifier: BSD-3-Clause */
/* Which worker polls which queue, on simulated machines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/numa.h"
#include "base/util.h"
#include "control/balance.h"

#define WORKERS 4
#define QUEUES  64

static struct lab {
	struct balance balance;
	unsigned n_workers, n_queues;
	struct balance_worker worker[WORKERS];
	struct balance_queue queue[QUEUES];
	struct balance_move moves[BALANCE_MOVES_MAX];
} lab;

static int open_lab(void **state)
{
	(void)state;
	lab = (struct lab){.balance.limits = balance_usual, .n_workers = 2};
	for (unsigned w = 0; w < WORKERS; w++)
		lab.worker[w] = (struct balance_worker){.usable = true};
	return 0;
}

static void add(unsigned worker, unsigned load, int node)
{
	lab.queue[lab.n_queues++] =
	    (struct balance_queue){.worker = worker, .load = load, .node = node};
	lab.worker[worker].load += load;
	lab.worker[worker].queues++;
}

/* One interval with the loads as they are now. */
static unsigned step(void)
{
	struct balance_worker worker[WORKERS];
	struct balance_queue queue[QUEUES];

	memcpy(worker, lab.worker, sizeof(worker));
	memcpy(queue, lab.queue, sizeof(queue));
	return balance_step(&lab.balance, worker, lab.n_workers, queue, lab.n_queues, lab.moves);
}

/* Apply the moves, with the loads that the balancer expected. */
static void carry_out(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct balance_move *m = &lab.moves[i];
		struct balance_queue *q = &lab.queue[m->queue];

		assert_int_equal(q->worker, m->from);
		assert_int_not_equal(m->from, m->to);
		q->worker = m->to;
		q->load = m->to_after - m->to_before;
		lab.worker[m->from].load = m->from_after;
		lab.worker[m->to].load = m->to_after;
		lab.worker[m->from].queues--;
		lab.worker[m->to].queues++;
	}
}

/* Run n intervals and apply their moves. Returns the number of moves. */
static unsigned steps(unsigned n)
{
	unsigned moves = 0;

	while (n--) {
		unsigned k = step();

		carry_out(k);
		moves += k;
	}
	return moves;
}

static void a_busy_worker_gives_a_queue_to_an_idle_one(void **state)
{
	(void)state;
	add(0, 330, 0);
	add(0, 600, 0);
	add(1, 100, 0);
	assert_int_equal(steps(2), 0);
	assert_int_equal(step(), 1);
	assert_int_equal(lab.moves[0].queue, 0);
	assert_int_equal(lab.moves[0].from, 0);
	assert_int_equal(lab.moves[0].to, 1);
	assert_int_equal(lab.moves[0].from_before, 930);
	assert_int_equal(lab.moves[0].from_after, 600);
	assert_int_equal(lab.moves[0].to_before, 100);
	assert_int_equal(lab.moves[0].to_after, 430);
}

static void what_does_not_last_is_not_acted_upon(void **state)
{
	(void)state;
	add(0, 450, 0);
	add(0, 450, 0);
	for (unsigned i = 0; i < 20; i++) {
		lab.worker[0].load = i % 3 == 2 ? 600 : 900;
		assert_int_equal(step(), 0);
	}
}

static void after_moves_it_holds_off(void **state)
{
	(void)state;
	add(0, 450, 0);
	add(0, 450, 0);
	assert_int_equal(steps(2), 0);
	assert_int_equal(step(), 1);
	/* The move was not made, so it is proposed again, but only after the hold-off. */
	for (unsigned i = 0; i < balance_usual.hold_off + balance_usual.sustained_min - 1; i++)
		assert_int_equal(step(), 0);
	assert_int_equal(step(), 1);
}

static void a_worker_that_is_not_busy_keeps_its_queues(void **state)
{
	(void)state;
	add(0, 340, 0);
	add(0, 340, 0);
	assert_int_equal(steps(20), 0);
}

static void a_single_hot_queue_stays(void **state)
{
	(void)state;
	add(0, 1000, 0);
	assert_int_equal(steps(50), 0);
	add(0, 0, 0);
	add(1, 20, 0);
	lab.worker[0].load = 1000;
	assert_int_equal(steps(50), 0);
}

static void nothing_goes_back_and_forth(void **state)
{
	(void)state;
	lab.n_workers = 3;
	add(0, 500, 0);
	add(0, 499, 0);
	add(1, 700, 0);
	add(2, 650, 0);
	assert_true(steps(500) <= 1);
}

static void equal_queues_are_shared_out(void **state)
{
	(void)state;
	lab.n_workers = 4;
	for (unsigned i = 0; i < 8; i++)
		add(0, 125, 0);
	assert_int_equal(steps(3), 6);
	for (unsigned w = 0; w < 4; w++)
		assert_int_equal(lab.worker[w].load, 250);
	assert_int_equal(steps(100), 0);
}

static void equal_workers_exchange_nothing(void **state)
{
	(void)state;
	lab.n_workers = 4;
	for (unsigned i = 0; i < 16; i++)
		add(i % 4, 240, 0);
	assert_int_equal(steps(100), 0);
}

static void a_tie_is_broken_the_same_way_each_time(void **state)
{
	(void)state;
	lab.n_workers = 3;
	add(0, 400, 0);
	add(0, 400, 0);
	steps(2);
	assert_int_equal(step(), 1);
	assert_int_equal(lab.moves[0].queue, 0);
	assert_int_equal(lab.moves[0].to, 1);
}

static void the_lesser_queue_moves_if_it_gains_as_much(void **state)
{
	(void)state;
	lab.n_workers = 2;
	add(0, 600, 0);
	add(0, 300, 0);
	steps(2);
	assert_int_equal(step(), 1);
	assert_int_equal(lab.moves[0].queue, 1);
}

static void workers_that_stand_still_get_nothing(void **state)
{
	(void)state;
	lab.n_workers = 3;
	add(0, 450, 0);
	add(0, 450, 0);
	lab.worker[1].usable = false;
	steps(2);
	assert_int_equal(step(), 1);
	assert_int_equal(lab.moves[0].to, 2);
	lab.worker[2].usable = false;
	assert_int_equal(steps(50), 0);
}

static void a_stuck_busiest_worker_does_not_hide_the_next(void **state)
{
	(void)state;
	lab.n_workers = 3;
	add(0, 990, 0);
	add(1, 450, 0);
	add(1, 450, 0);
	steps(2);
	assert_int_equal(step(), 1);
	assert_int_equal(lab.moves[0].from, 1);
	assert_int_equal(lab.moves[0].to, 2);
}

/* Two nodes with two workers each. */
static void make_nodes(void)
{
	lab.n_workers = 4;
	for (unsigned w = 0; w < 4; w++)
		lab.worker[w].node = w / 2;
}

static void the_own_node_is_preferred_and_the_other_costs_more(void **state)
{
	(void)state;
	make_nodes();
	add(0, 400, 0);
	add(0, 400, 0);
	add(1, 50, 0);
	steps(2);
	assert_int_equal(step(), 1);
	assert_int_equal(lab.moves[0].to, 1); /* 450 there, 500 at the others */
	lab.worker[1].load = 790;
	steps(balance_usual.hold_off + balance_usual.sustained_min - 1);
	assert_int_equal(step(), 1);
	assert_int_equal(lab.moves[0].to, 2);
	assert_int_equal(lab.moves[0].to_after, 500);
}

static void queues_go_home_where_there_is_room(void **state)
{
	(void)state;
	make_nodes();
	add(0, 250, 1);
	add(1, 0, 1);
	add(1, 100, 0);
	add(1, 100, NUMA_UNKNOWN);
	assert_int_equal(steps(3), 2);
	assert_int_equal(lab.queue[0].worker / 2, 1);
	assert_int_equal(lab.queue[0].load, 200);
	assert_int_equal(lab.queue[1].worker / 2, 1);
	assert_int_equal(steps(100), 0);
}

static void queues_stay_away_from_a_full_home(void **state)
{
	(void)state;
	make_nodes();
	add(0, 250, 1);
	add(2, 650, 1);
	add(3, 650, 1);
	assert_int_equal(steps(100), 0);
}

static void a_node_without_workers_is_no_home(void **state)
{
	(void)state;
	make_nodes();
	add(0, 100, 7);
	assert_int_equal(steps(100), 0);
	assert_int_equal(balance_place(lab.worker, 4, 7), 1);
}

static void new_queues_go_to_their_node_and_there_to_the_fewest(void **state)
{
	(void)state;
	make_nodes();
	add(0, 0, 0);
	add(0, 0, 0);
	add(1, 0, 0);
	add(2, 0, 0);
	assert_int_equal(balance_place(lab.worker, 4, 0), 1);
	assert_int_equal(balance_place(lab.worker, 4, 1), 3);
	assert_int_equal(balance_place(lab.worker, 4, NUMA_UNKNOWN), 3);
	lab.worker[3].usable = false;
	assert_int_equal(balance_place(lab.worker, 4, 1), 2);
}

static void on_one_node_new_queues_are_shared_out(void **state)
{
	unsigned count[WORKERS] = {0};

	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		unsigned w = balance_place(lab.worker, 4, 0);

		lab.worker[w].queues++;
		count[w]++;
	}
	for (unsigned w = 0; w < WORKERS; w++)
		assert_int_equal(count[w], 10);
}

/*
 * With random loads, moves make no worker busier than the busiest worker was before, or than
 * `busy` if this is more. After some time no more moves are found.
 */
static void random_loads_settle(void **state)
{
	(void)state;
	srandom(1);
	for (unsigned round = 0; round < 300; round++) {
		unsigned before = 0, after = 0;

		open_lab(NULL);
		make_nodes();
		for (unsigned i = 0; i < 30; i++)
			add(random() % 4, random() % 100, (int)(random() % 3) - 1);
		for (unsigned w = 0; w < 4; w++)
			before = MAX(before, lab.worker[w].load);
		steps(200);
		for (unsigned w = 0; w < 4; w++)
			after = MAX(after, lab.worker[w].load);
		assert_true(after <= MAX(before, balance_usual.busy));
		assert_int_equal(steps(50), 0);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, open_lab)
	const struct CMUnitTest tests[] = {
	    TEST(a_busy_worker_gives_a_queue_to_an_idle_one),
	    TEST(what_does_not_last_is_not_acted_upon),
	    TEST(after_moves_it_holds_off),
	    TEST(a_worker_that_is_not_busy_keeps_its_queues),
	    TEST(a_single_hot_queue_stays),
	    TEST(nothing_goes_back_and_forth),
	    TEST(equal_queues_are_shared_out),
	    TEST(equal_workers_exchange_nothing),
	    TEST(a_tie_is_broken_the_same_way_each_time),
	    TEST(the_lesser_queue_moves_if_it_gains_as_much),
	    TEST(workers_that_stand_still_get_nothing),
	    TEST(a_stuck_busiest_worker_does_not_hide_the_next),
	    TEST(the_own_node_is_preferred_and_the_other_costs_more),
	    TEST(queues_go_home_where_there_is_room),
	    TEST(queues_stay_away_from_a_full_home),
	    TEST(a_node_without_workers_is_no_home),
	    TEST(new_queues_go_to_their_node_and_there_to_the_fewest),
	    TEST(on_one_node_new_queues_are_shared_out),
	    TEST(random_loads_settle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
