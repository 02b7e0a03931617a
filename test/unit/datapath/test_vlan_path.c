/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * Frames with all kinds of tags go from each kind of port to each other kind, through the whole hot
 * path. What arrives is compared byte by byte with what the decisions of bridge/vlan.h ask for
 * (test_vlan.c tests these decisions). The test makes the expected frame itself, in linear memory:
 * it removes the tag with which the frame came, adds the tag with which it leaves, and moves the
 * offsets in the net header. For a receiver that accepts no offload, the software offloads are
 * applied to this expected frame.
 *
 * Each frame has a number in its last bytes before the payload's end, so a received frame is
 * recognised. After each burst the counters must balance, and no receiver may have more frames than
 * expected.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "burst_world.h"
#include "base/ethernet.h"
#include "datapath/offload.h"

#define IPV4      0x0800
#define WORDS_MAX 5
#define FRAME_TOP 4096
#define KINDS     9
#define SLOTS     64 /* receive buffers of each port */

enum offload_kind { NO_OFFLOAD, CHECKSUM, SEGMENTS, OFFLOAD_KINDS };

/* The types and TCIs behind the addresses. */
struct tags {
	unsigned n;
	uint16_t word[WORDS_MAX];
};

static const struct tags all_tags[] = {
    {1, {IPV4}},
    {3, {0x8100, 0xe000, IPV4}},
    {3, {0x8100, 0x0001, IPV4}},
    {3, {0x8100, 0x6002, IPV4}},
    {3, {0x88a8, 0xf003, IPV4}},
    {3, {0x8100, 0x0fff, IPV4}},
    {3, {0x9100, 0x0001, IPV4}},
    {5, {0x8100, 0x0001, 0x8100, 0x0002, IPV4}},
    {5, {0x88a8, 0x0003, 0x8100, 0x2001, IPV4}},
    {5, {0x8100, 0x0000, 0x8100, 0x0002, IPV4}},
};

static struct port_policy policies[KINDS];

static void set_policy(
    unsigned i, uint8_t mode, uint16_t vlan, uint16_t a, uint16_t b, uint16_t tpid)
{
	struct vlan_config c = {.set = true, .mode = mode, .vlan = vlan, .tpid = tpid};

	if (a)
		vlan_set_add(&c.trunk, a);
	if (b)
		vlan_set_add(&c.trunk, b);
	assert_true(vlan_config_valid(&c));
	policies[i] = (struct port_policy){.features = POLICY_VLAN};
	vlan_port_init(&policies[i].vlan, &c);
}

static int make_policies(void **state)
{
	const struct vlan_config none = {0};

	(void)state;
	set_policy(0, VLAN_ACCESS, 1, 0, 0, 0);
	set_policy(1, VLAN_ACCESS, 2, 0, 0, 0);
	set_policy(2, VLAN_TRUNK, 0, 1, 2, 0);
	set_policy(3, VLAN_TRUNK, 1, 2, 3, 0);
	set_policy(4, VLAN_TRUNK, 2, 1, 3, 0x88a8);
	set_policy(5, VLAN_TRUNK, 1, 3, 0, 0x8100);
	set_policy(6, VLAN_QINQ, 1, 0, 0, 0);
	set_policy(7, VLAN_QINQ, 3, 0, 0, 0);
	policies[8] = (struct port_policy){.features = POLICY_VLAN};
	vlan_port_init(&policies[8].vlan, &none);
	return 0;
}

struct sent {
	struct virtio_net_hdr net;
	uint32_t len;
	uint8_t bytes[FRAME_TOP];
	struct tags tags;
	bool to_all;
	unsigned to;   /* the port on which its destination was learned */
	uint32_t seen; /* by port */
};

static struct sent sent[BURST_FRAMES];
static unsigned n_sent;

/* Make frame number `number` of len bytes, or a little more if its headers need it. */
static void make_sent(struct sent *s, uint8_t number, const struct tags *tags, uint32_t len,
    enum offload_kind offload)
{
	uint32_t l3 = 12 + 2 * tags->n;

