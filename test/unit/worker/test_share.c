/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A port's time does not depend on other ports. Visits are simulated: each queue has a number of
 * frames and a cost per frame, and a clock of one cycle per nanosecond counts them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/share.h"

#define HZ         UINT64_C(1000000000)
#define US         UINT64_C(1000)
#define QUEUES_MAX 1024
#define ENDLESS    UINT32_MAX
#define EMPTY_NS   30 /* of a visit that finds nothing */
#define PASS_NS    2  /* of a queue that is left out */

struct queue {
	unsigned port;
	uint32_t frames; /* frames that wait */
	uint64_t fixed, each;
	uint8_t pass;
	unsigned visits;
};

static struct lab {
	struct shares shares;
	unsigned n;
	struct queue queue[QUEUES_MAX];
	uint64_t now, spent[SHARE_PORTS_MAX];
	unsigned longest; /* most frames of a visit */
	uint64_t longest_visit;
} lab;

static void add(unsigned port, unsigned queues, uint32_t frames, uint64_t fixed, uint64_t each)
{
	while (queues--)
		lab.queue[lab.n++] = (struct queue){port, frames, fixed, each, 0, 0};
}

static void visit(struct queue *q)
{
	unsigned might = share_frames(&lab.shares, q->port), n = MIN(q->frames, might);
	uint64_t spent = n ? q->fixed + n * q->each : EMPTY_NS;

	share_charge(&lab.shares, q->port, spent, n, might);
	if (q->frames != ENDLESS)
		q->frames -= n;
	q->visits++;
	lab.longest = MAX(lab.longest, n);
	lab.longest_visit = MAX(lab.longest_visit, spent);
	lab.spent[q->port] += spent;
	lab.now += spent;
}

static void turn(void)
{
	shares_begin_turn(&lab.shares);
	for (unsigned i = 0; i < lab.n; i++) {
		if (share_may_visit(&lab.shares, lab.queue[i].port, &lab.queue[i].pass))
			visit(&lab.queue[i]);
		else
			lab.now += PASS_NS;
	}
}

static void run(uint64_t us)
{
	for (uint64_t end = lab.now + us * US; lab.now < end;)
		turn();
}

static int open_lab(void **state)
{
	(void)state;
	memset(&lab, 0, sizeof(lab));
	shares_init(&lab.shares, HZ);
	return 0;
}

/* Give the queue a frame. Returns the time until it was taken. */
static uint64_t wait_for(struct queue *q)
{
	uint64_t since = lab.now;

	q->frames = 1;
	while (q->frames)
		turn();
	return lab.now - since;
}

static void many_queues_of_long_visits_keep_a_neighbour_for_one(void **state)
{
	(void)state;
	add(0, 128, ENDLESS, 1000 * US, 1);
	add(1, 1, 0, 300, 40);
	run(10000);
	for (unsigned i = 0; i < 1000; i++) {
		assert_true(wait_for(&lab.queue[128]) <= (1000 + SHARE_ROUND_US + 2) * US);
		run(random() % 3000);
	}
	for (unsigned i = 0; i < 128; i++)
		assert_in_range(lab.queue[i].visits, 1, lab.queue[0].visits + 1);
}

static void bursts_of_expensive_frames_become_short(void **state)
{
	(void)state;
	add(0, 128, ENDLESS, 300, 8 * US);
	add(1, 1, 0, 300, 40);
	run(10000);
	lab.longest = lab.longest_visit = 0;
	for (unsigned i = 0; i < 1000; i++) {
		assert_true(
		    wait_for(&lab.queue[128]) <= (SHARE_ROUND_US + SHARE_VISIT_US + 2) * US);
		run(random() % 300);
	}
	assert_in_range(lab.longest, 3, 5);
	assert_true(lab.longest_visit <= SHARE_VISIT_US * US);
}

static void visit_for(uint64_t each)
{
	struct queue *q = &lab.queue[0];
	unsigned visits = q->visits;

	q->each = each;
	lab.longest = 0;
	while (q->visits == visits)
		turn();
}

static void after_expensive_bursts_they_grow_again(void **state)
{
	(void)state;
	add(0, 1, ENDLESS, 300, 0);
	visit_for(20000 * US);
	visit_for(20000 * US);
	visit_for(40);
	assert_int_equal(lab.longest, 1);
	run(500);
	assert_int_equal(lab.longest, SHARE_FRAMES);
}

