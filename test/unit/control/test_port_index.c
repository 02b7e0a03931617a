/* SPDX-License-Identifier: BSD-3-Clause */
/* Indices of ports are used again, and never with a generation that was used before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "control/port_index.h"

static struct port_indices indices;

static int begin(void **state)
{
	(void)state;
	memset(&indices, 0, sizeof(indices));
	return 0;
}

static struct port_id take(void)
{
	struct port_id id;

	assert_int_equal(port_index_take(&indices, &id), 0);
	return id;
}

static void the_lowest_free_index_is_taken(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(take().index, i);
	port_index_give_back(&indices, 3);
	port_index_give_back(&indices, 1);
	assert_int_equal(take().index, 1);
	assert_int_equal(take().index, 3);
	assert_int_equal(take().index, 5);
}

static void no_port_is_taken_for_an_older_one(void **state)
{
	uint32_t last = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		struct port_id id = take();

		assert_int_equal(id.index, 0);
		assert_true(id.generation > last);
		last = id.generation;
		port_index_give_back(&indices, 0);
	}
	assert_int_equal(take().index, 0);
	/* Other indices have generations of their own. */
	assert_int_equal(take().generation, 1);
}

static unsigned left[PORTS_MAX];

static unsigned left_with(uint16_t index)
{
	return left[index];
}

static void an_index_with_which_something_is_left_waits(void **state)
{
	(void)state;
	assert_int_equal(take().index, 0);
	port_index_give_back(&indices, 0);
	indices.left = left_with;
	left[0] = 1;
	assert_int_equal(take().index, 1);
	left[0] = 0;
	assert_int_equal(take().index, 0);
}

/* What hangs may stay for ever. */
static void if_all_have_something_the_one_with_the_least_is_taken(void **state)
{
	(void)state;
	indices.left = left_with;
	for (unsigned i = 0; i < PORTS_MAX; i++)
		left[i] = 3;
	left[7] = 2;
	left[9] = 1;
	assert_int_equal(take().index, 9);
	assert_int_equal(take().index, 7);
	assert_int_equal(take().index, 0);
	assert_int_equal(take().index, 1);
	memset(left, 0, sizeof(left));
	assert_int_equal(take().index, 2);
}

static void when_all_are_taken_there_is_none(void **state)
{
	struct port_id id;

	(void)state;
	for (unsigned i = 0; i < PORTS_MAX; i++)
		assert_int_equal(take().index, i);
	assert_int_equal(port_index_take(&indices, &id), -ENOSPC);
	port_index_give_back(&indices, PORTS_MAX - 1);
	assert_int_equal(take().index, PORTS_MAX - 1);
	assert_int_equal(port_index_take(&indices, &id), -ENOSPC);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, begin)
	const struct CMUnitTest tests[] = {
	    TEST(the_lowest_free_index_is_taken),
	    TEST(no_port_is_taken_for_an_older_one),
	    TEST(an_index_with_which_something_is_left_waits),
	    TEST(if_all_have_something_the_one_with_the_least_is_taken),
	    TEST(when_all_are_taken_there_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