	*s = (struct sent){.tags = *tags, .to_all = true, .len = MAX(len, l3 + 4)};
	if (offload)
		s->len = MAX(len, l3 + 44);
	for (uint32_t i = 0; i < s->len; i++)
		s->bytes[i] = i * 7 + number;
	memset(s->bytes, 0xff, 6);
	memcpy(s->bytes + 6, "\2\0\0\0\0", 5);
	s->bytes[11] = 0x80;
	for (unsigned i = 0; i < tags->n; i++)
		store16(s->bytes + 12 + 2 * i, tags->word[i]);
	s->bytes[s->len - 1] = number;
	if (!offload)
		return;
	s->bytes[l3] = 0x45;
	store16(s->bytes + l3 + 2, s->len - l3);
	store16(s->bytes + l3 + 6, 0);
	s->bytes[l3 + 9] = 6;
	s->bytes[l3 + 32] = 5 << 4;
	s->net = (struct virtio_net_hdr){
	    .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = l3 + 20, .csum_offset = 16};
	/* Nobody can segment what is behind an unknown type. */
	if (offload == SEGMENTS && tags->word[0] != 0x9100) {
		s->net.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
		s->net.gso_size = 500;
		s->net.hdr_len = l3 + 40;
	}
}

/* Its destination is behind the port, in the frame's domain. */
static void to_port(struct sent *s, const struct vlan_port *from, unsigned port)
{
	struct vlan_frame v;

	s->to_all = false;
	s->to = port;
	memcpy(s->bytes, "\2\0\0\0\1", 5);
	s->bytes[5] = port;
	if (vlan_ingress(from, s->bytes, s->len, &v))
		fdb_learn(w.fdb, fdb_address(mac_load(s->bytes), v.domain), port, 0);
}

/* Offer the frame in pieces of `piece` bytes; 0: in one piece. */
static void send_pieces(const struct sent *s, uint32_t piece)
{
	struct driver_buffer b[64];
	uint32_t len = VIRTIO_NET_HDR_LEN + s->len, n = 0;
	uint8_t *at = take(len);

	memcpy(at, &s->net, VIRTIO_NET_HDR_LEN);
	memcpy(at + VIRTIO_NET_HDR_LEN, s->bytes, s->len);
	for (uint32_t done = 0; done < len; n++) {
		b[n].addr = at + done - w.memory;
		b[n].len = piece && n < 62 ? MIN(piece, len - done) : len - done;
		done += b[n].len;
	}
	assert_int_equal(driver_ring_add(&w.from.driver, b, n, 0, NULL), 0);
	driver_ring_publish(&w.from.driver);
}

static void offer_slot(unsigned port, uint8_t *at, uint32_t size)
{
	struct driver_buffer b = {.addr = at - w.memory, .len = size};

	memset(at, 0xee, size);
	assert_int_equal(driver_ring_add(&w.to[port].driver, &b, 0, 1, at), 0);
	driver_ring_publish(&w.to[port].driver);
}

/* Take the next frame that the port received. False: there is none. */
static bool receive(
    unsigned port, uint32_t size, struct virtio_net_hdr *net, uint8_t *bytes, uint32_t *ret_len)
{
	uint8_t all[2 * FRAME_TOP];
	uint32_t len, at = 0;
	unsigned left = 1;
	void *token;

	for (bool first = true; left; left--, first = false) {
		int got = driver_ring_reap(&w.to[port].driver, &token, &len);

		assert_true(got == 1 || (got == 0 && first));
		if (!got)
			return false;
		memcpy(all + at, token, len);
		at += len;
		if (first)
			left = ((struct virtio_net_hdr *)token)->num_buffers;
		offer_slot(port, token, size);
	}
	memcpy(net, all, VIRTIO_NET_HDR_LEN);
	*ret_len = at - VIRTIO_NET_HDR_LEN;
	memcpy(bytes, all + VIRTIO_NET_HDR_LEN, *ret_len);
	return true;
}

/* The frame as it leaves by a port, in linear memory. False: it does not leave there. */
static bool expect(const struct sent *s, unsigned port, struct sent *ret)
{
	const struct vlan_port *from = &policies[0].vlan, *to = &w.port[port].policy->vlan;
	struct vlan_frame v;
	uint32_t tag, cut, add;

	from = &w.port[SENDER].policy->vlan;
	if (port == SENDER || !vlan_ingress(from, s->bytes, s->len, &v) ||
	    !vlan_member(to, v.domain) || (!s->to_all && s->to != port))
		return false;
	tag = vlan_egress(to, &v);
	cut = v.came ? 4 : 0;
	add = tag ? 4 : 0;
	*ret = *s;
	ret->len = s->len - cut + add;
	memcpy(ret->bytes + 12 + add, s->bytes + 12 + cut, s->len - 12 - cut);
	if (tag)
		store32(ret->bytes + 12, tag);
	if (s->net.flags)
		ret->net.csum_start += add - cut;
	if (s->net.hdr_len)
		ret->net.hdr_len += add - cut;
	return true;
}

