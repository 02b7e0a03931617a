/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames shorter than a head (HEAD_BYTES) arrive as they were sent, among longer frames and alone.
 * No byte outside the source's and the destination's buffers is read or written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "burst_world.h"

#define LONGEST 100
#define PAGE    4096
#define UNUSED  0xee
#define TO      1

static void open_at_level(enum cpu_level level)
{
	cpu_allow_level(level);
	open_world(2, 0);
	fdb_learn(w.fdb, mac_load((const uint8_t[]){2, 0, 0, 0, 0, TO}), TO, 0);
}

/* A piece of memory of len bytes that ends where a page without access begins. */
static uint8_t *take_guarded(uint32_t len)
{
	uint8_t *at = take(2ul * PAGE);

	assert_int_equal(mprotect(at + PAGE, PAGE, PROT_NONE), 0);
	return at + PAGE - len;
}

static void send_guarded(uint32_t len, uint8_t *ret_frame)
{
	uint8_t *made = make_frame(TO, LONGEST, 0);
	uint8_t *at = take_guarded(VIRTIO_NET_HDR_LEN + len);

	for (unsigned i = 14; i < LONGEST; i++)
		made[VIRTIO_NET_HDR_LEN + i] = len + i;
	memcpy(at, made, VIRTIO_NET_HDR_LEN + len);
	memcpy(ret_frame, made + VIRTIO_NET_HDR_LEN, len);
	offer(&w.from, at, VIRTIO_NET_HDR_LEN + len, 1);
}

static void check_bursts(enum cpu_level level, unsigned lens, const uint32_t len[])
{
	uint8_t sent[BURST_FRAMES][LONGEST], *got[BURST_FRAMES];

	open_at_level(level);
	for (unsigned i = 0; i < lens; i++) {
		send_guarded(len[i], sent[i]);
		got[i] = take_guarded(VIRTIO_NET_HDR_LEN + len[i]);
		memset(got[i], UNUSED, VIRTIO_NET_HDR_LEN + len[i]);
		offer(&w.to[TO], got[i], VIRTIO_NET_HDR_LEN + len[i], 1);
	}
	assert_int_equal(run(), lens);
	assert_balance();
	assert_int_equal(delivered(TO), lens);
	for (unsigned i = 0; i < lens; i++)
		assert_memory_equal(got[i] + VIRTIO_NET_HDR_LEN, sent[i], len[i]);
	close_world();
}

static void each_length_arrives_alone(void **state)
{
	(void)state;
	for (unsigned level = 0; level < CPU_LEVEL_COUNT; level++)
		for (uint32_t len = FRAME_MIN; len <= LONGEST; len++)
			check_bursts(level, 1, &len);
}

static void lengths_arrive_in_one_burst(void **state)
{
	uint32_t len[BURST_FRAMES];

	(void)state;
	for (unsigned level = 0; level < CPU_LEVEL_COUNT; level++) {
		for (unsigned round = 0; round < 50; round++) {
			for (unsigned i = 0; i < BURST_FRAMES; i++)
				len[i] = FRAME_MIN + random() % (LONGEST - FRAME_MIN + 1);
			check_bursts(level, BURST_FRAMES, len);
		}
	}
}

static void bytes_behind_a_short_frame_stay(void **state)
{
	uint8_t frame[LONGEST], *got;

	(void)state;
	for (unsigned level = 0; level < CPU_LEVEL_COUNT; level++) {
		open_at_level(level);
		got = take(BUFFER);
		memset(got, UNUSED, BUFFER);
		send_guarded(20, frame);
		offer(&w.to[TO], got, BUFFER, 1);
		assert_int_equal(run(), 1);
		assert_memory_equal(got + VIRTIO_NET_HDR_LEN, frame, 20);
		for (unsigned i = VIRTIO_NET_HDR_LEN + 20; i < BUFFER; i++)
			assert_int_equal(got[i], UNUSED);
		close_world();
	}
}

static void a_frame_below_an_ethernet_header_is_dropped(void **state)
{
	uint8_t frame[LONGEST], *got;

	(void)state;
	open_at_level(CPU_LEVEL_AVX512);
	got = take(BUFFER);
	offer(&w.to[TO], got, BUFFER, 2);
	send_guarded(FRAME_MIN - 1, frame);
	send_guarded(60, frame);
	assert_int_equal(run(), 2);
	assert_balance();
	assert_int_equal(delivered(TO), 1);
	assert_int_equal(w.from.queue.stats.drops[DROP_RUNT], 1);
	close_world();
}

static void a_policy_sees_no_drop_of_the_burst_before(void **state)
{
	static const struct port_policy policy = {.features = 1};
	uint8_t frame[LONGEST], *got;

	(void)state;
	open_at_level(CPU_LEVEL_AVX512);
	w.port[SENDER].policy = &policy;
	got = take(BUFFER);
	offer(&w.to[TO], got, BUFFER, 1);
	send_guarded(FRAME_MIN - 1, frame);
	assert_int_equal(run(), 1);
	send_guarded(60, frame);
	assert_int_equal(run(), 1);
	assert_balance();
	assert_int_equal(delivered(TO), 1);
	close_world();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_length_arrives_alone),
	    cmocka_unit_test(lengths_arrive_in_one_burst),
	    cmocka_unit_test(bytes_behind_a_short_frame_stay),
	    cmocka_unit_test(a_frame_below_an_ethernet_header_is_dropped),
	    cmocka_unit_test(a_policy_sees_no_drop_of_the_burst_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
