/* SPDX-License-Identifier: BSD-3-Clause */
/* How a stream counts frames that arrive, do not arrive, arrive twice, late or changed. */
#include "traffic/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "base/util.h"

#define FRAMES 200

static struct stream *s;
static uint8_t frame[FRAMES][2048];
static uint32_t length[FRAMES];
static struct virtio_net_hdr hdr;

static void make(const struct stream_profile *profile)
{
	assert_int_equal(stream_create(3, 0, 1, profile, &s), 0);
	for (unsigned i = 0; i < FRAMES; i++) {
		length[i] = stream_next_len(s);
		assert_int_equal(stream_make(s, 0, frame[i], &hdr, 1000 + i), length[i]);
	}
}

static void take(unsigned i)
{
	struct tport_piece piece = {.bytes = frame[i], .len = length[i]};
	struct stream_tag tag;

	assert_true(stream_read_tag(frame[i], length[i], &tag));
	assert_int_equal(tag.stream, 3);
	assert_int_equal(tag.time, 1000 + i);
	stream_take(s, &tag, &piece, length[i]);
}

static int end(void **state)
{
	(void)state;
	stream_destroy(s);
	s = NULL;
	return 0;
}

static const struct stream_profile plain = {
    .size = {64}, .n_sizes = 1, .flows = 1, .lanes = 1, .macs = 1};

static void all_in_order_is_no_news(void **state)
{
	(void)state;
	make(&plain);
	for (unsigned i = 0; i < FRAMES; i++)
		take(i);
	assert_int_equal(s->counts.sent, FRAMES);
	assert_int_equal(s->counts.received, FRAMES);
	assert_int_equal(s->counts.received_bytes, FRAMES * 64);
	assert_int_equal(s->counts.duplicates + s->counts.reordered + s->counts.corrupt, 0);
}

static void what_does_not_come_is_not_received(void **state)
{
	(void)state;
	make(&plain);
	for (unsigned i = 0; i < FRAMES; i += 2)
		take(i);
	assert_int_equal(s->counts.received, FRAMES / 2);
	assert_int_equal(s->counts.reordered + s->counts.duplicates, 0);
}

static void twice_is_a_duplicate(void **state)
{
	(void)state;
	make(&plain);
	for (unsigned i = 0; i < FRAMES; i++)
		take(i);
	take(FRAMES - 1);
	take(FRAMES - 40);
	take(0); /* older than the numbers that are remembered */
	assert_int_equal(s->counts.received, FRAMES);
	assert_int_equal(s->counts.duplicates, 3);
	assert_int_equal(s->counts.reordered, 0);
}

static void late_but_once_is_reordered(void **state)
{
	(void)state;
	make(&plain);
	take(1);
	take(0);
	take(3);
	take(2);
	take(2);
	for (unsigned i = 5; i < 60; i++)
		take(i);
	take(4);
	assert_int_equal(s->counts.received, 60);
	assert_int_equal(s->counts.reordered, 3);
	assert_int_equal(s->counts.duplicates, 1);
}

static void a_jump_forgets_what_lies_before_it(void **state)
{
	(void)state;
	make(&plain);
	take(0);
	take(100);
	take(99);
	take(37); /* the oldest of the last 64 numbers */
	take(36);
	assert_int_equal(s->counts.received, 4);
	assert_int_equal(s->counts.reordered, 2);
	assert_int_equal(s->counts.duplicates, 1);
}

static void order_counts_within_a_flow(void **state)
{
	struct stream_profile p = plain;

	(void)state;
	p.flows = 2;
	make(&p);
	for (unsigned i = 1; i < FRAMES; i += 2)
		take(i);
	for (unsigned i = 0; i < FRAMES; i += 2)
		take(i);
	assert_int_equal(s->counts.received, FRAMES);
	assert_int_equal(s->counts.reordered, 0);
}

static void a_flow_keeps_its_lane(void **state)
{
	struct stream_profile p = plain;

	(void)state;
	p.flows = 10;
	p.lanes = 4;
	assert_int_equal(stream_create(3, 0, 1, &p, &s), 0);
	for (unsigned i = 0; i < FRAMES; i++) {
		struct stream_tag tag;

		length[i] = stream_make(s, i % 4, frame[i], &hdr, 1000 + i);
		assert_true(stream_read_tag(frame[i], length[i], &tag));
		assert_int_equal(tag.flow % 4, i % 4);
		take(i);
	}
	assert_int_equal(s->counts.received, FRAMES);
	for (unsigned f = 0; f < 10; f++)
		assert_true(s->flow[f].next_sent > 0);
	stream_destroy(s);
	p.lanes = 11;
	assert_int_equal(stream_create(3, 0, 1, &p, &s), -22);
	s = NULL;
}

