/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * If a guest accepts an offload, it gets frames with this offload. For other guests the switch
 * finishes the frames in software. A frame that cannot be finished is dropped and counted.
 */
#include "functional.h"
#include "packet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SENDER, CAPABLE, PLAIN, N };

struct lab {
	struct switch_process sw;
	struct net_driver *nd[N];
	uint8_t mac[N][6];
	uint64_t random;
	uint8_t frame[PACKET_MAX], together[PACKET_MAX];
};

#define TCP4(size, type, mss) \
	{ \
		false, true, size, type, mss \
	}
#define TCP6(size, type, mss) \
	{ \
		true, true, size, type, mss \
	}
#define UDP4(size, type, mss) \
	{ \
		false, false, size, type, mss \
	}
#define UDP6(size, type, mss) \
	{ \
		true, false, size, type, mss \
	}
#define TSO4 VIRTIO_NET_HDR_GSO_TCPV4
#define TSO6 VIRTIO_NET_HDR_GSO_TCPV6
#define UFO  VIRTIO_NET_HDR_GSO_UDP
#define USO  VIRTIO_NET_HDR_GSO_UDP_L4
#define ECN  VIRTIO_NET_HDR_GSO_ECN

static const struct packet packets[] = {
    TCP4(0, 0, 0),
    TCP4(1, 0, 0),
    TCP4(1460, 0, 0),
    TCP6(0, 0, 0),
    TCP6(999, 0, 0),
    UDP4(1, 0, 0),
    UDP4(1472, 0, 0),
    UDP6(5, 0, 0),
    UDP6(1452, 0, 0),
    TCP4(1461, TSO4, 1460),
    TCP4(2920, TSO4, 1460),
    TCP4(64000, TSO4, 1460),
    TCP4(777, TSO4, 88),
    TCP4(9000, TSO4, 536),
    TCP4(30001, TSO4 | ECN, 1448),
    TCP4(100, TSO4, 1460),
    TCP6(1441, TSO6, 1440),
    TCP6(64000, TSO6, 1440),
    TCP6(20001, TSO6 | ECN, 999),
    UDP4(1473, USO, 1472),
    UDP4(63000, USO, 1400),
    UDP6(63001, USO, 1000),
    UDP6(300, USO, 88),
    UDP4(8000, UFO, 1480),
    UDP4(60000, UFO, 1472),
    UDP6(20000, UFO, 1448),
};

/* The text of a failure, with a description of the packet. */
static const char *of(const struct packet *p, const char *what)
{
	static char text[128];

	snprintf(text, sizeof(text), "IPv%u %s, %u bytes, gso type %#x size %u: %s", p->v6 ? 6 : 4,
	    p->tcp ? "TCP" : "UDP", p->payload, p->gso_type, p->gso_size, what);
	return text;
}

static int lab_setup(void **state)
{
	struct lab *l = calloc(1, sizeof(*l));

	switch_start(&l->sw, N, 1, false);
	for (unsigned i = 0; i < N; i++) {
		uint64_t offload = FEATURES_OFFLOAD, csum = VIRTIO_BIT(NET_F_CSUM);
		struct net_config c =
		    usual_config((i == CAPABLE ? FEATURES_PACKED : FEATURES_BASE) |
			    (i == PLAIN ? csum : offload),
			1);

		c.ring_size = 1024;
		l->nd[i] = attach(&l->sw, i, &c);
		station_mac(l->mac[i], i, 0);
	}
	must(VIRTIO_HAS(l->nd[SENDER]->fe.features, NET_F_HOST_TSO4), "no TSO4 is offered");
	introduce(l->nd, N);
	*state = l;
	return 0;
}

static int lab_teardown(void **state)
{
	struct lab *l = *state;

	switch_finish(&l->sw);
	for (unsigned i = 0; i < N; i++)
		net_driver_destroy(l->nd[i]);
	free(l);
	return 0;
}

static void test_a_capable_guest_gets_one_frame_with_its_header(void **state)
{
	struct lab *l = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(packets); i++) {
		struct virtio_net_hdr hdr;
		struct net_frame f;
		uint32_t len = packet_build(
		    &packets[i], l->mac[CAPABLE], l->mac[SENDER], &l->random, l->frame, &hdr);

		send_surely(l->nd[SENDER], 0, l->frame, len, &hdr, NULL);
		must(receive_within(l->nd[CAPABLE], 0, &f, 1000),
		    of(&packets[i], "the frame does not arrive"));
		must_equal(f.len, len, "length of the frame");
		must(memcmp(f.bytes, l->frame, len) == 0, "the bytes of a frame changed");
		must_equal(f.hdr.flags, hdr.flags, "flags");
		must_equal(f.hdr.gso_type, hdr.gso_type, "gso_type");
		must_equal(f.hdr.csum_start, hdr.csum_start, "csum_start");
		must_equal(f.hdr.csum_offset, hdr.csum_offset, "csum_offset");
		if (hdr.gso_type)
			must_equal(f.hdr.gso_size, hdr.gso_size, "gso_size");
		must_equal(f.hdr.num_buffers, (len + 12 + 2047) / 2048, "num_buffers");
		must(!receive_within(l->nd[CAPABLE], 0, &f, 10), "a frame too many");
	}
}

