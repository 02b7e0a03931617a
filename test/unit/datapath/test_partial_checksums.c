/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames that ask for a checksum arrive as they were sent, with their request, if the receiver
 * accepts it. Otherwise the checksum is filled in. They arrive among frames without a request, with
 * a wrong request and with a request for segmentation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "burst_world.h"
#include "datapath/offload.h"

#define LONGEST 200
#define UNUSED  0xee
#define TAKES   1 /* accepts checksums */
#define LACKS   2 /* does not */

struct sent {
	struct virtio_net_hdr net;
	uint8_t frame[LONGEST];
	uint32_t len;
	uint8_t *got[PORTS]; /* by port: the buffer that it is expected in */
};

static void open_at_level(enum cpu_level level)
{
	cpu_allow_level(level);
	open_world(4, OFFLOAD_CSUM | OFFLOAD_TSO4);
	w.port[LACKS].accepts = 0;
	for (uint8_t to = 1; to < 4; to++)
		fdb_learn(w.fdb, mac_load((const uint8_t[]){2, 0, 0, 0, 0, to}), to, 0);
}

static struct virtio_net_hdr asks(void)
{
	return (struct virtio_net_hdr){
	    .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
}

static void send_one(struct sent *s, uint8_t to, uint32_t len, const struct virtio_net_hdr *net)
{
	uint8_t *at = make_frame(to, len, 0), *frame = at + VIRTIO_NET_HDR_LEN;

	for (uint32_t i = 54; i < len; i++)
		frame[i] = len + i;
	*s = (struct sent){.net = *net, .len = len};
	memcpy(s->frame, frame, len);
	memcpy(at, net, sizeof(*net));
	offer(&w.from, at, VIRTIO_NET_HDR_LEN + len, 1);
}

/* A buffer that contains `with` as its net header. */
static void expect(struct sent *s, unsigned port, const struct virtio_net_hdr *with)
{
	s->got[port] = take(BUFFER);
	memset(s->got[port], UNUSED, BUFFER);
	if (with)
		memcpy(s->got[port], with, sizeof(*with));
	offer(&w.to[port], s->got[port], BUFFER, 1);
}

/* The net header that a receiver gets. */
static struct virtio_net_hdr cleaned(const struct virtio_net_hdr *net, uint32_t len)
{
	if (!(net->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return no_offload_header;
	return (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
	    .gso_type = net->gso_type,
	    .hdr_len = MIN(net->hdr_len, len),
	    .gso_size = net->gso_type ? net->gso_size : 0,
	    .csum_start = net->csum_start,
	    .csum_offset = net->csum_offset,
	    .num_buffers = 1};
}

static void assert_got(const struct sent *s, unsigned port)
{
	struct virtio_net_hdr net = cleaned(&s->net, s->len);
	uint8_t frame[LONGEST];

	memcpy(frame, s->frame, s->len);
	if (port == LACKS) {
		assert_int_equal(offload_checksum(frame, s->len, &net), 0);
		net = no_offload_header;
	}
	assert_memory_equal(s->got[port], &net, sizeof(net));
	assert_memory_equal(s->got[port] + VIRTIO_NET_HDR_LEN, frame, s->len);
	for (uint32_t i = VIRTIO_NET_HDR_LEN + s->len; i < BUFFER; i++)
		assert_int_equal(s->got[port][i], UNUSED);
}

/* Any header that asks for no segmentation; the guest may fill fields without a meaning. */
static struct virtio_net_hdr any_header(uint32_t len)
{
	struct virtio_net_hdr net = {0};

	if (random() % 2)
		net = asks();
	if (random() % 2)
		net.csum_start = 14 + random() % (len - 16 - 14);
	net.hdr_len = random() % 3 ? 0 : random();
	net.gso_size = random() % 3 ? 0 : random();
	net.flags |= random() % 4 ? 0 : VIRTIO_NET_HDR_F_DATA_VALID;
	net.num_buffers = random() % 4;
	if (net.csum_offset + net.csum_start + 2u > len)
		net.csum_offset = 0;
	return net;
}

static void requests_arrive_with_their_frames(void **state)
{
	struct sent sent[BURST_FRAMES];

	(void)state;
	for (unsigned round = 0; round < 60 * CPU_LEVEL_COUNT; round++) {
		open_at_level(round % CPU_LEVEL_COUNT);
		for (unsigned i = 0; i < BURST_FRAMES; i++) {
			uint32_t len = 54 + random() % (round % 2 ? 11 : LONGEST - 53);
			struct virtio_net_hdr net = any_header(len), clean = cleaned(&net, len);

			send_one(&sent[i], TAKES, len, &net);
			expect(&sent[i], TAKES, random() % 2 ? &clean : NULL);
		}
		assert_int_equal(run(), BURST_FRAMES);
		assert_true(w.burst->plain);
		assert_balance();
		assert_int_equal(delivered(TAKES), BURST_FRAMES);
		for (unsigned i = 0; i < BURST_FRAMES; i++)
			assert_got(&sent[i], TAKES);
		close_world();
	}
}

static void headers_of_the_burst_before_do_not_stay(void **state)
{
	const struct virtio_net_hdr with = asks(), without = {0};
	struct sent sent;

	(void)state;
	open_at_level(CPU_LEVEL_AVX512);
	for (unsigned i = 0; i < 3; i++) {
		send_one(&sent, TAKES, 100, i == 1 ? &without : &with);
		expect(&sent, TAKES, NULL);
		assert_int_equal(run(), 1);
		assert_got(&sent, TAKES);
	}
	close_world();
}

static void receivers_that_lack_checksums_get_them_done(void **state)
{
	const struct virtio_net_hdr with = asks(), without = {0};
	struct sent sent[BURST_FRAMES];

	(void)state;
	for (unsigned level = 0; level < CPU_LEVEL_COUNT; level++) {
		open_at_level(level);
		for (unsigned i = 0; i < BURST_FRAMES; i++) {
			unsigned to = 1 + i % 3;

			send_one(&sent[i], to, 60 + i, i % 5 ? &with : &without);
			expect(&sent[i], to, NULL);
		}
		assert_int_equal(run(), BURST_FRAMES);
		assert_balance();
		for (unsigned i = 0; i < BURST_FRAMES; i++)
			assert_got(&sent[i], 1 + i % 3);
		close_world();
	}
}

static void floods_reach_both_kinds(void **state)
{
	const struct virtio_net_hdr with = asks(), without = {0};
	struct sent sent[4];

	(void)state;
	open_at_level(CPU_LEVEL_AVX512);
	for (unsigned i = 0; i < ARRAY_SIZE(sent); i++) {
		send_one(&sent[i], 255, 90, i % 2 ? &with : &without);
		for (unsigned to = 1; to < 4; to++)
			expect(&sent[i], to, NULL);
	}
	assert_int_equal(run(), ARRAY_SIZE(sent));
	assert_balance();
	for (unsigned i = 0; i < ARRAY_SIZE(sent); i++)
		for (unsigned to = 1; to < 4; to++)
			assert_got(&sent[i], to);
	close_world();
}

static void a_wrong_request_costs_its_own_frame(void **state)
{
	struct virtio_net_hdr net = asks();
	struct sent sent[3];

	(void)state;
	open_at_level(CPU_LEVEL_AVX512);
	for (unsigned i = 0; i < ARRAY_SIZE(sent); i++) {
		net.csum_start = i == 1 ? 60 - 17 : 34; /* the field ends behind the frame */
		send_one(&sent[i], TAKES, 60, &net);
	}
	expect(&sent[0], TAKES, NULL);
	expect(&sent[2], TAKES, NULL);
	assert_int_equal(run(), ARRAY_SIZE(sent));
	assert_balance();
	assert_int_equal(delivered(TAKES), 2);
	assert_int_equal(w.from.queue.stats.drops[DROP_BAD_OFFLOAD], 1);
	assert_got(&sent[0], TAKES);
	assert_got(&sent[2], TAKES);
	close_world();
}

static void a_request_for_segments_arrives_among_checksums(void **state)
{
	struct virtio_net_hdr net = asks();
	struct sent sent[3];

	(void)state;
	open_at_level(CPU_LEVEL_AVX512);
	for (unsigned i = 0; i < ARRAY_SIZE(sent); i++) {
		net.gso_type = i == 1 ? VIRTIO_NET_HDR_GSO_TCPV4 : 0;
		net.gso_size = i == 1 ? 50 : 0;
		send_one(&sent[i], TAKES, 150, &net);
		expect(&sent[i], TAKES, NULL);
	}
	assert_int_equal(run(), ARRAY_SIZE(sent));
	assert_balance();
	for (unsigned i = 0; i < ARRAY_SIZE(sent); i++)
		assert_got(&sent[i], TAKES);
	close_world();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(requests_arrive_with_their_frames),
	    cmocka_unit_test(headers_of_the_burst_before_do_not_stay),
	    cmocka_unit_test(receivers_that_lack_checksums_get_them_done),
	    cmocka_unit_test(floods_reach_both_kinds),
	    cmocka_unit_test(a_wrong_request_costs_its_own_frame),
	    cmocka_unit_test(a_request_for_segments_arrives_among_checksums),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
