/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "datapath/flow_hash.h"

#define FRAME_LEN 128
#define QUEUES    8
#define FLOWS     4096

enum { TCP = 6, UDP = 17, ICMP = 1, SCTP = 132 };

/* The shape of a frame. All zero: TCP over IPv4 without options. */
struct shape {
	unsigned tags, options; /* VLAN tags; 32-bit words of IPv4 options */
	bool ipv6;
	uint8_t proto; /* 0: TCP */
	uint16_t fragment;
	uint32_t src, dst;
	uint16_t sport, dport;
	uint8_t mac;
};

static void store16(uint8_t *p, uint16_t v)
{
	p[0] = v >> 8;
	p[1] = v;
}

static void store32(uint8_t *p, uint32_t v)
{
	store16(p, v >> 16);
	store16(p + 2, v);
}

static unsigned put_ip(uint8_t *ip, const struct shape *s, uint8_t proto)
{
	if (s->ipv6) {
		ip[0] = 0x60;
		ip[6] = proto;
		store32(ip + 8, 0x20010db8);
		store32(ip + 20, s->src);
		store32(ip + 24, 0x20010db8);
		store32(ip + 36, s->dst);
		return 40;
	}
	ip[0] = 0x45 + s->options;
	store16(ip + 6, s->fragment);
	ip[9] = proto;
	store32(ip + 12, s->src);
	store32(ip + 16, s->dst);
	memset(ip + 20, 1, s->options * 4);
	return 20 + s->options * 4;
}

/* Write the frame. Returns the offset behind the ports. */
static unsigned build(uint8_t frame[FRAME_LEN], const struct shape *s)
{
	unsigned at = 12;

	memset(frame, 0, FRAME_LEN);
	frame[0] = frame[6] = 2;
	frame[11] = s->mac;
	for (unsigned t = 0; t < s->tags; t++, at += 4)
		store16(frame + at, t + 1 < s->tags ? 0x88a8 : 0x8100);
	store16(frame + at, s->ipv6 ? 0x86dd : 0x0800);
	at += 2;
	at += put_ip(frame + at, s, s->proto ? s->proto : TCP);
	store16(frame + at, s->sport);
	store16(frame + at + 2, s->dport);
	return at + 4;
}

static uint32_t hash_of(struct shape s)
{
	uint8_t frame[FRAME_LEN];

	build(frame, &s);
	return flow_hash(frame, FRAME_LEN);
}

static void addresses_and_ports_tell_flows_apart(void **state)
{
	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		const uint8_t protos[] = {TCP, UDP, SCTP};

		for (unsigned i = 0; i < ARRAY_SIZE(protos); i++) {
			struct shape s = {.ipv6 = v6, .proto = protos[i], .sport = 1, .dport = 2};
			struct shape t = s;
			uint32_t h = hash_of(s);

			t.sport = 3;
			assert_int_not_equal(h, hash_of(t));
			t = s, t.dport = 3;
			assert_int_not_equal(h, hash_of(t));
			t = s, t.src = 3;
			assert_int_not_equal(h, hash_of(t));
			t = s, t.dst = 3;
			assert_int_not_equal(h, hash_of(t));
			t = s, t.proto = s.proto == TCP ? UDP : TCP;
			assert_int_not_equal(h, hash_of(t));
		}
	}
}

/* The ports of an IPv6 frame with a tag, from whose head another tag was removed, end behind it. */
static void the_source_port_counts_if_the_head_ends_behind_it(void **state)
{
	struct shape s = {.ipv6 = true, .tags = 1, .sport = 1, .dport = 2}, t = s;
	uint8_t a[FRAME_LEN], b[FRAME_LEN];
	unsigned end = build(a, &s) - 2;

	(void)state;
	t.sport = 3;
	build(b, &t);
	assert_int_equal(end, 60);
	assert_int_not_equal(flow_hash(a, end), flow_hash(b, end));
	assert_int_equal(flow_hash(a, end - 1), flow_hash(b, end - 1));
	t = s;
	t.dport = 3;
	build(b, &t);
	assert_int_equal(flow_hash(a, end), flow_hash(b, end));
}

static void macs_tags_and_payload_do_not_split_an_ip_flow(void **state)
{
	uint8_t frame[FRAME_LEN];
	const struct shape s = {.sport = 1, .dport = 2};
	unsigned payload = build(frame, &s);
	uint32_t h = flow_hash(frame, FRAME_LEN);

	(void)state;
	memset(frame + payload, 0xaa, FRAME_LEN - payload);
	assert_int_equal(flow_hash(frame, FRAME_LEN), h);
	for (unsigned tags = 0; tags <= 2; tags++)
		assert_int_equal(
		    hash_of((struct shape){.tags = tags, .mac = 7, .sport = 1, .dport = 2}), h);
}

static void ports_are_found_behind_options(void **state)
{
	(void)state;
	for (unsigned options = 0; options <= 10; options++) {
		struct shape a = {.options = options, .sport = 1, .dport = 2};
		struct shape b = {.options = options, .sport = 3, .dport = 2};
		const struct shape plain = {.sport = 1, .dport = 2};

		assert_int_not_equal(hash_of(a), hash_of(b));
		assert_int_equal(hash_of(a), hash_of(plain));
	}
}

