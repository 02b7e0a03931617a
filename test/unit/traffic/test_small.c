/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames without room for the full tag, and frames with partial checksums. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "traffic/stream.h"

#define FRAMES 80
#define FROM   5
#define TO     300
#define ID     3
#define ROOM   256

static struct stream *s;
static uint8_t space[FRAMES][64 + ROOM]; /* a net header before each frame */
static uint32_t length[FRAMES];

static uint8_t *frame(unsigned i)
{
	return space[i] + 64;
}

static void make(const struct stream_profile *p)
{
	stream_destroy(s);
	assert_int_equal(stream_create(ID, FROM, TO, p, &s), 0);
	memset(space, 0xee, sizeof(space));
	for (unsigned i = 0; i < FRAMES; i++)
		length[i] =
		    stream_make(s, 0, frame(i), tport_header(frame(i)), (1000 + i) << TAG_TICK);
}

/* Is the frame taken for one of this stream? Then count it. */
static bool take(unsigned i, uint32_t len)
{
	struct tport_piece piece = {.bytes = frame(i), .len = len};
	struct stream_tag tag;

	if (!stream_read_tag(frame(i), len, &tag) || !tag.intact ||
	    (tag.form == TAG_FULL ? tag.stream != ID : tag.from != FROM || tag.to != TO))
		return false;
	stream_take(s, &tag, &piece, len);
	return true;
}

static struct stream_profile profile(uint32_t size, bool vlan, bool csum)
{
	return (struct stream_profile){.size = {size},
	    .n_sizes = 1,
	    .flows = 3,
	    .lanes = 1,
	    .macs = 3,
	    .vlan = vlan ? 7 : 0,
	    .csum = csum};
}

static int end(void **state)
{
	(void)state;
	stream_destroy(s);
	s = NULL;
	return 0;
}

/* Call check() with all sizes up to 90, untagged and tagged, UDP and TCP. */
static void with_all_sizes(void (*check)(const struct stream_profile *p, enum tag_form form))
{
	for (unsigned kind = 0; kind < 4; kind++) {
		for (uint32_t size = STREAM_FRAME_MIN; size <= 90; size++) {
			struct stream_profile p = profile(size, kind & 1, kind & 2);

			if (profile_fault(&p))
				continue; /* test_stream.c has these */
			check(&p, profile_weakest_form(&p));
		}
	}
}

static void a_form_is_as_large_as_the_frame_allows(void **state)
{
	static const struct {
		uint32_t least, most;
		bool vlan, tcp;
		enum tag_form form;
		enum tag_protocol protocol;
	} cases[] = {
	    {14, 15, false, false, TAG_NONE, TAG_OVER_ETHERNET},
	    {16, 19, false, false, TAG_ORDINAL, TAG_OVER_ETHERNET},
	    {20, 23, false, false, TAG_NUMBER, TAG_OVER_ETHERNET},
	    {24, 35, false, false, TAG_SHORT, TAG_OVER_ETHERNET},
	    {36, 51, false, false, TAG_FULL, TAG_OVER_ETHERNET},
	    {52, 63, false, false, TAG_SHORT, TAG_OVER_UDP},
	    {64, 65535, false, false, TAG_FULL, TAG_OVER_UDP},
	    {54, 75, false, true, TAG_TCP, TAG_OVER_TCP},
	    {76, 65535, false, true, TAG_FULL, TAG_OVER_TCP},
	    {18, 19, true, false, TAG_NONE, TAG_OVER_ETHERNET},
	    {56, 67, true, false, TAG_SHORT, TAG_OVER_UDP},
	    {68, 65535, true, false, TAG_FULL, TAG_OVER_UDP},
	    {58, 79, true, true, TAG_TCP, TAG_OVER_TCP},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		for (uint32_t len = cases[i].least; len <= cases[i].most; len++) {
			struct tag_layout l = tag_layout(cases[i].vlan, cases[i].tcp, len);

			assert_int_equal(l.form, cases[i].form);
			assert_int_equal(l.protocol, cases[i].protocol);
			assert_true(l.end <= len && l.at <= l.end);
		}
	}
}

/* Set all counters to 0, but let the frames count as sent. */
static void count_anew(void)
{
	stream_reset(s);
	s->unnumbered_sent = FRAMES;
	for (unsigned i = 0; i < s->profile.flows; i++)
		s->flow[i].next_sent = FRAMES;
}

