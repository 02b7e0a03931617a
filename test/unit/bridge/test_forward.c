/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../each_level.h"
#include "bridge/forward.h"

#define NOW_S    100
#define MAC(...) mac_load((const uint8_t[]){__VA_ARGS__})

#define HOST(n)   MAC(0x02, 0, 0, 0, 0, n)
#define BROADCAST MAC(0xff, 0xff, 0xff, 0xff, 0xff, 0xff)

#define AGE_S 300

static struct fdb *table(void)
{
	struct fdb *fdb = fdb_create(1000, AGE_S);

	assert_non_null(fdb);
	return fdb;
}

static uint16_t forward_one(struct fdb *fdb, uint16_t in_port, uint64_t dst, uint64_t src)
{
	uint16_t verdict = 1234;

	forward_burst(fdb, in_port, NOW_S, 1, &dst, &src, &verdict);
	return verdict;
}

static void each_rule_has_its_verdict(void **state)
{
	const struct {
		uint64_t dst, src;
		uint16_t verdict;
	} frame[] = {
	    {HOST(1), HOST(9), 1},
	    {HOST(2), HOST(9), 2},
	    {HOST(3), HOST(9), FORWARD_FLOOD}, /* never seen */
	    {HOST(8), HOST(9), FORWARD_DROP_HAIRPIN},
	    {HOST(9), HOST(9), FORWARD_DROP_HAIRPIN}, /* to itself */
	    {0, HOST(9), FORWARD_FLOOD},
	    {BROADCAST, HOST(9), FORWARD_FLOOD},
	    {MAC(0x01, 0x00, 0x5e, 0, 0, 1), HOST(9), FORWARD_FLOOD},
	    {MAC(0x33, 0x33, 0, 0, 0, 1), HOST(9), FORWARD_FLOOD},
	    {MAC(0x01, 0x80, 0xc2, 0, 0, 0x00), HOST(9), FORWARD_DROP_LINK_LOCAL},
	    {MAC(0x01, 0x80, 0xc2, 0, 0, 0x0e), HOST(9), FORWARD_DROP_LINK_LOCAL},
	    {MAC(0x01, 0x80, 0xc2, 0, 0, 0x0f), HOST(9), FORWARD_DROP_LINK_LOCAL},
	    {MAC(0x01, 0x80, 0xc2, 0, 0, 0x10), HOST(9), FORWARD_FLOOD},
	    {MAC(0x01, 0x80, 0xc2, 0, 1, 0x00), HOST(9), FORWARD_FLOOD},
	    {MAC(0x03, 0x80, 0xc2, 0, 0, 0x00), HOST(9), FORWARD_FLOOD},
	    {HOST(1), 0, FORWARD_DROP_BAD_SOURCE},
	    {HOST(1), BROADCAST, FORWARD_DROP_BAD_SOURCE},
	    {HOST(1), MAC(0x03, 0, 0, 0, 0, 9), FORWARD_DROP_BAD_SOURCE},
	    {BROADCAST, BROADCAST, FORWARD_DROP_BAD_SOURCE},
	    {MAC(0x01, 0x80, 0xc2, 0, 0, 0), 0, FORWARD_DROP_BAD_SOURCE},
	};
	uint64_t dst[ARRAY_SIZE(frame)], src[ARRAY_SIZE(frame)];
	uint16_t verdict[ARRAY_SIZE(frame)];
	struct fdb *fdb = table();

	(void)state;
	fdb_learn(fdb, HOST(1), 1, NOW_S);
	fdb_learn(fdb, HOST(2), 2, NOW_S);
	fdb_learn(fdb, HOST(8), 9, NOW_S);
	for (unsigned i = 0; i < ARRAY_SIZE(frame); i++) {
		dst[i] = frame[i].dst;
		src[i] = frame[i].src;
		assert_int_equal(forward_one(fdb, 9, dst[i], src[i]), frame[i].verdict);
	}
	/*
	 * Forward the same frames in one burst. In a burst the verdict of the previous frame may be
	 * used again.
	 */
	forward_burst(fdb, 9, NOW_S, ARRAY_SIZE(frame), dst, src, verdict);
	for (unsigned i = 0; i < ARRAY_SIZE(frame); i++)
		assert_int_equal(verdict[i], frame[i].verdict);
	/* Only the good sender has been learned. */
	assert_int_equal(fdb_count(fdb), 4);
	fdb_destroy(fdb);
}

