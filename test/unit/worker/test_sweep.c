/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Idle queues cost a busy queue little, and frames in them are found. Rings and bursts are replaced
 * by simple code: a driver only writes one word.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_cycles.h>

#include "datapath/forwarding.h"
#include "datapath/queue_ops.h"
#include "worker/sweep.h"

#define QUEUES    1000
#define PLENTY_HZ UINT64_C(1000000000000000) /* so high that credit never ends */

static struct lab {
	struct queue queue[QUEUES];
	struct queue *all[QUEUES];
	struct port port[QUEUES];
	unsigned pending[QUEUES]; /* frames in each */
	uint16_t shown[QUEUES];   /* not 0: the queue has frames */
	bool hidden[QUEUES];      /* a look cannot show that it has frames */
	bool broken[QUEUES];      /* it will never have frames */
	unsigned bursts;          /* in the last turn */
	unsigned last;            /* the queue of the last burst */
	uint64_t cycles;          /* that each burst takes at least */
	struct forwarding *fwd;
	struct sweep sweep;
} lab;

static bool peek(const struct queue *q, struct vring_peek *ret_peek)
{
	unsigned i = q - lab.queue;

	*ret_peek = lab.broken[i] ? (struct vring_peek){0}
				  : (struct vring_peek){.word = &lab.shown[i], .mask = UINT16_MAX};
	return !lab.hidden[i];
}

static void offer(unsigned queue, unsigned frames)
{
	lab.pending[queue] = frames;
	lab.shown[queue] = 1;
}

unsigned burst_run(struct burst *b, const struct forwarding *fwd, struct queue *source,
    uint32_t now_s, unsigned max)
{
	unsigned *pending = &lab.pending[source - lab.queue], n = MIN(*pending, max);

	(void)b;
	(void)now_s;
	assert_ptr_equal(fwd, lab.fwd);
	lab.bursts++;
	lab.last = source - lab.queue;
	for (uint64_t since = rte_rdtsc(); rte_rdtsc() - since < lab.cycles;)
		; /* as if frames were copied */
	*pending -= n;
	lab.shown[source - lab.queue] = *pending > 0;
	return n;
}

static unsigned turn(void)
{
	lab.bursts = 0;
	return sweep_turn(&lab.sweep, NULL, lab.fwd, &lab.fwd->poll[0], 0);
}

static void publish(unsigned n, uint64_t number)
{
	struct port *port = &lab.port[0];
	const struct bridge_setup bridge = {0};
	const struct forwarding_config config = {.n_bridges = 1,
	    .bridge = &bridge,
	    .n_ports = 1,
	    .port = &port,
	    .n_queues = n,
	    .queue = lab.all,
	    .n_workers = 1};

	forwarding_destroy(lab.fwd);
	assert_int_equal(forwarding_create(&config, &lab.fwd), 0);
	lab.fwd->poll[0].number = number;
}

static int open_lab(void **state)
{
	static const struct queue_ops ops = {.peek = peek};

	(void)state;
	memset(&lab, 0, sizeof(lab));
	for (unsigned i = 0; i < QUEUES; i++) {
		lab.queue[i].ops = &ops;
		lab.queue[i].port = &lab.port[i];
		lab.port[i].index = i;
		lab.all[i] = &lab.queue[i];
	}
	assert_int_equal(sweep_init(&lab.sweep, PLENTY_HZ), 0);
	publish(QUEUES, 1);
	return 0;
}

static int close_lab(void **state)
{
	(void)state;
	sweep_cleanup(&lab.sweep);
	forwarding_destroy(lab.fwd);
	lab.fwd = NULL;
	return 0;
}

/* Make n turns in which only queue 0 has a frame. */
static void turns(unsigned n)
{
	while (n--) {
		offer(0, 1);
		assert_int_equal(turn(), 1);
	}
}

static void quiet_queues_are_polled_for_a_while(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SWEEP_COLD; i++) {
		turns(1);
		assert_int_equal(lab.bursts, QUEUES);
	}
}