static void count_all(const struct stream_profile *p, enum tag_form form)
{
	make(p);
	for (unsigned i = 0; i < FRAMES; i++)
		assert_true(take(i, length[i]));
	assert_int_equal(s->counts.received, FRAMES);
	assert_int_equal(s->counts.received_bytes, FRAMES * p->size[0]);
	assert_int_equal(s->counts.corrupt + s->counts.duplicates + s->counts.reordered, 0);
	assert_true(take(FRAMES - 5, length[0]));
	assert_int_equal(s->counts.duplicates, 1);
	count_anew();
	for (unsigned i = 0; i < FRAMES - 6; i++)
		assert_true(take(i ^ 4, length[0])); /* later frames of the flow come first */
	assert_int_equal(s->counts.received, FRAMES - 6);
	assert_int_equal(s->counts.reordered > 10, tag_tells[form].order);
}

static void all_sizes_count_alike(void **state)
{
	(void)state;
	with_all_sizes(count_all);
}

/* May a change of this byte stay unknown? Only if it makes another number. */
static bool may_change(unsigned at, enum tag_form form, const struct stream_template *t)
{
	return form == TAG_ORDINAL && at >= t->layout.at && at < t->layout.end;
}

static void spoil_all(const struct stream_profile *p, enum tag_form form)
{
	struct stream_profile touched = *p;

	touched.touch_all = true;
	make(&touched);
	for (unsigned i = 0; i < length[50]; i++) {
		frame(50)[i] ^= 1u << i % 8;
		if (take(50, length[50]) && s->counts.received)
			assert_true(may_change(i, form, &s->templates[0]));
		s->counts.received = 0;
		frame(50)[i] ^= 1u << i % 8;
	}
	count_anew();
	assert_true(take(50, length[50]));
	assert_int_equal(s->counts.received, 1);
}

static void a_corrupt_byte_is_found_in_all_sizes(void **state)
{
	(void)state;
	with_all_sizes(spoil_all);
}

/* Without touch_all only the head is checked. */
static void spoil_heads(const struct stream_profile *p, enum tag_form form)
{
	if (form == TAG_FULL)
		return;
	make(p);
	for (unsigned i = 0; i < s->templates[0].tag_end; i++) {
		frame(1)[i] ^= 0x10;
		if (take(1, length[1]) && s->counts.received)
			assert_true(may_change(i, form, &s->templates[0]));
		s->counts.received = 0;
		frame(1)[i] ^= 0x10;
	}
}

static void the_head_of_a_small_frame_is_always_checked(void **state)
{
	(void)state;
	with_all_sizes(spoil_heads);
}

static void cut_short(const struct stream_profile *p, enum tag_form form)
{
	struct stream_profile touched = *p;

	(void)form;
	if (p->size[0] < 15)
		return;
	touched.touch_all = true;
	make(&touched);
	if (take(1, length[1] - 1))
		assert_int_equal(s->counts.corrupt, 1);
	assert_int_equal(s->counts.received, 0);
}

static void a_frame_cut_short_is_never_received(void **state)
{
	(void)state;
	with_all_sizes(cut_short);
}

static void nothing_behind_the_line_is_written(void **state)
{
	(void)state;
	for (uint32_t size = STREAM_FRAME_MIN; size <= STREAM_LINE; size++) {
		struct stream_profile p = profile(size, false, false);

		make(&p);
		assert_int_equal(length[0], size);
		for (unsigned i = STREAM_LINE; i < ROOM; i++)
			assert_int_equal(frame(0)[i], 0xee);
	}
}

static void an_ordinal_goes_round(void **state)
{
	struct stream_profile p = profile(16, false, false);
	unsigned arrived = 0;

	(void)state;
	p.flows = p.macs = 1;
	make(&p);
	stream_reset(s);
	for (unsigned i = 0; i < 200000; i++) {
		stream_make(s, 0, frame(0), tport_header(frame(0)), 0);
		if (i % 1000 >= 900 || (i >= 50000 && i < 110000))
			continue; /* it is lost */
		assert_true(take(0, 16));
		arrived++;
	}
	assert_int_equal(s->counts.received, arrived);
	assert_int_equal(s->counts.reordered + s->counts.duplicates + s->counts.corrupt, 0);
}

static void a_short_time_tells_the_age(void **state)
{
	struct stream_tag tag;
	const uint64_t sent = UINT64_C(0xffffffffff), now = sent + 1000000;

	(void)state;
	make(&(struct stream_profile){
	    .size = {60}, .n_sizes = 1, .flows = 1, .lanes = 1, .macs = 1});
	stream_make(s, 0, frame(0), tport_header(frame(0)), sent);
	assert_true(stream_read_tag(frame(0), 60, &tag));
	assert_in_range(tag_age(&tag, now), 1000000 - 64, 1000000 + 64);
	tag = (struct stream_tag){.form = TAG_FULL, .time = 50};
	assert_int_equal(tag_age(&tag, 70), 20);
	assert_int_equal(tag_age(&tag, 30), 0);
}