/* Change each byte of a frame in turn, with the code of each CPU level. */
static void spoil_every_byte(const struct stream_profile *p)
{
	for (unsigned level = 0; level < CPU_LEVEL_COUNT; level++) {
		unsigned len = p->size[0];
		struct stream_tag tag;

		cpu_allow_level(level);
		make(p);
		for (unsigned i = 0; i < len; i++) {
			uint64_t corrupt = s->counts.corrupt;

			frame[1][i] ^= 1u << i % 8;
			/*
			 * A changed tag is still recognised as a tag, but its fields are not used.
			 */
			assert_true(stream_read_tag(frame[1], len, &tag));
			if (tag.intact) {
				stream_take(s, &tag, &(struct tport_piece){frame[1], len, 0}, len);
				assert_int_equal(s->counts.corrupt, corrupt + 1);
			}
			frame[1][i] ^= 1u << i % 8;
		}
		assert_int_equal(s->counts.received, 0);
		take(1);
		assert_int_equal(s->counts.received, 1);
		stream_destroy(s);
		cpu_allow_level(CPU_LEVEL_COUNT - 1);
	}
	s = NULL;
}

static void any_corrupt_byte_is_found_when_all_is_touched(void **state)
{
	static const uint32_t sizes[] = {64, 65, 127, 128, 129, 200, 1514, 1518};
	struct stream_profile p = plain;

	(void)state;
	p.touch_all = true;
	for (unsigned i = 0; i < 8; i++) {
		p.size[0] = sizes[i];
		spoil_every_byte(&p);
	}
	p.vlan = 42;
	spoil_every_byte(&p);
	p.gso = 1448;
	spoil_every_byte(&p);
}

static void a_corrupt_tag_is_found_always(void **state)
{
	struct stream_tag tag;

	(void)state;
	make(&plain);
	for (unsigned i = 42; i < 64; i++) {
		frame[1][i] ^= 0x40;
		assert_true(stream_read_tag(frame[1], 64, &tag));
		assert_false(tag.intact);
		frame[1][i] ^= 0x40;
	}
	take(1);
}

static void a_frame_cut_short_is_corrupt(void **state)
{
	struct stream_profile p = plain;
	struct stream_tag tag;

	(void)state;
	p.size[0] = 1514;
	p.touch_all = true;
	make(&p);
	assert_true(stream_read_tag(frame[0], 1500, &tag));
	stream_take(s, &tag, &(struct tport_piece){frame[0], 1500, 0}, 1500);
	assert_int_equal(s->counts.corrupt, 1);
}

static void frames_in_pieces_are_checked_as_a_whole(void **state)
{
	struct stream_profile p = {
	    .size = {1514}, .n_sizes = 1, .flows = 1, .lanes = 1, .macs = 1, .touch_all = true};

	(void)state;
	make(&p);
	for (unsigned i = 0; i < 2; i++) {
		struct tport_piece pieces[] = {
		    {.bytes = frame[i], .len = 500, .more = 2},
		    {.bytes = frame[i] + 500, .len = 512},
		    {.bytes = frame[i] + 1012, .len = 502},
		};
		struct stream_tag tag;

		if (i == 1)
			frame[i][1200] ^= 1;
		assert_true(stream_read_tag(frame[i], 500, &tag));
		stream_take(s, &tag, pieces, 1514);
	}
	assert_int_equal(s->counts.received, 1);
	assert_int_equal(s->counts.corrupt, 1);
}

static unsigned ip_sum(const uint8_t *ip)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < 20; i += 2)
		sum += (unsigned)ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

static void headers_are_valid_for_every_size_and_flow(void **state)
{
	struct stream_profile p = {.size = {64, 590, 1514},
	    .n_sizes = 3,
	    .flows = 100000,
	    .lanes = 1,
	    .macs = 5,
	    .vlan = 7};

	(void)state;
	p.size[0] = 68;
	make(&p);
	for (unsigned i = 0; i < FRAMES; i++) {
		const uint8_t *f = frame[i];

		assert_int_equal(f[0] & 3, 2);
		assert_int_equal(f[6] & 3, 2);
		assert_int_equal(f[5], i % 5);
		assert_int_equal(f[11], i % 5);
		assert_int_equal(f[12] << 8 | f[13], 0x8100);
		assert_int_equal(f[15], 7);
		assert_int_equal(f[16] << 8 | f[17], 0x0800);
		assert_int_equal(f[20] << 8 | f[21], length[i] - 18);
		assert_int_equal(ip_sum(f + 18), 0xffff);
		assert_int_equal(f[42] << 8 | f[43], length[i] - 38);
	}
}