static void beside_a_busy_queue_a_thousand_cost_a_few_looks(void **state)
{
	(void)state;
	turns(SWEEP_COLD);
	for (unsigned i = 0; i < 10 * SWEEP_SLICES; i++) {
		turns(1);
		assert_int_equal(lab.bursts, 1);
	}
	/* The frames that a turn finds show how many looks it makes. */
	for (unsigned i = 1; i < QUEUES; i++)
		offer(i, 1);
	turns(1);
	turn();
	assert_in_range(lab.bursts, 2, SWEEP_LOOKS + 1);
}

static void a_cold_queue_is_heard_of_within_a_sweep(void **state)
{
	(void)state;
	turns(SWEEP_COLD);
	for (unsigned i = 0; i < 3 * QUEUES; i++) {
		unsigned k = 1 + random() % (QUEUES - 1), waited = 0;

		offer(k, 1);
		while (lab.pending[k]) {
			offer(0, 1);
			turn();
			assert_true(++waited <= QUEUES / SWEEP_LOOKS + 2);
		}
	}
}

static void who_kicks_is_found_without_a_look_at_others(void **state)
{
	(void)state;
	turn();
	sweep_rest(&lab.sweep, &lab.fwd->poll[0]);
	assert_int_equal(lab.sweep.n_warm, 0);
	for (unsigned i = 0; i < QUEUES; i++)
		offer(i, 1);
	sweep_kicked(&lab.sweep, QUEUES / 2);
	/* A second kick changes nothing. */
	sweep_kicked(&lab.sweep, QUEUES / 2);
	assert_int_equal(lab.sweep.n_warm, 1);
	assert_int_equal(turn(), 1);
	assert_int_equal(lab.bursts, 1);
	assert_int_equal(lab.pending[QUEUES / 2], 0);
	/* The other queues are found in later turns. */
	for (unsigned turns = 0; turns < QUEUES; turns++)
		turn();
	for (unsigned i = 0; i < QUEUES; i++)
		assert_int_equal(lab.pending[i], 0);
}

static void many_frames_pay_for_many_looks(void **state)
{
	(void)state;
	turns(SWEEP_COLD);
	for (unsigned i = 1; i < QUEUES; i++)
		offer(i, 1);
	offer(0, 32);
	turn();
	turn();
	assert_in_range(lab.bursts, 32 / SWEEP_LOOK_FRAMES, 32 / SWEEP_LOOK_FRAMES + 1);
}

static void with_nothing_else_to_do_it_is_heard_of_at_once(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SWEEP_COLD; i++)
		assert_int_equal(turn(), 0);
	assert_int_equal(lab.sweep.n_warm, 0);
	assert_int_equal(turn(), 0);
	assert_int_equal(lab.bursts, 0);
	offer(777, 5);
	assert_int_equal(turn(), 5);
	assert_int_equal(lab.bursts, 1);
}

static void what_waits_for_a_translation_is_tried(void **state)
{
	(void)state;
	lab.hidden[5] = true;
	turns(3 * SWEEP_COLD);
	assert_int_equal(lab.bursts, 2);
}

static void a_broken_ring_is_not_looked_at(void **state)
{
	(void)state;
	lab.broken[5] = true;
	turns(SWEEP_COLD);
	lab.shown[5] = 1;
	turns(2 * QUEUES / SWEEP_LOOKS);
	assert_int_equal(lab.bursts, 1);
}

/* Publish a list of queue 0 and the queues from `first` on. */
static void publish_from(unsigned first, uint64_t number)
{
	for (unsigned i = first; i < QUEUES; i++)
		lab.all[1 + i - first] = &lab.queue[i];
	publish(1 + QUEUES - first, number);
}

