/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bounds on one burst: frames, segments, software work, and looks at full rings. The counters
 * balance, whatever is dropped or left in the ring.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <rte_cycles.h>

#include "base/off_cpu.h"
#include "burst_world.h"

static void a_burst_takes_so_many_bytes_and_leaves_the_rest(void **state)
{
	(void)state;
	for (unsigned gso = 0; gso < 2; gso++) {
		open_world(2, UINT32_MAX);
		offer(&w.to[1], take(70000), 70000, 32);
		send_frames(1, TSO_FRAME, gso ? 8948 : 0, 32);
		assert_int_equal(run_all(32, BURST_BYTES / 65000), 4);
		assert_int_equal(delivered(1), 32);
		assert_int_equal(w.from.queue.stats.bytes, 32 * TSO_FRAME);
		close_world();
	}
}

static void a_burst_takes_so_many_segments_and_leaves_the_rest(void **state)
{
	const unsigned each = 250;

	(void)state;
	open_world(2, 0);
	offer(&w.to[1], take(BUFFER), BUFFER, 4 * each);
	send_frames(1, HEADERS + each * 44, 44, 4);
	assert_int_equal(run_all(4, BURST_GSO_SEGMENTS / each), 2);
	assert_int_equal(delivered(1), 4 * each);
	close_world();
}

/* Each piece of memory can cost a page fault. */
static void a_burst_takes_so_many_pieces_of_memory_and_leaves_the_rest(void **state)
{
	enum { PIECES = 90, PIECE = 4, FRAMES = 8 };

	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct driver_buffer piece[PIECES];
		const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
		uint8_t *frame;

		open_world_with(&(struct world_options){.ports = 2, .packed = packed});
		offer(&w.to[1], take(BUFFER), BUFFER, FRAMES);
		fdb_learn(w.fdb, mac_load(mac), 1, 0);
		frame = make_frame(1, PIECES * PIECE - VIRTIO_NET_HDR_LEN, 0);
		for (unsigned i = 0; i < PIECES; i++)
			piece[i] = (struct driver_buffer){
			    .addr = frame + i * PIECE - w.memory, .len = PIECE};
		for (unsigned i = 0; i < FRAMES; i++)
			assert_int_equal(
			    driver_ring_add(&w.from.driver, piece, PIECES, 0, frame), 0);
		driver_ring_publish(&w.from.driver);
		assert_int_equal(run_all(FRAMES, BURST_SEGMENTS / PIECES), 3);
		assert_int_equal(delivered(1), FRAMES);
		close_world();
	}
}

static void a_frame_of_too_many_segments_is_not_looked_at(void **state)
{
	(void)state;
	open_world(PORTS, 0);
	for (unsigned p = 1; p < PORTS; p++)
		offer(&w.to[p], take(BUFFER), BUFFER, RING);
	send_frames(255, TSO_FRAME, 44, 32);
	run_all(32, 8);
	assert_int_equal(w.burst->work, BURST_WORK);
	assert_int_equal(drops(1, DROP_CANNOT_SEGMENT), 32);
	/* The smallest usual MSS, and the most segments there may be. */
	send_frames(1, TSO_FRAME, 536, 1);
	assert_int_equal(run(), 1);
	assert_int_equal(delivered(1), (65000 - 1) / 536 + 1);
	assert_balance();
	close_world();
}

/*
 * A frame, or each segment of a frame, may be 22 bytes longer than the MTU of the port that sends
 * it.
 */
static void frames_longer_than_the_mtu_are_dropped(void **state)
{
	const struct {
		uint32_t len;
		uint16_t gso_size;
		bool good;
	} sent[] = {
	    {1500 + 22, 0, true}, {1500 + 23, 0, false}, {TSO_FRAME, 1500 + 22 - HEADERS, true},
	    {TSO_FRAME, 1500 + 23 - HEADERS, false}, {1000, 9000, true}, /* less than a segment */
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(sent); i++) {
		open_world(2, UINT32_MAX);
		w.port[SENDER].mtu = 1500;
		offer(&w.to[1], take(70000), 70000, 2);
		send_frames(1, sent[i].len, sent[i].gso_size, 1);
		send_frames(1, 64, 0, 1);
		assert_int_equal(run(), 2);
		assert_int_equal(delivered(1), 1 + sent[i].good);
		assert_int_equal(w.from.queue.stats.drops[DROP_OVERSIZE], !sent[i].good);
		assert_balance();
		close_world();
	}
}

/*
 * The frame is dropped although the receiver accepts the offload, so that nothing would be done in
 * software.
 */
