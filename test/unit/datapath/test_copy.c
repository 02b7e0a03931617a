/* SPDX-License-Identifier: BSD-3-Clause */
/* Large copies change every byte of the destination and no byte beside it, at any alignment. */
#include "datapath/copy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../each_level.h"

#define AREA  (80 * 1024)
#define GUARD 0xa5

static uint8_t *from, *to;

static void try(uint32_t at, uint32_t source, uint32_t n)
{
	memset(to, GUARD, AREA);
	copy_bytes(to + at, from + source, n, cpu_level());
	assert_memory_equal(to + at, from + source, n);
	for (uint32_t i = 0; i < AREA; i++) {
		if (i < at || i >= at + n)
			assert_int_equal(to[i], GUARD);
	}
}

static void all_bytes_go_and_no_others(void **state)
{
	static const uint32_t places[] = {0, 1, 12, 63, 64, 76, 255, 4000, 4095};
	static const uint32_t sizes[] = {COPY_STREAM_MIN - 1, COPY_STREAM_MIN, COPY_STREAM_MIN + 1,
	    COPY_STREAM_MIN + 319, 60000, 65535};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		for (unsigned k = 0; k < ARRAY_SIZE(sizes); k++) {
			try(places[i], 0, sizes[k]);
			try(places[i], 77, sizes[k]);
		}
	}
}

static void small_ones_too(void **state)
{
	(void)state;
	for (uint32_t n = 0; n < 600; n++)
		try(n % 64, n % 7, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(all_bytes_go_and_no_others),
	    cmocka_unit_test(small_ones_too),
	};
	int status;

	from = aligned_alloc(4096, AREA);
	to = aligned_alloc(4096, AREA);
	for (uint32_t i = 0; i < AREA; i++)
		from[i] = i * 2654435761u >> 24;
	status = run_group_at_each_level(tests);
	free(from);
	free(to);
	return status;
}
