/* SPDX-License-Identifier: BSD-3-Clause */
/* All levels make the same pattern, in any parts, and detect every changed byte. */
#include "traffic/pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu.h"

#define LEN 400

static const uint64_t seed = UINT64_C(0xfffffffffffffff0); /* words pass 2^64 */

static uint8_t expected(unsigned at)
{
	return (seed + at / 8) >> at % 8 * 8;
}

static void check_all_cuts(const struct pattern_ops *ops)
{
	for (unsigned at = 0; at < 150; at++) {
		for (unsigned end = at; end <= LEN; end++) {
			uint8_t frame[LEN + 64];

			memset(frame, 0xee, sizeof(frame));
			ops->write(frame, at, end, seed);
			for (unsigned i = 0; i < sizeof(frame); i++)
				assert_true(frame[i] == (i >= at && i < end ? expected(i) : 0xee));
			assert_true(ops->holds(frame + at, at, end, seed));
		}
	}
}

static void check_all_bytes(const struct pattern_ops *ops)
{
	uint8_t frame[LEN];

	for (unsigned at = 0; at < 70; at++) {
		ops->write(frame, at, LEN, seed);
		for (unsigned i = at; i < LEN; i++) {
			frame[i] ^= 1u << i % 8;
			assert_false(ops->holds(frame + at, at, LEN, seed));
			frame[i] ^= 1u << i % 8;
		}
		assert_false(ops->holds(frame + at, at, LEN, seed + 1));
	}
}

static void bytes_depend_on_their_place_only(void **state)
{
	(void)state;
	for (unsigned level = 0; level <= cpu_level(); level++)
		check_all_cuts(pattern_ops(level));
}

static void any_corrupt_byte_is_seen(void **state)
{
	(void)state;
	for (unsigned level = 0; level <= cpu_level(); level++)
		check_all_bytes(pattern_ops(level));
}

static void frames_differ(void **state)
{
	uint64_t one = pattern_seed(1, 1, 1);

	(void)state;
	assert_true(one != pattern_seed(2, 1, 1));
	assert_true(one != pattern_seed(1, 2, 1));
	assert_true(one != pattern_seed(1, 1, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bytes_depend_on_their_place_only),
	    cmocka_unit_test(any_corrupt_byte_is_seen),
	    cmocka_unit_test(frames_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