static void a_header_of_another_kind_is_dropped(void **state)
{
	uint8_t *frame;

	(void)state;
	open_world(2, UINT32_MAX);
	offer(&w.to[1], take(70000), 70000, 1);
	frame = make_frame(1, 3000, MSS);
	frame[VIRTIO_NET_HDR_LEN + 23] = 17; /* UDP */
	fdb_learn(w.fdb, mac_load(frame + VIRTIO_NET_HDR_LEN), 1, 0);
	offer(&w.from, frame, VIRTIO_NET_HDR_LEN + 3000, 1);
	assert_int_equal(run(), 1);
	assert_int_equal(w.from.queue.stats.drops[DROP_BAD_OFFLOAD], 1);
	assert_balance();
	close_world();
}

/* If the ring is full, no further segments are made, of this frame or of the frames behind it. */
static void segments_that_find_no_buffer_are_not_made(void **state)
{
	uint32_t work = BURST_WORK - TSO_FRAME - 10 * GSO_SEGMENT_WORK;

	(void)state;
	open_world(2, 0);
	offer(&w.to[1], take(BUFFER), BUFFER, 10);
	send_frames(1, TSO_FRAME, MSS, 8);
	assert_int_equal(run(), 8);
	assert_int_equal(w.burst->work, work);
	assert_int_equal(delivered(1), 10);
	assert_int_equal(drops(1, DROP_RING_FULL), 35 + 7);
	assert_balance();
	/* A ring without buffers causes no work at all. */
	send_frames(1, TSO_FRAME, MSS, 8);
	assert_int_equal(run(), 8);
	assert_int_equal(w.burst->work, BURST_WORK);
	assert_balance();
	close_world();
}

static void more_buffers(void)
{
	offer(&w.to[1], take(BUFFER), BUFFER, 20);
}

/* A frame is not lost in part, however often its segments have to wait for buffers. */
static void a_sleeping_guest_is_called_before_a_frame_is_given_up(void **state)
{
	(void)state;
	for (unsigned shared = 0; shared < 2; shared++) {
		open_world(2, 0);
		w.to[1].queue.call_fd = 3;
		w.to[1].queue.shared = shared;
		w.on_call = more_buffers;
		offer(&w.to[1], take(BUFFER), BUFFER, 10);
		send_frames(1, TSO_FRAME, MSS, 1);
		assert_int_equal(run(), 1);
		assert_int_equal(delivered(1), 45);
		assert_int_equal(drops(1, DROP_RING_FULL), 0);
		assert_true(w.calls >= 2);
		assert_balance();
		close_world();
	}
}

/*
 * A worker does not write to an eventfd that may be slow, but leaves the call to the control
 * thread.
 */
static void a_driver_is_called_if_its_eventfd_is_known_to_be_quick(void **state)
{
	atomic_uint trust;

	(void)state;
	for (unsigned quick = 0; quick < 2; quick++) {
		open_world(2, 0);
		trust = 6 + quick;
		w.to[1].queue.call_fd = 3;
		w.to[1].queue.call_trust = &trust;
		offer(&w.to[1], take(BUFFER), BUFFER, 10);
		send_frames(1, 100, 0, 5);
		assert_int_equal(run(), 5);
		assert_int_equal(delivered(1), 5);
		assert_int_equal(w.calls, quick);
		assert_int_equal(w.to[1].queue.call_left, !quick);
		assert_int_equal(w.to[1].queue.stats.calls, 1);
		assert_int_equal(w.to[1].queue.stats.calls_left, !quick);
		assert_int_equal(atomic_exchange(&w.port[1].calls->left, false), !quick);
		assert_int_equal(w.burst->noted, !quick);
		close_world();
	}
}

/* Read both clocks at nearly the same time. */
static void read_clocks(uint64_t *ret_cycles, int64_t *ret_ns)
{
	do {
		*ret_cycles = rte_rdtsc();
		*ret_ns = clock_ns();
	} while (rte_rdtsc() - *ret_cycles > 20000);
}

static uint64_t cycles_of_500_us(void)
{
	uint64_t cycles[2];
	int64_t ns[2];

	read_clocks(&cycles[0], &ns[0]);
	usleep(10000);
	read_clocks(&cycles[1], &ns[1]);
	return (cycles[1] - cycles[0]) * 500000 / (ns[1] - ns[0]);
}

static void sleep_5_ms(void)
{
	usleep(5000);
}

static void work_for_5_ms(void)
{
	int64_t start = clock_read(CLOCK_THREAD_CPUTIME_ID);

	while (clock_read(CLOCK_THREAD_CPUTIME_ID) - start < 5000000)
		;
}

/* Is the port marked as slow after a call in which the worker runs in_call()? */
static bool is_called_slow(void (*in_call)(void))
{
	bool slow;
	int64_t off;

	open_world(2, 0);
	w.burst->slow_call = cycles_of_500_us();
	do
		off = off_cpu_ns(CLOCK_THREAD_CPUTIME_ID);
	while (off < 0);
	w.burst->off_cpu = off;
	w.to[1].queue.call_fd = 3;
	w.on_call = in_call;
	offer(&w.to[1], take(BUFFER), BUFFER, 10);
	send_frames(1, 100, 0, 5);
	assert_int_equal(run(), 5);
	assert_int_equal(w.calls, 1);
	slow = atomic_exchange(&w.port[1].calls->slow, false);
	close_world();
	return slow;
}