static void quiet_queues_stay_quiet_on_a_new_list(void **state)
{
	(void)state;
	turns(SWEEP_COLD + 1);
	/*
	 * Publish the same queues again. Then publish fewer queues; they have other places on the
	 * list. Then publish all queues; some of them are new.
	 */
	publish(QUEUES, 2);
	turns(1);
	assert_int_equal(lab.bursts, 1);
	publish_from(QUEUES / 2, 3);
	turns(1);
	assert_int_equal(lab.bursts, 1);
	publish_from(1, 4);
	turns(1);
	assert_int_equal(lab.bursts, QUEUES / 2);
	turns(SWEEP_COLD);
	publish(0, 5);
	assert_int_equal(turn(), 0);
	assert_int_equal(lab.bursts, 0);
}

static void a_queue_of_another_port_with_the_same_index_is_polled(void **state)
{
	(void)state;
	turns(SWEEP_COLD + 1);
	publish(QUEUES, 2);
	turns(1);
	assert_int_equal(lab.bursts, 1);
	lab.port[7].generation++;
	publish(QUEUES, 3);
	turns(1);
	assert_int_equal(lab.bursts, 2);
}

static void who_is_cold_is_looked_at_on_a_new_list(void **state)
{
	(void)state;
	turns(SWEEP_COLD + 1);
	publish_from(QUEUES / 2, 2);
	offer(QUEUES / 2, 1);
	offer(QUEUES - 1, 1);
	for (unsigned i = 0; i < QUEUES / SWEEP_LOOKS; i++) {
		offer(0, 1);
		turn();
	}
	assert_int_equal(lab.pending[QUEUES / 2], 0);
	assert_int_equal(lab.pending[QUEUES - 1], 0);
}

static void a_ring_that_is_started_anew_is_polled(void **state)
{
	(void)state;
	turns(SWEEP_COLD + 1);
	lab.queue[7].tenure++;
	publish(QUEUES, 2);
	turns(1);
	assert_int_equal(lab.bursts, 2);
}

static void what_was_asked_stays_asked_on_a_new_list(void **state)
{
	(void)state;
	turn();
	for (unsigned i = 0; i < QUEUES; i++)
		lab.sweep.poll.entry[i].kick_enabled = i % 2;
	lab.queue[7].tenure++;
	publish_from(2, 2);
	sweep_follow(&lab.sweep, &lab.fwd->poll[0]);
	assert_int_equal(lab.sweep.poll.n, QUEUES - 1);
	for (unsigned i = 1; i < QUEUES - 1; i++)
		assert_int_equal(lab.sweep.poll.entry[i].kick_enabled, (i + 1) % 2 && i + 1 != 7);
}

/*
 * Looks must go on where they were on the old list. Otherwise they would never reach the last
 * queues.
 */
static void looks_go_on_over_new_lists(void **state)
{
	unsigned number = 2;

	(void)state;
	turns(SWEEP_COLD + 1);
	offer(QUEUES - 1, 1);
	for (unsigned i = 0; i < 2 * QUEUES / SWEEP_LOOKS; i++) {
		publish_from(1 + i % 2, number++);
		offer(0, 1);
		turn();
		lab.queue[1].tenure++;
	}
	assert_int_equal(lab.pending[QUEUES - 1], 0);
}

static void without_a_forwarding_nothing_is_known(void **state)
{
	(void)state;
	turns(SWEEP_COLD + 1);
	sweep_nothing(&lab.sweep);
	turns(1);
	assert_int_equal(lab.bursts, QUEUES);
}

static void all_who_kicked_are_served_at_once(void **state)
{
	unsigned left = 0;

	(void)state;
	turn();
	sweep_rest(&lab.sweep, &lab.fwd->poll[0]);
	for (unsigned i = 0; i < QUEUES; i++) {
		offer(i, 1);
		sweep_kicked(&lab.sweep, i);
	}
	turn();
	turn();
	for (unsigned i = 0; i < QUEUES; i++)
		left += lab.pending[i];
	assert_int_equal(left, 0);
}