/* Receive frames until they contain the whole payload, each at the offset that its headers say. */
static void expect_payload(struct lab *l, const struct packet *p, uint32_t len)
{
	bool fragments = p->gso_type == UFO;
	/* The UDP header is part of what is divided into fragments. */
	uint32_t skip = fragments ? packet_headers(p) - 8 : packet_headers(p);
	uint32_t total = len - skip, got = 0;
	uint32_t unit = p->gso_size + (fragments ? packet_headers(p) : 0);

	do {
		struct packet_part part;
		struct net_frame f;
		const char *wrong;

		must(receive_within(l->nd[PLAIN], 0, &f, 1000), of(p, "a segment does not arrive"));
		wrong = packet_check(f.bytes, f.len);
		must(wrong == NULL, of(p, wrong ? wrong : ""));
		must_equal(f.hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, "NEEDS_CSUM");
		must_equal(f.hdr.gso_type, 0, "gso_type");
		part = packet_part(p, f.bytes, f.len, got);
		must_equal(part.offset, got, "where a segment belongs");
		must(part.len <= total - got, "more payload than was sent");
		must(!p->gso_type || part.len <= unit, "a segment is too large");
		memcpy(l->together + got, part.bytes, part.len);
		got += part.len;
		if (p->tcp || fragments)
			must_equal(part.last, got == total, "mark of the last segment");
	} while (got < total);
	if (!fragments) {
		must(memcmp(l->together, l->frame + skip, total) == 0, "the payload changed");
		return;
	}
	must(memcmp(l->together + 8, l->frame + skip + 8, total - 8) == 0, "the payload changed");
	/* The checksum of the reassembled datagram must be right. */
	memcpy(l->frame + skip, l->together, 8);
	must(packet_check(l->frame, len) == NULL, "the checksum of the datagram is wrong");
}

static void test_a_plain_guest_gets_segments_that_are_right(void **state)
{
	struct lab *l = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(packets); i++) {
		const struct packet *p = &packets[i];
		struct virtio_net_hdr hdr;
		struct net_frame f;
		uint32_t len =
		    packet_build(p, l->mac[PLAIN], l->mac[SENDER], &l->random, l->frame, &hdr);

		send_surely(l->nd[SENDER], 0, l->frame, len, &hdr, NULL);
		expect_payload(l, p, len);
		must(!receive_within(l->nd[PLAIN], 0, &f, 10), "a segment too many");
	}
}

static void test_a_flood_gives_each_guest_what_it_takes(void **state)
{
	static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};
	static const struct packet p = TCP4(20000, TSO4, 1460);
	struct lab *l = *state;
	struct virtio_net_hdr hdr;
	struct net_frame f;
	uint32_t len = packet_build(&p, all, l->mac[SENDER], &l->random, l->frame, &hdr);

	send_surely(l->nd[SENDER], 0, l->frame, len, &hdr, NULL);
	expect_payload(l, &p, len);
	must(receive_within(l->nd[CAPABLE], 0, &f, 1000), "the frame does not arrive");
	must(f.len == len && memcmp(f.bytes, l->frame, len) == 0, "the bytes of a frame changed");
}

static void test_requests_that_cannot_be_are_dropped_and_counted(void **state)
{
	/* What is written over the header of a good 3000-byte TCP packet with TSO4. */
	static const struct {
		const char *what;
		struct virtio_net_hdr hdr;
	} bad[] = {
	    {"segments of 0 bytes", {1, TSO4, 54, 0, 34, 16, 0}},
	    {"segments of 1 byte", {1, TSO4, 54, 1, 34, 16, 0}},
	    {"unknown type", {1, 77, 54, 1460, 34, 16, 0}},
	    {"TSO6 of IPv4", {1, TSO6, 54, 1460, 34, 16, 0}},
	    {"USO of TCP", {1, USO, 54, 1460, 34, 6, 0}},
	    {"TSO without checksum", {0, TSO4, 54, 1460, 0, 0, 0}},
	    {"checksum begins behind the end", {1, 0, 0, 0, 60000, 16, 0}},
	    {"checksum lies behind the end", {1, 0, 0, 0, 34, 60000, 0}},
	    {"checksum offset at the very end", {1, 0, 0, 0, 3053, 0, 0}},
	    {"checksum begins and lies at 65535", {1, 0, 0, 0, 65535, 65535, 0}},
	};
	static const struct packet p = TCP4(3000, TSO4, 1460);
	struct lab *l = *state;
	struct virtio_net_hdr hdr;
	struct net_frame f;
	json_t *stats;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		uint32_t len =
		    packet_build(&p, l->mac[PLAIN], l->mac[SENDER], &l->random, l->frame, &hdr);

		send_surely(l->nd[SENDER], 0, l->frame, len, &bad[i].hdr, NULL);
		must(!receive_within(l->nd[PLAIN], 0, &f, 20), bad[i].what);
		send_surely(l->nd[SENDER], 0, l->frame, len, &hdr, NULL);
		expect_payload(l, &p, len);
	}
	stats = switch_stats(&l->sw);
	must_equal(switch_drops(stats, SENDER, "ingress", "bad-offload") +
		switch_drops(stats, PLAIN, "egress", "cannot-segment"),
	    ARRAY_SIZE(bad), "drops of impossible requests");
	json_decref(stats);
}

#define LAB(test) cmocka_unit_test_setup_teardown(test, lab_setup, lab_teardown)

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
	    LAB(test_a_capable_guest_gets_one_frame_with_its_header),
	    LAB(test_a_plain_guest_gets_segments_that_are_right),
	    LAB(test_a_flood_gives_each_guest_what_it_takes),
	    LAB(test_requests_that_cannot_be_are_dropped_and_counted),
	};

	if (argc > 1)
		switch_binary(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
