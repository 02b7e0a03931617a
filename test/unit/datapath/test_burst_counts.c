/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of one burst through all its stages. Each frame must be counted in the counter that says
 * what happened to the frame. Net headers and learned addresses are checked, too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "burst_world.h"
#include "datapath/inject.h"

static void a_frame_of_our_own_counts_like_one_of_the_guest(void **state)
{
	const struct queue_stats *s = &w.from.queue.stats;
	uint8_t frame[60] = {255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 9};

	(void)state;
	open_world(3, UINT32_MAX);
	offer(&w.to[1], take(BUFFER), BUFFER, 1);
	offer(&w.to[2], take(BUFFER), BUFFER, 1);
	burst_inject(w.burst, w.fwd, &w.from.queue, 0, frame, sizeof(frame));
	assert_int_equal(s->frames, 1);
	assert_int_equal(s->bytes, sizeof(frame));
	assert_int_equal(s->flooded, 1);
	assert_int_equal(delivered(1), 1);
	assert_int_equal(delivered(2), 1);
	assert_balance();
	close_world();
}

static void frames_to_a_port_that_is_down_are_counted(void **state)
{
	(void)state;
	for (unsigned last = 0; last < 2; last++) {
		open_world(3, UINT32_MAX);
		w.port[1].n_egress = 0;
		offer(&w.to[2], take(BUFFER), BUFFER, 4);
		send_frames(1, 100, 0, 3);
		if (last)
			send_frames(2, 100, 0, 1);
		assert_int_equal(run(), 3 + last);
		assert_int_equal(w.from.queue.stats.drops[DROP_PORT_DOWN], 3);
		assert_int_equal(delivered(2), last);
		assert_balance();
		close_world();
	}
}

/* Each port gets one copy of each frame. */
static void copies_of_floods_are_counted(void **state)
{
	(void)state;
	open_world(4, UINT32_MAX);
	for (unsigned p = 1; p < 4; p++)
		offer(&w.to[p], take(BUFFER), BUFFER, 5);
	send_frames(255, 100, 0, 5);
	assert_int_equal(run(), 5);
	assert_int_equal(w.from.queue.stats.flooded, 5);
	assert_int_equal(w.from.queue.stats.flood_copies, 15);
	assert_int_equal(w.from.queue.stats.bytes, 500);
	assert_balance();
	close_world();
}

/* A visit without a call is counted once, whether the driver has no eventfd or wants no call. */
static void drivers_that_are_not_called_are_counted(void **state)
{
	(void)state;
	open_world(2, UINT32_MAX);
	offer(&w.to[1], take(BUFFER), BUFFER, 10);
	send_frames(1, 100, 0, 5);
	assert_int_equal(run(), 5);
	assert_int_equal(w.to[1].queue.stats.calls, 0);
	assert_int_equal(w.to[1].queue.stats.calls_suppressed, 1);
	assert_int_equal(w.from.queue.stats.calls_suppressed, 1);
	w.to[1].queue.call_fd = 3;
	driver_ring_call_disable(&w.to[1].driver);
	send_frames(1, 100, 0, 5);
	assert_int_equal(run(), 5);
	assert_int_equal(w.calls, 0);
	assert_int_equal(w.to[1].queue.stats.calls, 0);
	assert_int_equal(w.to[1].queue.stats.calls_suppressed, 2);
	close_world();
}

static void frames_for_a_ring_without_translations_are_not_for_a_full_one(void **state)
{
	(void)state;
	for (unsigned stalled = 0; stalled < 2; stalled++) {
		open_world(2, UINT32_MAX);
		w.to[1].ring.translated = true;
		w.to[1].ring.translation.stalled = stalled;
		send_frames(1, 100, 0, 3);
		assert_int_equal(run(), 3);
		assert_int_equal(drops(1, DROP_IOTLB_MISS), stalled ? 3 : 0);
		assert_int_equal(drops(1, DROP_RING_FULL), stalled ? 0 : 3);
		assert_balance();
		close_world();
	}
}

/* The net header in the first buffer tells the driver how many buffers the frame has. */
static void a_frame_over_several_buffers_says_how_many(void **state)
{
	uint8_t *buffers;

	(void)state;
	open_world(2, UINT32_MAX);
	buffers = take(3 * 1000);
	for (unsigned i = 0; i < 3; i++)
		offer(&w.to[1], buffers + i * 1000, 1000, 1);
	send_frames(1, 2500, 0, 1);
	assert_int_equal(run(), 1);
	assert_int_equal(delivered(1), 1);
	assert_int_equal(((struct virtio_net_hdr *)(void *)buffers)->num_buffers, 3);
	close_world();
}

