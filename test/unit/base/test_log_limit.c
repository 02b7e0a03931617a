/* SPDX-License-Identifier: BSD-3-Clause */
/* One peer's log lines: a burst, a rate, and the number of those left out. The clock is ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log_limit.h"
#include "base/util.h"

#define START 1000000

static unsigned pass_many(struct log_limit *limit, unsigned n, int64_t now)
{
	unsigned passed = 0;

	while (n--)
		passed += log_limit_pass(limit, now);
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
		told += log_limit_told(&limit, now);
		passed += pass_many(&limit, 7, now);
	}
	told += log_limit_told(&limit, START + 20000);
	assert_int_equal(log_limit_told(&limit, START + 30000), 0);
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
		lines[ms] = log_limit_told(&limit, START + ms) > 0;
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
	assert_int_equal(log_limit_told(&limit, START + 999), 0);
	assert_int_equal(log_limit_told(&limit, START + 1000), 5);
	assert_int_equal(log_limit_told(&limit, START + 5000), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_burst_passes_and_then_four_a_second),
	    cmocka_unit_test(every_line_is_logged_or_counted_and_none_is_told_of_twice),
	    cmocka_unit_test(no_second_has_more_than_15_lines),
	    cmocka_unit_test(the_number_is_told_when_a_second_is_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