static void rules_and_addresses_hold_in_each_domain(void **state)
{
	static const uint16_t domains[] = {0, 1, 2, 4095};
	struct fdb *fdb = table();

	(void)state;
	forward_link_local_too(fdb);
	for (unsigned i = 0; i < ARRAY_SIZE(domains); i++)
		fdb_learn(fdb, fdb_address(HOST(1), domains[i]), i, NOW_S);
	for (unsigned i = 0; i < ARRAY_SIZE(domains); i++) {
		uint64_t in = fdb_address(0, domains[i]);

		assert_int_equal(forward_one(fdb, 9, in | HOST(1), in | HOST(9)), i);
		assert_int_equal(forward_one(fdb, 9, in | HOST(2), in | HOST(9)), FORWARD_FLOOD);
		assert_int_equal(forward_one(fdb, 9, in, in | HOST(9)), FORWARD_FLOOD);
		assert_int_equal(forward_one(fdb, 9, in | BROADCAST, in | HOST(9)), FORWARD_FLOOD);
		assert_int_equal(forward_one(fdb, 9, in | HOST(1), in), FORWARD_DROP_BAD_SOURCE);
		assert_int_equal(
		    forward_one(fdb, 9, in | MAC(0x01, 0x80, 0xc2, 0, 0, 1), in | HOST(9)),
		    FORWARD_DROP_LINK_LOCAL);
	}
	assert_int_equal(
	    forward_one(fdb, 9, fdb_address(HOST(1), 3), fdb_address(HOST(9), 3)), FORWARD_FLOOD);
	fdb_destroy(fdb);
}

static void link_local_frames_are_flooded_if_asked_for_but_pause_never(void **state)
{
	(void)state;
	for (unsigned asked = 0; asked < 2; asked++) {
		struct fdb *fdb = table();

		if (asked)
			forward_link_local_too(fdb);
		for (uint8_t last = 0; last < 32; last++) {
			bool flooded = last >= 16 || (asked && last != 1);

			assert_int_equal(
			    forward_one(fdb, 9, MAC(0x01, 0x80, 0xc2, 0, 0, last), HOST(9)),
			    flooded ? FORWARD_FLOOD : FORWARD_DROP_LINK_LOCAL);
		}
		assert_int_equal(forward_one(fdb, 9, MAC(0x01, 0x80, 0xc2, 0, 0, 0), 0),
		    FORWARD_DROP_BAD_SOURCE);
		fdb_destroy(fdb);
	}
}

static void sources_are_learned_even_from_frames_not_forwarded(void **state)
{
	struct fdb *fdb = table();

	(void)state;
	forward_one(fdb, 5, MAC(0x01, 0x80, 0xc2, 0, 0, 0), HOST(1));
	forward_one(fdb, 6, BROADCAST, HOST(2));
	assert_int_equal(fdb_lookup(fdb, HOST(1)), 5);
	assert_int_equal(fdb_lookup(fdb, HOST(2)), 6);
	fdb_destroy(fdb);
}

static void an_answer_reaches_the_asker(void **state)
{
	struct fdb *fdb = table();

	(void)state;
	assert_int_equal(forward_one(fdb, 1, BROADCAST, HOST(1)), FORWARD_FLOOD);
	assert_int_equal(forward_one(fdb, 2, HOST(1), HOST(2)), 1);
	assert_int_equal(forward_one(fdb, 1, HOST(2), HOST(1)), 2);
	/* The host migrates: its next frame moves it, and frames follow. */
	assert_int_equal(forward_one(fdb, 3, BROADCAST, HOST(2)), FORWARD_FLOOD);
	assert_int_equal(forward_one(fdb, 1, HOST(2), HOST(1)), 3);
	assert_int_equal(fdb_moves(fdb), 1);
	fdb_destroy(fdb);
}

static void what_a_frame_taught_holds_for_the_rest_of_its_burst(void **state)
{
	const uint64_t dst[] = {HOST(2), HOST(2), HOST(2)};
	const uint64_t src[] = {HOST(1), HOST(2), HOST(1)};
	uint16_t verdict[3];
	struct fdb *fdb = table();

	(void)state;
	forward_burst(fdb, 1, NOW_S, 3, dst, src, verdict);
	assert_int_equal(verdict[0], FORWARD_FLOOD);
	assert_int_equal(verdict[1], FORWARD_DROP_HAIRPIN);
	assert_int_equal(verdict[2], FORWARD_DROP_HAIRPIN);
	fdb_destroy(fdb);
}

static void a_bad_source_does_not_spoil_its_neighbours(void **state)
{
	const uint64_t dst[] = {0, HOST(2), HOST(2), HOST(2), HOST(2)};
	const uint64_t src[] = {0, HOST(1), BROADCAST, HOST(1), 0};
	uint16_t verdict[5];
	struct fdb *fdb = table();

	(void)state;
	fdb_learn(fdb, HOST(2), 2, NOW_S);
	forward_burst(fdb, 1, NOW_S, 5, dst, src, verdict);
	assert_int_equal(verdict[0], FORWARD_DROP_BAD_SOURCE);
	assert_int_equal(verdict[1], 2);
	assert_int_equal(verdict[2], FORWARD_DROP_BAD_SOURCE);
	assert_int_equal(verdict[3], 2);
	assert_int_equal(verdict[4], FORWARD_DROP_BAD_SOURCE);
	fdb_destroy(fdb);
}

