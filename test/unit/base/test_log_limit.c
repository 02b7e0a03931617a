/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Limits on log lines, for one peer and for many: a burst, a rate, and the number of lines left
 * out. The test sets the clock.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log_limit.h"
#include "base/util.h"

#define START 1000000

static struct log_limit_all all;

static unsigned pass_many(struct log_limit *limit, unsigned n, int64_t now)
{
	unsigned passed = 0;

	while (n--)
		passed += log_limit_pass(limit, &all, now);
	return passed;
}

static void a_burst_passes_and_then_four_a_second(void **state)
{
	struct log_limit limit = {0};

	(void)state;
	assert_int_equal(pass_many(&limit, 100, START), 10);
	assert_int_equal(pass_many(&limit, 100, START + 249), 0);
	assert_int_equal(pass_many(&limit, 100, START + 250), 1);
	assert_int_equal(pass_many(&limit, 100, START + 1250), 4);
	assert_int_equal(pass_many(&limit, 100, START + 60000), 10);
}

static void every_line_is_logged_or_counted_and_none_is_told_of_twice(void **state)
{
	struct log_limit limit = {0};
	unsigned passed = 0, told = 0;

	(void)state;
	for (int64_t now = START; now < START + 10000; now += 3) {
		told += log_limit_told(&limit, &all, now);
		passed += pass_many(&limit, 7, now);
	}
	told += log_limit_told(&limit, &all, START + 20000);
	assert_int_equal(log_limit_told(&limit, &all, START + 30000), 0);
	assert_int_equal(passed + told, 3334 * 7);
	assert_in_range(passed, 45, 51);
}

static void no_second_has_more_than_15_lines(void **state)
{
	static unsigned lines[6000];
	struct log_limit limit = {0};
	unsigned in_second = 0, most = 0;

	(void)state;
	for (unsigned ms = 0; ms < ARRAY_SIZE(lines); ms++) {
		lines[ms] = log_limit_told(&limit, &all, START + ms) > 0;
		lines[ms] += pass_many(&limit, 3, START + ms);
		in_second += lines[ms] - (ms >= 1000 ? lines[ms - 1000] : 0);
		most = MAX(most, in_second);
	}
	assert_in_range(most, 10, 15);
	assert_in_range(in_second, 4, 6);
}

static void the_number_is_told_when_a_second_is_over(void **state)
{
	struct log_limit limit = {0};

	(void)state;
	pass_many(&limit, 15, START);
	assert_int_equal(log_limit_told(&limit, &all, START + 999), 0);
	assert_int_equal(log_limit_told(&limit, &all, START + 1000), 5);
	assert_int_equal(log_limit_told(&limit, &all, START + 5000), 0);
}

#define PEERS 500

/* Each peer tries to log three lines a millisecond, for a minute and a half. */
static void many_peers_together_log_20_lines_a_second(void **state)
{
	static struct log_limit limit[PEERS];
	unsigned at_once = 0, lines = 0;

	(void)state;
	for (unsigned ms = 0; ms < 90000; ms++) {
		unsigned n = 0;

		for (unsigned i = 0; i < PEERS; i++) {
			n += log_limit_told(&limit[i], &all, START + ms) > 0;
			n += pass_many(&limit[i], 3, START + ms);
		}
		if (ms < 100)
			at_once += n;
		else
			lines += n;
	}
	assert_in_range(at_once, 1000, 1000 + PEERS + 3);
	/* In addition each peer may log one line after a minute without a line. */
	assert_in_range(lines, 89 * 20, 90 * 20 + PEERS + 1);
}

static void a_quiet_peer_is_heard_beside_noisy_peers(void **state)
{
	static struct log_limit noisy[PEERS];
	struct log_limit quiet = {0};

	(void)state;
	for (unsigned ms = 0; ms < 1000; ms++) {
		for (unsigned i = 0; i < PEERS; i++)
			pass_many(&noisy[i], 1, START + ms);
	}
	assert_int_equal(pass_many(&quiet, 2, START + 1000), 1);
	for (unsigned i = 0; i < PEERS; i++)
		pass_many(&noisy[i], 5, START + 59000);
	all.due_ms = START + 70000 + 50000;
	assert_int_equal(pass_many(&quiet, 1, START + 60000), 0);
	assert_int_equal(pass_many(&quiet, 1, START + 61000), 1);
}

/*
 * The line with the number of lines left out is limited, too. Its number is complete nevertheless.
 */
static void the_number_waits_for_room_and_stays_complete(void **state)
{
	struct log_limit limit = {0};

	(void)state;
	assert_int_equal(pass_many(&limit, 15, START), 10);
	all.due_ms = START + 1000 + 1000 * 50;
	assert_int_equal(log_limit_told(&limit, &all, START + 1000), 0);
	limit.left_out++;
	assert_int_equal(log_limit_told(&limit, &all, START + 1050), 6);
}

static int forget(void **state)
{
	(void)state;
	all = (struct log_limit_all){0};
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(a_burst_passes_and_then_four_a_second, forget),
	    cmocka_unit_test_setup(
		every_line_is_logged_or_counted_and_none_is_told_of_twice, forget),
	    cmocka_unit_test_setup(no_second_has_more_than_15_lines, forget),
	    cmocka_unit_test_setup(the_number_is_told_when_a_second_is_over, forget),
	    cmocka_unit_test_setup(many_peers_together_log_20_lines_a_second, forget),
	    cmocka_unit_test_setup(a_quiet_peer_is_heard_beside_noisy_peers, forget),
	    cmocka_unit_test_setup(the_number_waits_for_room_and_stays_complete, forget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