/* Compare all that the port received with all that it should have received. */
static unsigned check_port(unsigned port, uint32_t size, bool software)
{
	struct virtio_net_hdr net;
	uint8_t bytes[FRAME_TOP];
	unsigned frames = 0;
	uint32_t len;

	while (receive(port, size, &net, bytes, &len)) {
		struct sent *s = &sent[bytes[len - 1]], e;

		assert_true(bytes[len - 1] < n_sent);
		assert_false(s->seen >> port & 1);
		s->seen |= 1u << port;
		assert_true(expect(s, port, &e));
		if (software)
			assert_int_equal(offload_checksum(e.bytes, e.len, &e.net), 0);
		assert_int_equal(len, e.len);
		assert_memory_equal(bytes, e.bytes, len);
		assert_int_equal(net.flags, software ? 0 : e.net.flags);
		assert_int_equal(net.gso_type, software ? 0 : e.net.gso_type);
		assert_int_equal(net.csum_start, software ? 0 : e.net.csum_start);
		assert_int_equal(net.hdr_len, software ? 0 : e.net.hdr_len);
		frames++;
	}
	return frames;
}

static void check_all(uint32_t size, bool software)
{
	assert_balance();
	for (unsigned p = 0; p < w.ports; p++) {
		unsigned expected = 0;
		struct sent e;

		for (unsigned i = 0; i < n_sent; i++)
			expected += expect(&sent[i], p, &e);
		assert_int_equal(check_port(p, size, software), expected);
	}
}

static void open_kinds(unsigned sender, bool packed, uint32_t accepts, uint32_t size)
{
	const struct port_policy *policy[1 + KINDS] = {&policies[sender]};

	for (unsigned k = 0; k < KINDS; k++)
		policy[1 + k] = &policies[k];
	open_world_with(&(struct world_options){.ports = 1 + KINDS,
	    .accepts = accepts,
	    .packed = packed,
	    .vlans = true,
	    .policy = policy});
	for (unsigned p = 1; p < w.ports; p++)
		for (unsigned i = 0; i < SLOTS; i++)
			offer_slot(p, take(size), size);
}

/* One burst of one frame to all ports, and one to each single port. */
static void one_by_one(const struct tags *tags, uint32_t len, enum offload_kind offload,
    uint32_t piece, uint32_t size, bool software)
{
	size_t used = w.used;

	n_sent = 1;
	for (unsigned to = 0; to < w.ports; to++) {
		make_sent(&sent[0], 0, tags, len, offload);
		if (to)
			to_port(&sent[0], &w.port[SENDER].policy->vlan, to);
		/* An entry of a port that is not in the VLAN counts as unknown. */
		if (to && !expect(&sent[0], to, &(struct sent){0}))
			sent[0].to_all = true;
		send_pieces(&sent[0], piece);
		assert_int_equal(run(), 1);
		check_all(size, software);
		w.used = used;
		while (driver_ring_reap(&w.from.driver, &(void *){0}, &(uint32_t){0}) == 1)
			;
	}
}

static void all_frames(bool packed, uint32_t accepts, uint32_t size)
{
	static const uint32_t lens[] = {14, 18, 60, 64, 65, 66, 67, 70, 1514};
	static const uint32_t pieces[] = {0, 12, 30};
	bool software = !accepts;

	for (unsigned sender = 0; sender < KINDS; sender++) {
		open_kinds(sender, packed, accepts, size);
		for (unsigned t = 0; t < ARRAY_SIZE(all_tags); t++)
			for (unsigned l = 0; l < ARRAY_SIZE(lens); l++)
				for (unsigned p = 0; p < ARRAY_SIZE(pieces); p++) {
					one_by_one(&all_tags[t], lens[l], NO_OFFLOAD, pieces[p],
					    size, software);
					one_by_one(&all_tags[t], lens[l], CHECKSUM, pieces[p], size,
					    software);
				}
		if (!software)
			for (unsigned t = 0; t < ARRAY_SIZE(all_tags); t++)
				one_by_one(&all_tags[t], 1800, SEGMENTS, 0, size, false);
		close_world();
	}
}

static void each_frame_arrives_with_the_tag_of_each_port(void **state)
{
	(void)state;
	all_frames(false, UINT32_MAX, 2048);
}

static void the_same_in_packed_rings(void **state)
{
	(void)state;
	all_frames(true, UINT32_MAX, 2048);
}

/* 15 + 12 bytes: the tag and the head are split over several buffers. */
static void the_same_in_small_buffers(void **state)
{
	(void)state;
	all_frames(false, UINT32_MAX, 60);
	all_frames(true, UINT32_MAX, 27 + 20);
}

