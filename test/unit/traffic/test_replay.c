/* SPDX-License-Identifier: BSD-3-Clause */
#include "traffic/replay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MANY 5000

static struct replay r;
static uint8_t bytes[70000];

static int end(void **state)
{
	(void)state;
	replay_cleanup(&r);
	return 0;
}

static void all_frames_are_kept_as_they_were(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		memset(bytes, i, sizeof(bytes));
		assert_int_equal(replay_add(&r, bytes, 14 + i, 14 + i, 1000 + i), 0);
	}
	replay_finish(&r);
	assert_int_equal(r.n, MANY);
	assert_int_equal(r.longest, 14 + MANY - 1);
	for (unsigned i = 0; i < MANY; i++) {
		const uint8_t *frame = r.bytes + r.frame[i].offset;

		assert_int_equal(r.frame[i].len, 14 + i);
		assert_int_equal(r.frame[i].at, i);
		assert_int_equal(frame[0], (uint8_t)i);
		assert_int_equal(frame[13 + i], (uint8_t)i);
	}
}

static void the_next_round_comes_after_an_average_gap(void **state)
{
	(void)state;
	replay_add(&r, bytes, 64, 64, 100);
	replay_add(&r, bytes, 64, 64, 110);
	replay_add(&r, bytes, 64, 64, 160);
	replay_finish(&r);
	assert_int_equal(r.span, 90);
}

static void time_does_not_go_back(void **state)
{
	(void)state;
	replay_add(&r, bytes, 64, 64, 100);
	replay_add(&r, bytes, 64, 64, 90);
	replay_add(&r, bytes, 64, 64, 120);
	replay_finish(&r);
	assert_int_equal(r.frame[1].at, 0);
	assert_int_equal(r.frame[2].at, 20);
}

static void what_is_left_out_is_counted(void **state)
{
	(void)state;
	replay_add(&r, bytes, 1600, 1600, 0);
	replay_add(&r, bytes, 60, 60, 0);
	replay_add(&r, bytes, 13, 13, 1);
	replay_add(&r, bytes, 65536, 65536, 2);
	replay_add(&r, bytes, 60, 61, 3);
	replay_add(&r, bytes, 2000, 2000, 4);
	replay_add(&r, bytes, 1500, 1500, 5);
	replay_add(&r, bytes, 0, 0, 6);
	replay_finish(&r);
	replay_limit(&r, 1500);
	assert_int_equal(r.n_read, 8);
	assert_int_equal(r.n, 2);
	assert_int_equal(r.frame[1].number, 7);
	assert_int_equal(r.longest, 1500);
	assert_int_equal(r.too_short.n, 2);
	assert_int_equal(r.too_short.first, 3);
	assert_int_equal(r.too_long.n, 3);
	assert_int_equal(r.too_long.first, 1);
	assert_int_equal(r.cut.n, 1);
	assert_int_equal(r.cut.first, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(all_frames_are_kept_as_they_were, end),
	    cmocka_unit_test_teardown(the_next_round_comes_after_an_average_gap, end),
	    cmocka_unit_test_teardown(time_does_not_go_back, end),
	    cmocka_unit_test_teardown(what_is_left_out_is_counted, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