static void more_copies_than_frames_are_duplicates(void **state)
{
	struct stream_profile p = profile(14, false, false);

	(void)state;
	make(&p);
	for (unsigned i = 0; i < FRAMES; i++)
		assert_true(take(0, 14));
	assert_int_equal(s->counts.duplicates, 0); /* it cannot be known */
	assert_true(take(1, 14));
	assert_int_equal(s->counts.duplicates, 1);
	assert_int_equal(s->counts.received, FRAMES);
}

static void padding_counts_on_a_wire(void **state)
{
	struct stream_profile p = profile(14, false, false);

	(void)state;
	make(&p);
	assert_true(take(0, 14));
	assert_int_equal(stream_wire_bytes(&s->counts), 84);
	p = profile(60, false, false);
	make(&p);
	assert_true(take(0, 60));
	assert_int_equal(stream_wire_bytes(&s->counts), 84);
}

/* As the specification says: add up all words from csum_start on; the field is part of the sum. */
static void complete(unsigned i, uint32_t len)
{
	struct virtio_net_hdr *hdr = tport_header(frame(i));
	uint32_t sum = 0, field = hdr->csum_start + hdr->csum_offset;

	for (uint32_t at = hdr->csum_start; at < len; at++)
		sum += at % 2 == hdr->csum_start % 2 ? frame(i)[at] << 8 : frame(i)[at];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	frame(i)[field] = ~sum >> 8;
	frame(i)[field + 1] = ~sum;
	hdr->flags = 0;
	hdr->csum_start = hdr->csum_offset = 0;
}