static void one_expensive_burst_limits_nothing(void **state)
{
	(void)state;
	add(0, 1, ENDLESS, 300, 0);
	for (unsigned i = 0; i < 10; i++) {
		visit_for(16 * US); /* as if the worker had lost its CPU */
		for (unsigned k = 0; k < SHARE_WATCH; k++) {
			visit_for(40);
			assert_int_equal(lab.longest, SHARE_FRAMES);
		}
	}
	visit_for(16 * US);
	assert_int_equal(lab.longest, SHARE_FRAMES);
	for (unsigned k = 1; k < SHARE_WATCH; k++)
		visit_for(40);
	visit_for(16 * US);
	visit_for(16 * US);
	assert_int_equal(lab.longest, 2);
}

static void polls_that_find_nothing_end_no_watch(void **state)
{
	(void)state;
	add(0, 1, 0, 300, 0);
	for (unsigned i = 0; i < 3; i++) {
		lab.queue[0].frames = SHARE_FRAMES;
		visit_for(16 * US);
		assert_int_equal(lab.longest, i < 2 ? SHARE_FRAMES : 2);
		lab.queue[0].frames = 0;
		for (unsigned k = 0; k < 10 * SHARE_WATCH; k++)
			turn();
	}
}

static void ports_with_endless_work_get_equal_time(void **state)
{
	(void)state;
	add(0, 1, ENDLESS, 300, 40);
	add(1, 100, ENDLESS, 300, 150);
	add(2, 10, ENDLESS, 300, 5 * US);
	add(3, 3, 0, 300, 40);
	run(1000000);
	for (unsigned p = 0; p < 3; p++)
		assert_in_range(lab.spent[p], 1000000 * US * 30 / 100, 1000000 * US * 36 / 100);
}

static void a_port_loses_nothing_if_no_other_has_work(void **state)
{
	(void)state;
	add(0, 32, ENDLESS, 300, 40);
	add(1, 1, ENDLESS, 300, 40);
	add(2, 100, 0, 300, 40);
	run(1000);
	lab.queue[32].frames = 0;
	lab.spent[0] = 0;
	lab.n = 33; /* a sweep does not visit quiet queues */
	run(100000);
	assert_true(lab.spent[0] >= 100000 * US * 97 / 100);
	/* The same for a port with long visits. */
	lab.queue[0].fixed = 5000 * US;
	lab.spent[0] = 0;
	run(100000);
	assert_true(lab.spent[0] >= 100000 * US * 97 / 100);
}

static void one_lost_time_slice_is_made_up_for_soon(void **state)
{
	uint64_t since;

	(void)state;
	add(0, 1, ENDLESS, 20000 * US, 40);
	add(1, 1, ENDLESS, 300, 40);
	turn();
	lab.queue[0].fixed = 300;
	since = lab.now;
	while (lab.queue[0].visits < 2)
		turn();
	assert_true(lab.now - since <= (SHARE_DEFICIT_MAX + 2) * SHARE_ROUND_US * US);
}

static void what_was_left_out_is_said(void **state)
{
	(void)state;
	add(0, 2, ENDLESS, 1000 * US, 40);
	add(1, 1, 0, 300, 40);
	turn();
	assert_true(lab.shares.left);
	assert_int_equal(lab.queue[1].visits, 0);
	while (lab.queue[1].visits == 0)
		turn();
	/* The other queue of the port was not visited again before. */
	assert_int_equal(lab.queue[0].visits, 1);
	lab.queue[0].frames = lab.queue[1].frames = 0;
	run(2000);
	turn();
	assert_false(lab.shares.left);
}

static void work_that_is_not_a_visit_takes_a_ports_time(void **state)
{
	(void)state;
	add(0, 1, ENDLESS, 300, 40);
	add(1, 1, ENDLESS, 300, 40);
	while (lab.now < 100000 * US) {
		share_charge_work(&lab.shares, 0, 1 * US);
		lab.spent[0] += 1 * US;
		lab.now += 1 * US;
		turn();
	}
	assert_in_range(lab.spent[0], lab.spent[1] * 97 / 100, lab.spent[1] * 103 / 100);
	/* A port that was not visited for long has the credit of one round. */
	share_charge_work(&lab.shares, 7, 30 * US);
	assert_int_equal(lab.shares.port[7].credit, (SHARE_ROUND_US - 30) * US);
}

#define TEST(name) cmocka_unit_test_setup(name, open_lab)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(many_queues_of_long_visits_keep_a_neighbour_for_one),
	    TEST(bursts_of_expensive_frames_become_short),
	    TEST(after_expensive_bursts_they_grow_again),
	    TEST(one_expensive_burst_limits_nothing),
	    TEST(polls_that_find_nothing_end_no_watch),
	    TEST(ports_with_endless_work_get_equal_time),
	    TEST(a_port_loses_nothing_if_no_other_has_work),
	    TEST(one_lost_time_slice_is_made_up_for_soon),
	    TEST(what_was_left_out_is_said),
	    TEST(work_that_is_not_a_visit_takes_a_ports_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