static void checksums_in_software_begin_at_the_right_byte(void **state)
{
	(void)state;
	all_frames(false, 0, 2048);
}

/* Each segment has the tag with which the frame leaves. */
static void check_segments(unsigned port, const struct sent *e)
{
	struct virtio_net_hdr net;
	uint8_t bytes[FRAME_TOP], linear[FRAME_TOP];
	struct gso_segment seg;
	struct gso gso;
	uint32_t len, n = 0;

	memcpy(linear, e->bytes, e->len);
	if (gso_begin(&gso, linear, e->len, &e->net) == 0)
		n = gso_count(&gso);
	for (uint32_t i = 0; i < n; i++) {
		assert_true(receive(port, 2048, &net, bytes, &len));
		gso_make(&gso, i, &seg);
		assert_int_equal(len, seg.header_len + seg.payload_len);
		assert_memory_equal(bytes, seg.header, seg.header_len);
		assert_memory_equal(bytes + seg.header_len, seg.payload, seg.payload_len);
		assert_int_equal(net.flags | net.gso_type, 0);
	}
	assert_false(receive(port, 2048, &net, bytes, &len));
}

static void segments_in_software_have_the_tag(void **state)
{
	(void)state;
	for (unsigned sender = 0; sender < KINDS; sender++) {
		open_kinds(sender, false, 0, 2048);
		for (unsigned t = 0; t < ARRAY_SIZE(all_tags); t++) {
			struct sent e;

			make_sent(&sent[0], 0, &all_tags[t], 1800, SEGMENTS);
			if (!sent[0].net.gso_type)
				continue; /* the frame cannot be segmented */
			send_pieces(&sent[0], 0);
			assert_int_equal(run(), 1);
			assert_balance();
			for (unsigned p = 1; p < w.ports; p++) {
				if (expect(&sent[0], p, &e))
					check_segments(p, &e);
				else
					assert_false(receive(p, 2048, &e.net, e.bytes, &e.len));
			}
		}
		close_world();
	}
}

/* Frames of all kinds, to all ports and to single ports, mixed in one burst. */
static void frames_of_several_vlans_share_a_burst(void **state)
{
	unsigned draw = 1;

	(void)state;
	for (unsigned round = 0; round < 40 * KINDS; round++) {
		open_kinds(round % KINDS, round / KINDS % 2, UINT32_MAX, 2048);
		n_sent = 1 + round % BURST_FRAMES;
		for (unsigned i = 0; i < n_sent; i++) {
			const struct tags *tags;

			draw = draw * 1103515245 + 12345;
			tags =
			    &all_tags[round % 3 ? (draw >> 16) % ARRAY_SIZE(all_tags) : round % 10];
			make_sent(&sent[i], i, tags, 14 + (draw >> 20) % 200,
			    round % 4 ? NO_OFFLOAD : (draw >> 13) % OFFLOAD_KINDS);
			if (draw >> 18 & 1)
				to_port(&sent[i], &w.port[SENDER].policy->vlan,
				    1 + (draw >> 19) % KINDS);
			if (!sent[i].to_all && !expect(&sent[i], sent[i].to, &(struct sent){0}))
				sent[i].to_all = true;
			send_pieces(&sent[i], round % 5 ? 0 : 40);
		}
		assert_int_equal(run(), n_sent);
		check_all(2048, false);
		close_world();
	}
}

static void a_burst_stays_plain_if_its_frames_change_alike(void **state)
{
	static const struct {
		unsigned sender, to, tags, last_tags; /* last_tags: of the last frame */
		bool plain;
	} cases[] = {
	    {0, 1, 0, 0, true},  /* access to access of one VLAN */
	    {0, 3, 0, 0, true},  /* access to trunk: a tag is added */
	    {2, 9, 2, 2, true},  /* trunk to trunk */
	    {2, 1, 2, 2, true},  /* trunk to access: the tag is removed */
	    {8, 9, 0, 0, true},  /* without a VLAN */
	    {3, 1, 2, 0, false}, /* only one frame of the VLAN has no tag */
	    {2, 5, 2, 2, false}, /* trunk to trunk with another TPID: the tag is rewritten */
	    {0, 1, 2, 2, false}, /* dropped */
	};

	(void)state;
	for (unsigned c = 0; c < ARRAY_SIZE(cases); c++) {
		open_kinds(cases[c].sender, false, UINT32_MAX, 2048);
		w.port[SENDER].sends_offload = false;
		n_sent = 8;
		for (unsigned i = 0; i < n_sent; i++) {
			unsigned tags = i < 7 ? cases[c].tags : cases[c].last_tags;

			make_sent(&sent[i], i, &all_tags[tags], 100, NO_OFFLOAD);
			to_port(&sent[i], &w.port[SENDER].policy->vlan, cases[c].to);
			send_pieces(&sent[i], 0);
		}
		assert_int_equal(run(), n_sent);
		assert_int_equal(w.burst->plain, cases[c].plain);
		if (cases[c].tags == 2 && cases[c].sender == 0)
			assert_int_equal(w.from.queue.stats.drops[DROP_VLAN], n_sent);
		check_all(2048, false);
		close_world();
	}
}