static void all_fragments_of_a_datagram_stay_together(void **state)
{
	const uint16_t fragments[] = {0x2000, 0x2001, 0x00b9, 0x1fff, 0x3fff};
	const struct shape first = {.proto = UDP, .fragment = 0x2000, .sport = 1, .dport = 2};
	struct shape other = first, whole = first;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(fragments); i++) {
		other.fragment = fragments[i];
		other.sport = 5000 + i; /* in fragments but the first these bytes are payload */
		assert_int_equal(hash_of(first), hash_of(other));
	}
	other.src = 9;
	assert_int_not_equal(hash_of(first), hash_of(other));
	/* A frame with the flag "do not fragment" is not a fragment. */
	whole.fragment = 0x4000;
	other = whole;
	other.sport = 3;
	assert_int_not_equal(hash_of(whole), hash_of(other));
}

static void what_has_no_ports_is_not_split_by_its_payload(void **state)
{
	struct shape s = {.proto = ICMP, .sport = 1}, t = {.proto = ICMP, .sport = 2};

	(void)state;
	assert_int_equal(hash_of(s), hash_of(t));
	s.ipv6 = t.ipv6 = true;
	s.proto = t.proto = 44; /* IPv6 fragment header */
	assert_int_equal(hash_of(s), hash_of(t));
	t.src = 1;
	assert_int_not_equal(hash_of(s), hash_of(t));
}

static void other_frames_go_by_macs_and_ethertype(void **state)
{
	uint8_t arp[FRAME_LEN] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x06};
	uint32_t h = flow_hash(arp, sizeof(arp));

	(void)state;
	arp[20] = 1;
	assert_int_equal(flow_hash(arp, sizeof(arp)), h);
	for (unsigned i = 0; i < 14; i++) {
		arp[i] ^= 0x10;
		assert_int_not_equal(flow_hash(arp, sizeof(arp)), h);
		arp[i] ^= 0x10;
	}
}

/*
 * Hash every length of every shape in memory of exactly that size: the sanitizer detects a read
 * behind the end.
 */
static void nothing_behind_the_end_is_read(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 3 * 2 * 16; k++) {
		const struct shape s = {.tags = k % 3, .ipv6 = k / 3 % 2, .options = k / 6 % 11};
		uint8_t frame[FRAME_LEN];

		build(frame, &s);
		for (unsigned len = 0; len <= FRAME_LEN; len++) {
			uint8_t *exact = malloc(len ? len : 1);
			uint32_t h;

			assert_non_null(exact);
			memcpy(exact, frame, len);
			h = flow_hash(exact, len);
			free(exact);
			/* Bytes behind the end do not change the hash. */
			memset(frame + len, 0x5a, FRAME_LEN - len);
			assert_int_equal(flow_hash(frame, len), h);
			build(frame, &s);
		}
	}
}

static void headers_that_lie_are_survived(void **state)
{
	uint8_t frame[FRAME_LEN];
	const struct shape s = {.sport = 1};

	(void)state;
	build(frame, &s);
	for (unsigned first = 0; first < 256; first++) {
		uint8_t *exact = malloc(34);

		assert_non_null(exact);
		memcpy(exact, frame, 34);
		exact[14] = first; /* version and header length */
		flow_hash(exact, 34);
		free(exact);
	}
	/* The frame has more tags than are skipped. Only its first bytes count. */
	for (unsigned at = 12; at + 1 < FRAME_LEN; at += 4)
		store16(frame + at, 0x8100);
	assert_int_equal(flow_hash(frame, FRAME_LEN), flow_hash(frame, 24));
}

/* Are the flows spread evenly over the queues? */
static void assert_even(const uint32_t queue[QUEUES])
{
	for (unsigned q = 0; q < QUEUES; q++) {
		assert_true(queue[q] > FLOWS / QUEUES * 3 / 4);
		assert_true(queue[q] < FLOWS / QUEUES * 5 / 4);
	}
}

static void neighbouring_flows_spread_evenly_by_the_high_bits(void **state)
{
	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		uint32_t by_port[QUEUES] = {0}, by_address[QUEUES] = {0};

		for (unsigned n = 0; n < FLOWS; n++) {
			struct shape p = {.ipv6 = v6, .sport = 32768 + n, .dport = 80};
			struct shape a = {.ipv6 = v6, .src = 0x0a000000 + n, .dst = 0x0a010001};

			by_port[(uint64_t)hash_of(p) * QUEUES >> 32]++;
			by_address[(uint64_t)hash_of(a) * QUEUES >> 32]++;
		}
		assert_even(by_port);
		assert_even(by_address);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(addresses_and_ports_tell_flows_apart),
	    cmocka_unit_test(the_source_port_counts_if_the_head_ends_behind_it),
	    cmocka_unit_test(macs_tags_and_payload_do_not_split_an_ip_flow),
	    cmocka_unit_test(ports_are_found_behind_options),
	    cmocka_unit_test(all_fragments_of_a_datagram_stay_together),
	    cmocka_unit_test(what_has_no_ports_is_not_split_by_its_payload),
	    cmocka_unit_test(other_frames_go_by_macs_and_ethertype),
	    cmocka_unit_test(nothing_behind_the_end_is_read),
	    cmocka_unit_test(headers_that_lie_are_survived),
	    cmocka_unit_test(neighbouring_flows_spread_evenly_by_the_high_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