/*
 * A call is slow if it uses much CPU time. It is not slow if the worker loses its CPU during the
 * call. This test may lose its CPU, too, at any time. So it is repeated, and only half of the
 * results have to be right.
 */
static void who_loses_its_cpu_in_a_call_does_not_blame_the_driver(void **state)
{
	unsigned innocent = 0, guilty = 0;

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		innocent += !is_called_slow(sleep_5_ms);
		guilty += is_called_slow(work_for_5_ms);
	}
	assert_in_range(innocent, 3, 6);
	assert_in_range(guilty, 3, 6);
}

static void full_rings_share_the_looks_of_a_burst(void **state)
{
	(void)state;
	open_world(PORTS, 0);
	send_frames(255, 100, 0, 32);
	assert_int_equal(run(), 32);
	assert_int_equal(w.burst->retries, 0);
	for (unsigned p = 1; p < PORTS; p++) {
		assert_int_equal(drops(p, DROP_RING_FULL), 32);
		assert_true(w.to[p].fetches <= 2); /* nothing has changed since the first visit */
	}
	assert_balance();
	close_world();
}

static void broken_rings_are_not_looked_at_again(void **state)
{
	(void)state;
	open_world(PORTS, 0);
	for (unsigned p = 1; p < PORTS; p++)
		w.to[p].ring.broken = VRING_BREAK_AVAIL_JUMP;
	send_frames(255, 100, 0, 32);
	assert_int_equal(run(), 32);
	assert_int_equal(w.burst->retries, BURST_RETRIES);
	assert_int_equal(drops(1, DROP_RING_BROKEN), 32);
	assert_balance();
	close_world();
}

/*
 * A TSO frame is flooded. Each destination that does not accept TSO frames causes software work.
 * The sum of this work has a limit.
 */
static void a_flood_has_only_so_much_done_in_software(void **state)
{
	const unsigned ports = 30;
	uint64_t cut = 0, limited = 0;

	(void)state;
	open_world(ports, 0);
	for (unsigned p = 1; p < ports; p++)
		offer(&w.to[p], take(BUFFER), BUFFER, RING);
	send_frames(255, TSO_FRAME, MSS, 2);
	assert_int_equal(run(), 1); /* a burst floods only one of them */
	for (unsigned p = 1; p < ports; p++) {
		cut += delivered(p);
		limited += drops(p, DROP_SOFTWARE_LIMIT);
	}
	assert_true(limited > 0);
	assert_true(cut >= 45 * 8); /* as many segments as eight destinations need */
	assert_true(cut <= BURST_WORK / GSO_SEGMENT_WORK);
	assert_balance();
	close_world();
}

/*
 * The destination has two queues, and flows are spread over them. A runt has no flow and is
 * dropped.
 */
static void a_runt_behind_a_frame_to_several_queues_is_dropped(void **state)
{
	(void)state;
	open_world(3, 0);
	w.port[1].n_egress = 2;
	w.port[1].egress[1] = &w.to[2].queue;
	for (unsigned p = 1; p < 3; p++)
		offer(&w.to[p], take(BUFFER), BUFFER, 10);
	send_frames(1, 100, 0, 1);
	offer(&w.from, take(20), 20, 1);
	send_frames(1, 100, 0, 1);
	assert_int_equal(run(), 3);
	assert_int_equal(w.from.queue.stats.unicast, 2);
	assert_int_equal(w.from.queue.stats.drops[DROP_RUNT], 1);
	assert_int_equal(delivered(1) + delivered(2), 2);
	assert_balance();
	close_world();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_burst_takes_so_many_bytes_and_leaves_the_rest),
	    cmocka_unit_test(a_burst_takes_so_many_segments_and_leaves_the_rest),
	    cmocka_unit_test(a_burst_takes_so_many_pieces_of_memory_and_leaves_the_rest),
	    cmocka_unit_test(a_frame_of_too_many_segments_is_not_looked_at),
	    cmocka_unit_test(frames_longer_than_the_mtu_are_dropped),
	    cmocka_unit_test(a_header_of_another_kind_is_dropped),
	    cmocka_unit_test(segments_that_find_no_buffer_are_not_made),
	    cmocka_unit_test(a_sleeping_guest_is_called_before_a_frame_is_given_up),
	    cmocka_unit_test(a_driver_is_called_if_its_eventfd_is_known_to_be_quick),
	    cmocka_unit_test(who_loses_its_cpu_in_a_call_does_not_blame_the_driver),
	    cmocka_unit_test(full_rings_share_the_looks_of_a_burst),
	    cmocka_unit_test(broken_rings_are_not_looked_at_again),
	    cmocka_unit_test(a_flood_has_only_so_much_done_in_software),
	    cmocka_unit_test(a_runt_behind_a_frame_to_several_queues_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