/* A checksum that begins in the tag, or that cannot move, is no request that can be kept. */
static void a_checksum_in_the_tag_is_refused(void **state)
{
	(void)state;
	for (unsigned start = 14; start < 20; start++) {
		open_kinds(2, false, UINT32_MAX, 2048);
		n_sent = 1;
		make_sent(&sent[0], 0, &all_tags[2], 100, CHECKSUM);
		sent[0].net.csum_start = start;
		send_pieces(&sent[0], 0);
		assert_int_equal(run(), 1);
		assert_int_equal(w.from.queue.stats.drops[DROP_BAD_OFFLOAD], start < 18);
		if (start >= 18)
			check_all(2048, false);
		assert_balance();
		close_world();
	}
}

/* A flood in several visits changes the tag for each port, but counts the bytes that came. */
static void a_flood_in_parts_counts_what_came(void **state)
{
	enum { MANY = 100, LONG = 65000 };
	const struct port_policy *policy[MANY];
	uint8_t *frame;
	unsigned visits = 0;

	(void)state;
	for (unsigned p = 0; p < MANY; p++)
		policy[p] = &policies[p % 2 ? 2 : 0];
	open_world_with(&(struct world_options){
	    .ports = MANY, .accepts = UINT32_MAX, .vlans = true, .policy = policy});
	frame = make_frame(255, LONG, 0);
	for (unsigned p = 1; p < MANY; p++)
		offer(&w.to[p], take(70000), 70000, 1);
	offer(&w.from, frame, VIRTIO_NET_HDR_LEN + LONG, 1);
	while (run())
		visits++;
	assert_true(visits > 2);
	assert_int_equal(w.from.queue.stats.bytes, LONG);
	for (unsigned p = 1; p < MANY; p++) {
		assert_int_equal(delivered(p), 1);
		assert_int_equal(w.to[p].queue.stats.bytes, LONG + (p % 2 ? 4 : 0));
	}
	assert_balance();
	close_world();
}

/* No frame leaves its bridge, even if an address was learned before a port went to another one. */
static void bridges_are_apart(void **state)
{
	static const uint16_t bridge[] = {0, 0, 1, 1};

	(void)state;
	open_world_with(
	    &(struct world_options){.ports = 4, .accepts = UINT32_MAX, .bridge = bridge});
	for (unsigned p = 1; p < 4; p++)
		offer(&w.to[p], take(BUFFER), BUFFER, 10);
	send_frames(255, 100, 0, 2);
	assert_int_equal(run(), 2);
	send_frames(2, 100, 0, 3);
	assert_int_equal(run(), 3);
	send_frames(2, 100, 0, 1);
	send_frames(1, 100, 0, 1);
	assert_int_equal(run(), 2);
	assert_int_equal(delivered(1), 3);
	assert_int_equal(delivered(2) + delivered(3), 0);
	assert_int_equal(w.from.queue.stats.drops[DROP_PORT_DOWN], 4);
	assert_balance();
	close_world();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_frame_arrives_with_the_tag_of_each_port),
	    cmocka_unit_test(the_same_in_packed_rings),
	    cmocka_unit_test(the_same_in_small_buffers),
	    cmocka_unit_test(checksums_in_software_begin_at_the_right_byte),
	    cmocka_unit_test(segments_in_software_have_the_tag),
	    cmocka_unit_test(frames_of_several_vlans_share_a_burst),
	    cmocka_unit_test(a_burst_stays_plain_if_its_frames_change_alike),
	    cmocka_unit_test(a_checksum_in_the_tag_is_refused),
	    cmocka_unit_test(a_flood_in_parts_counts_what_came),
	    cmocka_unit_test(bridges_are_apart),
	};

	return cmocka_run_group_tests(tests, make_policies, NULL);
}