static void each_worker_has_its_queues_in_order(void **state)
{
	enum { WORKERS = 3 };
	struct port *port = &lab.port[0];
	const struct bridge_setup bridge = {0};
	const struct forwarding_config config = {.n_bridges = 1,
	    .bridge = &bridge,
	    .n_ports = 1,
	    .port = &port,
	    .n_queues = QUEUES,
	    .queue = lab.all,
	    .n_workers = WORKERS};
	struct forwarding *fwd;
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < QUEUES; i++)
		lab.queue[i].worker = i % 7 % WORKERS;
	assert_int_equal(forwarding_create(&config, &fwd), 0);
	for (unsigned w = 0; w < WORKERS; w++) {
		const struct poll_list *list = &fwd->poll[w];

		n += list->n;
		for (unsigned i = 0; i < list->n; i++) {
			assert_int_equal(list->queue[i]->worker, w);
			assert_int_equal(poll_find(list, list->key[i]), i);
			assert_true(i == 0 || list->key[i - 1] < list->key[i]);
		}
		assert_int_equal(
		    poll_find(list, lab.all[QUEUES - 1]->worker == w ? 1 : UINT64_MAX), list->n);
	}
	assert_int_equal(n, QUEUES);
	forwarding_destroy(fwd);
}

static void lists_are_equal_if_nothing_was_started_anew(void **state)
{
	struct forwarding *before = lab.fwd;

	(void)state;
	lab.fwd = NULL;
	publish(QUEUES, 2);
	assert_true(poll_list_equal(&before->poll[0], &lab.fwd->poll[0]));
	lab.queue[QUEUES - 1].tenure++;
	publish(QUEUES, 2);
	assert_false(poll_list_equal(&before->poll[0], &lab.fwd->poll[0]));
	lab.queue[QUEUES - 1].tenure--;
	lab.port[QUEUES - 1].generation++;
	publish(QUEUES, 2);
	assert_false(poll_list_equal(&before->poll[0], &lab.fwd->poll[0]));
	lab.port[QUEUES - 1].generation--;
	lab.queue[0].kicks = !lab.queue[0].kicks;
	publish(QUEUES, 2);
	assert_int_equal(poll_list_equal(&before->poll[0], &lab.fwd->poll[0]),
	    before->poll[0].kicks == lab.fwd->poll[0].kicks);
	publish(QUEUES - 1, 2);
	assert_false(poll_list_equal(&before->poll[0], &lab.fwd->poll[0]));
	forwarding_destroy(before);
}

/* Each visit takes more cycles than the credit of a round. */
static void queues_of_a_port_without_credit_are_passed_over_in_turn(void **state)
{
	bool seen[8] = {false};

	(void)state;
	lab.cycles = 1000;
	shares_init(&lab.sweep.shares, 1000000);
	for (unsigned i = 0; i < 8; i++) {
		lab.queue[i].port = &lab.port[0];
		lab.queue[i].index = 1 + 2 * i;
	}
	publish(9, 2);
	for (unsigned i = 0; i < 9; i++)
		offer(i, 1000000);
	for (unsigned turns = 0; turns < 10000; turns++) {
		assert_true(turn() > 0 || sweep_left(&lab.sweep));
		assert_true(lab.bursts <= 2);
		assert_int_equal(lab.sweep.n_warm, 9);
		seen[lab.last % 8] |= lab.last < 8;
	}
	for (unsigned i = 0; i < 8; i++)
		assert_true(seen[i]);
	assert_true(lab.pending[8] < 1000000);
}

#define OTHER_WORK UINT64_C(1000000) /* cycles */

static void do_nothing(void)
{
}

static void do_other_work(void)
{
	sweep_other_work(&lab.sweep);
}

static void take_a_new_list(void)
{
	static uint64_t number = 1;

	publish(QUEUES, ++number);
}