/* The TCP checksum over the pseudo header and all, from the frame alone. */
static unsigned tcp_sum(const uint8_t *ip, uint32_t len)
{
	uint32_t sum = 6 + len - 20;

	for (unsigned at = 12; at < len; at++)
		sum += at % 2 ? ip[at] : ip[at] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void check_sums(const struct stream_profile *p, enum tag_form form)
{
	uint32_t len = p->size[0];
	const struct virtio_net_hdr *hdr = tport_header(frame(0));

	(void)form;
	if (!p->csum)
		return;
	make(p);
	assert_int_equal(hdr->flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(hdr->gso_type, VIRTIO_NET_HDR_GSO_NONE);
	assert_int_equal(hdr->csum_start, p->vlan ? 38 : 34);
	assert_int_equal(hdr->csum_offset, 16);
	for (unsigned i = 0; i < 10; i++)
		assert_true(take(i, len));
	assert_int_equal(s->counts.received, 10);
	assert_int_equal(s->counts.completed, 0);
	for (unsigned i = 10; i < 20; i++) {
		uint32_t ip = hdr->csum_start - 20;

		complete(i, len);
		assert_int_equal(tcp_sum(frame(i) + ip, len - ip), 0xffff);
		assert_true(take(i, len));
	}
	assert_int_equal(s->counts.received, 20);
	assert_int_equal(s->counts.completed, 10);
	assert_int_equal(s->counts.lost_requests + s->counts.corrupt, 0);
	complete(20, len);
	frame(20)[hdr->csum_start + 17] ^= 1;
	assert_true(take(20, len));
	assert_int_equal(s->counts.corrupt, 1);
	tport_header(frame(21))->flags = 0;
	assert_true(take(21, len));
	tport_header(frame(22))->csum_start += 2;
	assert_true(take(22, len));
	assert_int_equal(s->counts.lost_requests, 2);
	assert_int_equal(s->counts.received, 22);
}

static void checksums_are_checked_partial_and_complete(void **state)
{
	(void)state;
	with_all_sizes(check_sums);
}

static void a_checksum_over_pieces_is_checked(void **state)
{
	struct stream_profile p = profile(201, false, true);
	struct stream_tag tag;

	(void)state;
	p.touch_all = true;
	make(&p);
	complete(0, 201);
	assert_true(stream_read_tag(frame(0), 101, &tag));
	stream_take(s, &tag,
	    (struct tport_piece[]){
		{.bytes = frame(0), .len = 101, .more = 1}, {.bytes = frame(0) + 101, .len = 100}},
	    201);
	assert_int_equal(s->counts.completed, 1);
	assert_int_equal(s->counts.received, 1);
}

static void an_acknowledgement_has_options_and_no_data(void **state)
{
	struct stream_profile p = profile(66, false, true);

	(void)state;
	make(&p);
	assert_int_equal(frame(0)[34 + 12] >> 4, 8);
	for (unsigned i = 54; i < 66; i++)
		assert_int_equal(frame(0)[i], 1);
}

static void frames_within_a_segment_do_not_ask_for_segments(void **state)
{
	struct stream_profile p = profile(154, false, false);

	(void)state;
	p.gso = 100;
	make(&p);
	assert_int_equal(tport_header(frame(0))->gso_type, VIRTIO_NET_HDR_GSO_NONE);
	assert_int_equal(tport_header(frame(0))->flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	p.size[0] = 155;
	make(&p);
	assert_int_equal(tport_header(frame(0))->gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_true(take(0, 155));
	/* Two segments: 154 and 55 bytes, padded. The padding is left out. */
	assert_int_equal(stream_wire_bytes(&s->counts), 154 + 55 + 2 * 24);
}

static void trains_of_frames_stay_in_a_flow(void **state)
{
	struct stream_profile p = profile(64, false, false);
	struct stream_tag tag;

	(void)state;
	p.locality = 4;
	make(&p);
	for (unsigned i = 0; i < FRAMES; i++) {
		assert_true(stream_read_tag(frame(i), 64, &tag));
		assert_int_equal(tag.flow, i / 4 % 3);
		assert_true(take(i, 64));
	}
	assert_int_equal(s->counts.received, FRAMES);
}

static void sizes_come_in_their_order(void **state)
{
	struct stream_profile p = profile(64, false, false);
	static const uint32_t expected[] = {100, 64, 64, 14, 100, 64};

	(void)state;
	p.n_sizes = 3;
	p.size[1] = 100;
	p.size[2] = 14;
	p.n_order = 4;
	memcpy(p.order, (uint8_t[]){1, 0, 0, 2}, 4);
	make(&p);
	for (unsigned i = 0; i < ARRAY_SIZE(expected); i++)
		assert_int_equal(length[i], expected[i]);
	for (unsigned i = 0; i < FRAMES; i++)
		assert_true(take(i, length[i]));
	assert_int_equal(s->counts.received, FRAMES);
	assert_int_equal(s->counts.corrupt + s->counts.reordered + s->counts.duplicates, 0);
}

static void strangers_are_not_ours(void **state)
{
	struct stream_profile p = profile(60, true, false);
	struct stream_tag tag;
	uint8_t other[64];

	(void)state;
	make(&p);
	assert_int_equal(stream_make_hello(s, 2, frame(0), tport_header(frame(0))), 64);
	assert_false(stream_read_tag(frame(0), 64, &tag));
	for (unsigned len = 0; len <= 64; len++) {
		memset(other, 0x11, sizeof(other));
		assert_false(stream_read_tag(other, len, &tag));
		memcpy(other + 12, "\x08\x00", 2);
		assert_false(stream_read_tag(other, len, &tag));
		memcpy(other + 12, "\x08\x06", 2);
		other[0] = other[6] = 2; /* one of our addresses, but ARP */
		assert_false(stream_read_tag(other, len, &tag));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(a_form_is_as_large_as_the_frame_allows, end),
	    cmocka_unit_test_teardown(all_sizes_count_alike, end),
	    cmocka_unit_test_teardown(a_corrupt_byte_is_found_in_all_sizes, end),
	    cmocka_unit_test_teardown(the_head_of_a_small_frame_is_always_checked, end),
	    cmocka_unit_test_teardown(a_frame_cut_short_is_never_received, end),
	    cmocka_unit_test_teardown(nothing_behind_the_line_is_written, end),
	    cmocka_unit_test_teardown(an_ordinal_goes_round, end),
	    cmocka_unit_test_teardown(a_short_time_tells_the_age, end),
	    cmocka_unit_test_teardown(more_copies_than_frames_are_duplicates, end),
	    cmocka_unit_test_teardown(padding_counts_on_a_wire, end),
	    cmocka_unit_test_teardown(checksums_are_checked_partial_and_complete, end),
	    cmocka_unit_test_teardown(a_checksum_over_pieces_is_checked, end),
	    cmocka_unit_test_teardown(an_acknowledgement_has_options_and_no_data, end),
	    cmocka_unit_test_teardown(frames_within_a_segment_do_not_ask_for_segments, end),
	    cmocka_unit_test_teardown(trains_of_frames_stay_in_a_flow, end),
	    cmocka_unit_test_teardown(sizes_come_in_their_order, end),
	    cmocka_unit_test_teardown(strangers_are_not_ours, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
