/* SPDX-License-Identifier: BSD-3-Clause */
#include "traffic/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static struct histogram h, other;

static int reset(void **state)
{
	(void)state;
	histogram_reset(&h);
	histogram_reset(&other);
	return 0;
}

static void small_values_are_exact(void **state)
{
	(void)state;
	for (uint64_t v = 0; v < 32; v++)
		histogram_add(&h, v);
	for (unsigned i = 1; i <= 32; i++)
		assert_int_equal(histogram_quantile(&h, i / 32.0), i - 1);
}

static void every_value_is_known_to_one_part_in_32(void **state)
{
	(void)state;
	for (unsigned shift = 0; shift < 63; shift++) {
		for (uint64_t add = 0; add < 7; add++) {
			uint64_t v = (UINT64_C(1) << shift) + (add << shift) / 7, got;

			histogram_reset(&h);
			histogram_add(&h, 0);
			histogram_add(&h, v);
			histogram_add(&h, UINT64_MAX);
			got = histogram_quantile(&h, 0.5);
			assert_true(got >= v && got - v <= v / 32);
		}
	}
}

static void buckets_rise_without_gaps(void **state)
{
	unsigned last = 0;

	(void)state;
	for (uint64_t v = 0; v < 1 << 20; v++) {
		unsigned bucket = histogram_bucket(v);

		assert_in_range(bucket - last, 0, 1);
		last = bucket;
	}
	assert_true(histogram_bucket(UINT64_MAX) < HISTOGRAM_BUCKETS);
}

static void quantiles_count_ranks(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 999; i++)
		histogram_add(&h, 10);
	histogram_add(&h, 1000000);
	assert_int_equal(histogram_quantile(&h, 0.5), 10);
	assert_int_equal(histogram_quantile(&h, 0.999), 10);
	assert_int_equal(histogram_quantile(&h, 0.9999), 1000000);
	assert_int_equal(h.min, 10);
	assert_int_equal(h.max, 1000000);
}

static void merged_is_as_if_recorded_in_one(void **state)
{
	(void)state;
	for (unsigned i = 1; i <= 100; i++)
		histogram_add(i % 2 ? &h : &other, i);
	histogram_merge(&h, &other);
	assert_int_equal(h.n, 100);
	assert_int_equal(h.min, 1);
	assert_int_equal(h.max, 100);
	assert_in_range(histogram_quantile(&h, 0.5), 50, 51);
}

static void a_quantile_needs_values_beyond_it(void **state)
{
	static const struct {
		double part;
		unsigned least;
	} cases[] = {{0.5, 20}, {0.9, 100}, {0.99, 1000}, {0.999, 10000}};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		histogram_reset(&h);
		for (unsigned n = 1; n <= cases[i].least; n++) {
			histogram_add(&h, n);
			assert_int_equal(histogram_knows(&h, cases[i].part), n == cases[i].least);
		}
	}
}

static void an_empty_one_says_zero(void **state)
{
	(void)state;
	assert_int_equal(histogram_quantile(&h, 0.99), 0);
	histogram_merge(&h, &other);
	assert_int_equal(h.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(small_values_are_exact, reset),
	    cmocka_unit_test_setup(every_value_is_known_to_one_part_in_32, reset),
	    cmocka_unit_test_setup(buckets_rise_without_gaps, reset),
	    cmocka_unit_test_setup(quantiles_count_ranks, reset),
	    cmocka_unit_test_setup(merged_is_as_if_recorded_in_one, reset),
	    cmocka_unit_test_setup(a_quantile_needs_values_beyond_it, reset),
	    cmocka_unit_test_setup(an_empty_one_says_zero, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