/* What the first port is charged for a turn after other work: the least of some tries. */
static uint64_t charged_after(void (*then)(void))
{
	uint64_t least = UINT64_MAX;

	for (unsigned try = 0; try < 20; try++) {
		turns(1);
		for (uint64_t since = rte_rdtsc(); rte_rdtsc() - since < OTHER_WORK;)
			;
		then();
		turns(1);
		least = MIN(least, lab.sweep.shares.round_cycles - lab.sweep.shares.port[0].credit);
	}
	return least;
}

/* Mail and new lists take time, and no port with frames may be charged for it. */
static void other_work_is_charged_to_no_port(void **state)
{
	(void)state;
	turns(SWEEP_COLD);
	assert_true(charged_after(do_nothing) >= OTHER_WORK); /* so a charge would show */
	assert_true(charged_after(do_other_work) < OTHER_WORK / 2);
	assert_true(charged_after(take_a_new_list) < OTHER_WORK / 2);
}

/* A port with endless frames and credit makes rounds long. */
static void what_is_done_once_a_round_waits_for_busy_ports(void **state)
{
	unsigned times = 0;

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		turn();
		times += sweep_once_a_round(&lab.sweep);
		assert_false(sweep_once_a_round(&lab.sweep));
	}
	assert_int_equal(times, 10); /* without a backlog each turn begins a round */
	offer(0, UINT32_MAX);
	turn();
	sweep_once_a_round(&lab.sweep);
	for (unsigned i = 0; i < 10; i++) {
		turn();
		assert_false(sweep_once_a_round(&lab.sweep));
	}
	offer(0, 0);
	turn();
	turn();
	assert_true(sweep_once_a_round(&lab.sweep));
}

/* Even if the port was not visited for long, so that its credit is not renewed in each turn. */
static void work_for_a_port_is_charged_to_it(void **state)
{
	const struct share *share = lab.sweep.shares.port;
	int64_t full;

	(void)state;
	turns(2 * SWEEP_COLD);
	full = (int64_t)lab.sweep.shares.round_cycles;
	for (uint64_t since = rte_rdtsc(); rte_rdtsc() - since < OTHER_WORK;)
		;
	sweep_work_for(&lab.sweep, &lab.queue[7]);
	assert_true(share[7].credit <= full - (int64_t)OTHER_WORK);
	assert_true(lab.queue[7].stats.busy_cycles >= OTHER_WORK);
	assert_true(share[0].credit > full - (int64_t)OTHER_WORK);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_lab, close_lab)
	const struct CMUnitTest tests[] = {
	    TEST(quiet_queues_are_polled_for_a_while),
	    TEST(beside_a_busy_queue_a_thousand_cost_a_few_looks),
	    TEST(a_cold_queue_is_heard_of_within_a_sweep),
	    TEST(who_kicks_is_found_without_a_look_at_others),
	    TEST(many_frames_pay_for_many_looks),
	    TEST(with_nothing_else_to_do_it_is_heard_of_at_once),
	    TEST(what_waits_for_a_translation_is_tried),
	    TEST(all_who_kicked_are_served_at_once),
	    TEST(a_broken_ring_is_not_looked_at),
	    TEST(each_worker_has_its_queues_in_order),
	    TEST(lists_are_equal_if_nothing_was_started_anew),
	    TEST(queues_of_a_port_without_credit_are_passed_over_in_turn),
	    TEST(other_work_is_charged_to_no_port),
	    TEST(work_for_a_port_is_charged_to_it),
	    TEST(what_is_done_once_a_round_waits_for_busy_ports),
	    TEST(quiet_queues_stay_quiet_on_a_new_list),
	    TEST(a_queue_of_another_port_with_the_same_index_is_polled),
	    TEST(who_is_cold_is_looked_at_on_a_new_list),
	    TEST(a_ring_that_is_started_anew_is_polled),
	    TEST(what_was_asked_stays_asked_on_a_new_list),
	    TEST(looks_go_on_over_new_lists),
	    TEST(without_a_forwarding_nothing_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
