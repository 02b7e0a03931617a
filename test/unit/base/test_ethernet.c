/* SPDX-License-Identifier: BSD-3-Clause */
/* The ethertype behind VLAN tags, in whole frames and in truncated ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/ethernet.h"

/* The first len bytes of a frame with so many tags, in memory of that size. */
static uint16_t skip_tags(unsigned tags, uint32_t len, uint32_t *ret_l3)
{
	uint8_t frame[64] = {0}, *exact = malloc(len ? len : 1);
	uint16_t type;

	assert_non_null(exact);
	for (unsigned i = 0; i < tags; i++)
		store16(frame + 12 + 4 * i, i ? ETHERTYPE_VLAN : ETHERTYPE_QINQ);
	store16(frame + 12 + 4 * tags, ETHERTYPE_IPV6);
	memcpy(exact, frame, len);
	type = ethernet_skip_tags(exact, len, ret_l3);
	free(exact);
	return type;
}

static void up_to_two_tags_are_skipped(void **state)
{
	uint32_t l3;

	(void)state;
	for (unsigned tags = 0; tags <= 2; tags++) {
		assert_int_equal(skip_tags(tags, 64, &l3), ETHERTYPE_IPV6);
		assert_int_equal(l3, 14 + 4 * tags);
	}
	assert_int_equal(skip_tags(3, 64, &l3), ETHERTYPE_VLAN);
	assert_int_equal(l3, 14 + 4 * 2);
}

static void a_frame_that_is_cut_short_shows_what_it_has(void **state)
{
	uint32_t l3;

	(void)state;
	for (uint32_t len = 0; len < 14; len++)
		assert_int_equal(skip_tags(1, len, &l3), 0);
	for (uint32_t len = 14; len < 18; len++)
		assert_int_equal(skip_tags(1, len, &l3), ETHERTYPE_QINQ);
	assert_int_equal(skip_tags(1, 18, &l3), ETHERTYPE_IPV6);
	assert_int_equal(skip_tags(2, 21, &l3), ETHERTYPE_VLAN);
	assert_int_equal(skip_tags(2, 22, &l3), ETHERTYPE_IPV6);
}

static void numbers_are_in_network_byte_order(void **state)
{
	uint8_t bytes[5] = {0};

	(void)state;
	store32(bytes + 1, 0x01020304);
	assert_memory_equal(bytes, ((uint8_t[]){0, 1, 2, 3, 4}), 5);
	assert_int_equal(load32(bytes + 1), 0x01020304);
	assert_int_equal(load16(bytes + 3), 0x0304);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(up_to_two_tags_are_skipped),
	    cmocka_unit_test(a_frame_that_is_cut_short_shows_what_it_has),
	    cmocka_unit_test(numbers_are_in_network_byte_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