/* All other flags are cleared. */
static void of_the_flags_of_a_header_only_the_request_for_a_checksum_is_passed_on(void **state)
{
	uint8_t *buffer, *frame;

	(void)state;
	open_world(2, UINT32_MAX);
	buffer = take(BUFFER);
	offer(&w.to[1], buffer, BUFFER, 1);
	frame = make_frame(1, 1000, 9000);
	frame[0] = 0xff;
	fdb_learn(w.fdb, mac_load(frame + VIRTIO_NET_HDR_LEN), 1, 0);
	offer(&w.from, frame, VIRTIO_NET_HDR_LEN + 1000, 1);
	assert_int_equal(run(), 1);
	assert_int_equal(delivered(1), 1);
	assert_int_equal(buffer[0], VIRTIO_NET_HDR_F_NEEDS_CSUM);
	close_world();
}

static uint16_t port_of(const uint8_t mac[6])
{
	return fdb_lookup(w.fdb, mac_load(mac));
}

/* Frames of a burst that differ only in their source addresses: each source is learned. */
static void every_source_of_a_burst_is_learned(void **state)
{
	(void)state;
	for (unsigned offload = 0; offload < 2; offload++) {
		uint8_t *frame[3];

		open_world(2, UINT32_MAX);
		offer(&w.to[1], take(BUFFER), BUFFER, 10);
		for (unsigned i = 0; i < 3; i++) {
			frame[i] = make_frame(1, 100, offload ? MSS : 0) + VIRTIO_NET_HDR_LEN;
			frame[i][11] = 8 + i; /* the end of the source address */
		}
		fdb_learn(w.fdb, mac_load(frame[0]), 1, 0);
		for (unsigned i = 0; i < 3; i++)
			offer(&w.from, frame[i] - VIRTIO_NET_HDR_LEN, VIRTIO_NET_HDR_LEN + 100, 1);
		assert_int_equal(run(), 3);
		assert_int_equal(delivered(1), 3);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(port_of(frame[i] + 6), SENDER);
		close_world();
	}
}

static uint8_t *changing;

/*
 * Make the TCP header longer, so that the frame has one segment less. These bytes are not in the
 * snapshot.
 */
static void make_another_frame_of_it(void)
{
	changing[14 + 60 + 12] = 15 << 4;
	offer(&w.to[1], take(BUFFER), BUFFER, 10);
}

/* The driver changes the frame while the segmentation waits for buffers. */
static void what_is_left_of_a_frame_that_became_another_is_dropped(void **state)
{
	const uint32_t len = 14 + 60 + 20 + 2 * MSS + 10;
	uint8_t *buffer;

	(void)state;
	open_world(2, 0);
	buffer = make_frame(1, len, MSS);
	changing = buffer + VIRTIO_NET_HDR_LEN;
	changing[14] = 0x4f; /* IPv4 with all its options */
	((struct virtio_net_hdr *)(void *)buffer)->csum_start = 14 + 60;
	changing[14 + 60 + 12] = 5 << 4;
	fdb_learn(w.fdb, mac_load(changing), 1, 0);
	w.to[1].queue.call_fd = 3;
	w.on_call = make_another_frame_of_it;
	offer(&w.to[1], take(BUFFER), BUFFER, 1);
	offer(&w.from, buffer, VIRTIO_NET_HDR_LEN + len, 1);
	assert_int_equal(run(), 1);
	assert_int_equal(delivered(1), 1);
	assert_int_equal(drops(1, DROP_CANNOT_SEGMENT), 2);
	assert_balance();
	close_world();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_frame_of_our_own_counts_like_one_of_the_guest),
	    cmocka_unit_test(frames_to_a_port_that_is_down_are_counted),
	    cmocka_unit_test(copies_of_floods_are_counted),
	    cmocka_unit_test(drivers_that_are_not_called_are_counted),
	    cmocka_unit_test(frames_for_a_ring_without_translations_are_not_for_a_full_one),
	    cmocka_unit_test(a_frame_over_several_buffers_says_how_many),
	    cmocka_unit_test(of_the_flags_of_a_header_only_the_request_for_a_checksum_is_passed_on),
	    cmocka_unit_test(every_source_of_a_burst_is_learned),
	    cmocka_unit_test(what_is_left_of_a_frame_that_became_another_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
