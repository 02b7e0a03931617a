/* SPDX-License-Identifier: BSD-3-Clause */
/* Arrays from an arena: as many bytes as were counted, aligned, and none over another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/util.h"

struct arrays {
	uint8_t *bytes;
	uint64_t *words;
	uint16_t *none, *halves;
	char *line;
};

static void take_all(struct arena *arena, struct arrays *ret)
{
	ret->bytes = ARENA_ARRAY(arena, uint8_t, 3);
	ret->words = ARENA_ARRAY(arena, uint64_t, 2);
	ret->none = ARENA_ARRAY(arena, uint16_t, 0);
	ret->halves = ARENA_ARRAY(arena, uint16_t, 5);
	ret->line = arena_take(arena, 1, CACHE_LINE);
	arena_align(arena, CACHE_LINE);
}

static void the_first_pass_counts_and_takes_nothing(void **state)
{
	struct arena arena = {0};
	struct arrays a;

	(void)state;
	take_all(&arena, &a);
	assert_null(a.bytes);
	assert_null(a.words);
	assert_null(a.line);
	assert_int_equal(arena.used, 2 * CACHE_LINE);
}

static void arrays_are_aligned_and_follow_each_other(void **state)
{
	struct arena arena = {.memory = aligned_alloc(CACHE_LINE, 2 * CACHE_LINE)};
	char *memory = arena.memory;
	struct arrays a;

	(void)state;
	assert_non_null(memory);
	take_all(&arena, &a);
	assert_ptr_equal(a.bytes, memory);
	assert_ptr_equal(a.words, memory + 8);
	assert_ptr_equal(a.halves, memory + 24);
	assert_ptr_equal(a.none, a.halves);
	assert_ptr_equal(a.line, memory + CACHE_LINE);
	assert_int_equal(arena.used, 2 * CACHE_LINE);
	free(memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_first_pass_counts_and_takes_nothing),
	    cmocka_unit_test(arrays_are_aligned_and_follow_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