static void see_stamp(const struct fdb_entry *entry, void *arg)
{
	*(unsigned *)arg = entry->stamp;
}

static void a_source_is_confirmed_once_in_a_while(void **state)
{
	uint64_t dst = BROADCAST, src = HOST(1);
	unsigned stamp = 0;
	uint16_t verdict;
	struct fdb *fdb = table();

	(void)state;
	for (uint32_t now_s = 10; now_s < 80; now_s++) {
		forward_burst(fdb, 1, now_s, 1, &dst, &src, &verdict);
		fdb_foreach(fdb, see_stamp, &stamp);
		assert_int_equal(stamp, fdb_stamp(fdb, now_s));
		assert_in_range(stamp, (now_s - 1) / 19, now_s / 19);
	}
	assert_int_equal(fdb_count(fdb), 1);
	fdb_destroy(fdb);
}

static void a_burst_of_strangers_agrees_with_one_by_one(void **state)
{
	enum { N = FORWARD_BURST };
	uint64_t dst[N], src[N];
	uint16_t verdict[N];
	struct fdb *fdb = table();

	(void)state;
	for (unsigned i = 0; i < N; i++) {
		dst[i] = MAC(0x02, 1, 0, 0, 0, i);
		src[i] = MAC(0x02, 2, 0, 0, 0, i);
		if (i % 3)
			fdb_learn(fdb, dst[i], i, NOW_S);
	}
	forward_burst(fdb, 500, NOW_S, N, dst, src, verdict);
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(verdict[i], i % 3 ? i : FORWARD_FLOOD);
		assert_int_equal(fdb_lookup(fdb, src[i]), 500);
	}
	forward_burst(fdb, 500, NOW_S, 0, NULL, NULL, NULL);
	fdb_destroy(fdb);
}

/*
 * The look-ups of all CPU levels give the same results in a full table, for known and for unknown
 * addresses.
 */
static void all_ways_to_look_up_agree(void **state)
{
	enum { MACS = 4000, ASKED = 32 };
	struct fdb *fdb = fdb_create(MACS, AGE_S);
	uint64_t dst[ASKED], src[ASKED];
	uint16_t usual[ASKED], verdict[ASKED];
	unsigned forwarded = 0;

	(void)state;
	assert_non_null(fdb);
	for (uint64_t i = 0; i < 2 * MACS; i++)
		fdb_learn(fdb, 2 + 4 * i * 7919, i % 50, NOW_S - i % 3);
	fdb_learn(fdb, 2, 0, NOW_S);
	for (unsigned burst = 0; burst < 1000; burst++) {
		for (unsigned i = 0; i < ASKED; i++) {
			dst[i] = 2 + 4 * ((burst * ASKED + i) * 31u % (3 * MACS)) * 7919;
			src[i] = 2; /* known, so that nothing changes in between */
		}
		fdb->level = CPU_LEVEL_BASELINE;
		forward_burst(fdb, 0, NOW_S, ASKED, dst, src, usual);
		for (unsigned level = 1; level <= cpu_level(); level++) {
			fdb->level = level;
			forward_burst(fdb, 0, NOW_S, ASKED, dst, src, verdict);
			assert_memory_equal(usual, verdict, sizeof(usual));
		}
		for (unsigned i = 0; i < ASKED; i++)
			forwarded += usual[i] < 50;
	}
	assert_true(forwarded > 1000);
	fdb_destroy(fdb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_rule_has_its_verdict),
	    cmocka_unit_test(rules_and_addresses_hold_in_each_domain),
	    cmocka_unit_test(link_local_frames_are_flooded_if_asked_for_but_pause_never),
	    cmocka_unit_test(sources_are_learned_even_from_frames_not_forwarded),
	    cmocka_unit_test(an_answer_reaches_the_asker),
	    cmocka_unit_test(what_a_frame_taught_holds_for_the_rest_of_its_burst),
	    cmocka_unit_test(a_bad_source_does_not_spoil_its_neighbours),
	    cmocka_unit_test(a_source_is_confirmed_once_in_a_while),
	    cmocka_unit_test(a_burst_of_strangers_agrees_with_one_by_one),
	    cmocka_unit_test(all_ways_to_look_up_agree),
	};

	return run_group_at_each_level(tests);
}