static void segmented_frames_ask_for_it(void **state)
{
	struct stream_profile p = {
	    .size = {1900}, .n_sizes = 1, .flows = 1, .lanes = 1, .macs = 1, .gso = 1448};

	(void)state;
	make(&p);
	assert_int_equal(hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(hdr.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(hdr.gso_size, 1448);
	assert_int_equal(hdr.hdr_len, 54);
	assert_int_equal(hdr.csum_start, 34);
	take(1); /* frame[0] has no room for a net header before it */
	assert_int_equal(s->counts.received, 1);
}

static void a_lost_request_is_counted(void **state)
{
	const struct stream_profile p = {
	    .size = {1900}, .n_sizes = 1, .flows = 1, .lanes = 1, .macs = 1, .gso = 1448};

	(void)state;
	make(&p);
	for (unsigned i = 1; i <= 5; i++) {
		struct virtio_net_hdr *net = tport_header(frame[i]);

		*net = hdr;
		net->gso_type = i == 2 ? VIRTIO_NET_HDR_GSO_NONE : net->gso_type;
		net->gso_size -= i == 3;
		net->flags = i == 4 ? 0 : net->flags;
		take(i);
		assert_int_equal(s->counts.lost_requests, i < 2 ? 0 : MIN(i - 1, 3));
	}
	assert_int_equal(s->counts.received, 5);
	stream_reset(s);
	assert_int_equal(s->counts.lost_requests, 0);
}

static void a_hello_and_a_stranger_are_not_ours(void **state)
{
	struct stream_tag tag;

	(void)state;
	make(&plain);
	stream_make_hello(s, 0, frame[0], &hdr);
	assert_false(stream_read_tag(frame[0], 64, &tag));
	assert_true(stream_read_tag(frame[1], 63, &tag)); /* cut short */
	assert_false(tag.intact);
	memset(frame[2], 0x11, 64);
	assert_false(stream_read_tag(frame[2], 64, &tag));
	assert_true(stream_read_tag(frame[3], 64, &tag));
	tag.flow = 1;
	stream_take(s, &tag, &(struct tport_piece){.bytes = frame[3], .len = 64}, 64);
	assert_int_equal(s->counts.corrupt, 1);
}

static void impossible_profiles_are_refused(void **state)
{
	struct stream_profile p = plain;

	(void)state;
	p.flows = 0;
	assert_int_equal(stream_create(0, 0, 1, &p, &s), -22);
	p = plain;
	p.size[0] = 13;
	assert_int_equal(stream_create(0, 0, 1, &p, &s), -22);
	p.size[0] = 17;
	p.vlan = 5;
	assert_int_equal(stream_create(0, 0, 1, &p, &s), -22);
	p = plain;
	p.size[0] = 53; /* the headers of TCP do not fit */
	p.csum = true;
	assert_int_equal(stream_create(0, 0, 1, &p, &s), -22);
	p = plain;
	p.size[0] = 35; /* neither tag nor headers have room for the flow */
	p.flows = 2;
	assert_int_equal(stream_create(0, 0, 1, &p, &s), -22);
	p = plain;
	p.n_order = 1;
	p.order[0] = 1;
	assert_int_equal(stream_create(0, 0, 1, &p, &s), -22);
	p = plain;
	p.size[0] = 65536;
	assert_int_equal(stream_create(0, 0, 1, &p, &s), -22);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(all_in_order_is_no_news, end),
	    cmocka_unit_test_teardown(what_does_not_come_is_not_received, end),
	    cmocka_unit_test_teardown(twice_is_a_duplicate, end),
	    cmocka_unit_test_teardown(late_but_once_is_reordered, end),
	    cmocka_unit_test_teardown(a_jump_forgets_what_lies_before_it, end),
	    cmocka_unit_test_teardown(order_counts_within_a_flow, end),
	    cmocka_unit_test_teardown(a_flow_keeps_its_lane, end),
	    cmocka_unit_test_teardown(any_corrupt_byte_is_found_when_all_is_touched, end),
	    cmocka_unit_test_teardown(a_corrupt_tag_is_found_always, end),
	    cmocka_unit_test_teardown(a_frame_cut_short_is_corrupt, end),
	    cmocka_unit_test_teardown(frames_in_pieces_are_checked_as_a_whole, end),
	    cmocka_unit_test_teardown(headers_are_valid_for_every_size_and_flow, end),
	    cmocka_unit_test_teardown(segmented_frames_ask_for_it, end),
	    cmocka_unit_test_teardown(a_lost_request_is_counted, end),
	    cmocka_unit_test_teardown(a_hello_and_a_stranger_are_not_ours, end),
	    cmocka_unit_test_teardown(impossible_profiles_are_refused, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
