/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Software offloads against a simple reference: checksums are verified by the textbook sum over
 * network-order words, and the payloads of all segments must add up to the original payload.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "datapath/offload.h"
#include "datapath/port.h"

#define FRAME 65664

struct shape {
	bool ipv6, udp;
	unsigned tags, options; /* VLAN tags; bytes of TCP options */
	uint32_t payload;
};

struct built {
	uint8_t *frame;
	uint32_t len, l3, l4, header;
};

static uint32_t rng = 12345;

static uint32_t next_random(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 17;
	rng ^= rng << 5;
	return rng;
}

static unsigned get16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = v >> 8;
	p[1] = v;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static uint32_t oracle_add(uint32_t sum, const uint8_t *p, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++) {
		sum += i % 2 ? p[i] : p[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

static uint32_t oracle_pseudo(const uint8_t *ip, bool ipv6, unsigned proto, uint32_t len)
{
	uint8_t tail[4] = {0, proto, len >> 8, len};
	uint32_t sum = ipv6 ? oracle_add(0, ip + 8, 32) : oracle_add(0, ip + 12, 8);

	return oracle_add(sum, tail, 4);
}

/* A frame as a guest's stack makes it: partial checksum in place, pseudo header only. */
static struct built build(const struct shape *s)
{
	struct built b = {.frame = calloc(1, FRAME)};
	unsigned proto = s->udp ? 17 : 6, l4_len = s->udp ? 8 : 20 + s->options;
	uint8_t *p = b.frame;

	for (unsigned i = 0; i < 12; i++)
		p[i] = next_random();
	for (unsigned t = 0; t < s->tags; t++)
		put16(p + 12 + 4 * t, s->tags == 2 && t == 0 ? 0x88a8 : 0x8100);
	b.l3 = 14 + 4 * s->tags;
	b.l4 = b.l3 + (s->ipv6 ? 40 : 20);
	b.header = b.l4 + l4_len;
	b.len = b.header + s->payload;
	put16(p + b.l3 - 2, s->ipv6 ? 0x86dd : 0x0800);
	uint8_t *ip = p + b.l3, *l4 = p + b.l4;

	for (uint32_t i = b.l3; i < b.len; i++)
		p[i] = next_random();
	ip[0] = s->ipv6 ? 0x60 : 0x45;
	if (s->ipv6) {
		put16(ip + 4, (l4_len + s->payload) & 0xffff);
		ip[6] = proto;
	} else {
		put16(ip + 2, (20 + l4_len + s->payload) & 0xffff);
		put16(ip + 6, 0x4000);
		ip[9] = proto;
		put16(ip + 10, 0);
		put16(ip + 10, ~oracle_add(0, ip, 20) & 0xffff);
	}
	if (s->udp)
		put16(l4 + 4, (8 + s->payload) & 0xffff);
	else
		l4[12] = (l4_len / 4) << 4;
	put16(l4 + (s->udp ? 6 : 16), oracle_pseudo(ip, s->ipv6, proto, l4_len + s->payload));
	return b;
}

static struct virtio_net_hdr header_for(
    const struct built *b, const struct shape *s, unsigned type, unsigned size)
{
	return (struct virtio_net_hdr){
	    .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
	    .gso_type = type,
	    .gso_size = size,
	    .csum_start = b->l4,
	    .csum_offset = s->udp ? 6 : 16,
	};
}

static void assert_checksums(const uint8_t *frame, uint32_t len, const struct built *b, bool ipv6)
{
	const uint8_t *ip = frame + b->l3;
	unsigned proto = ipv6 ? ip[6] : ip[9];

	if (!ipv6)
		assert_int_equal(oracle_add(0, ip, 20), 0xffff);
	uint32_t sum = oracle_pseudo(ip, ipv6, proto, len - b->l4);

	assert_int_equal(oracle_add(sum, frame + b->l4, len - b->l4), 0xffff);
}

static uint32_t join(const struct gso_segment *s, uint8_t *to)
{
	memcpy(to, s->header, s->header_len);
	memcpy(to + s->header_len, s->payload, s->payload_len);
	return s->header_len + s->payload_len;
}

static void check_segments(const struct shape *s, unsigned type, unsigned size)
{
	struct built b = build(s);
	struct virtio_net_hdr net = header_for(&b, s, type, size);
	uint8_t *original = malloc(FRAME), out[FRAME];
	struct gso_segment seg;
	struct gso g;
	uint32_t got = 0, n = 0;

	memcpy(original, b.frame, FRAME);
	assert_int_equal(gso_begin(&g, b.frame, b.len, &net), 0);
	for (uint32_t k = 0; k < gso_count(&g); k++) {
		gso_make(&g, k, &seg);
		assert_int_equal(gso_len(&g, k), seg.header_len + seg.payload_len);

		uint32_t len = join(&seg, out);
		const uint8_t *l4 = out + b.l4;

		assert_int_equal(seg.header_len, b.header);
		assert_true(seg.payload_len <= size);
		assert_memory_equal(out, original, b.l3);
		assert_memory_equal(out + b.header, original + b.header + got, seg.payload_len);
		assert_checksums(out, len, &b, s->ipv6);
		if (s->ipv6)
			assert_int_equal(get16(out + b.l3 + 4), len - b.l3 - 40);
		else
			assert_int_equal(get16(out + b.l3 + 2), len - b.l3);
		if (!s->ipv6)
			assert_int_equal(
			    get16(out + b.l3 + 4), (get16(original + b.l3 + 4) + n) & 0xffff);
		if (s->udp) {
			assert_int_equal(get16(l4 + 4), len - b.l4);
		} else {
			bool last = got + seg.payload_len == s->payload;
			uint8_t flags = original[b.l4 + 13] & (last ? 0xff : ~0x09);

			assert_int_equal(get32(l4 + 4), get32(original + b.l4 + 4) + got);
			assert_int_equal(l4[13], n ? flags & 0x7f : flags);
		}
		got += seg.payload_len;
		n++;
	}
	assert_int_equal(got, s->payload);
	assert_int_equal(n, s->payload ? (s->payload + size - 1) / size : 1);
	free(original);
	free(b.frame);
}

static void segments_carry_the_payload_with_right_headers(void **state)
{
	const uint32_t payloads[] = {0, 1, 7, 536, 1448, 1449, 2896, 9001, 64000};
	const unsigned sizes[] = {536, 1448, 8948};

	(void)state;
	for (unsigned v = 0; v < 2 * 2 * 3 * 2; v++) {
		struct shape s = {.ipv6 = v & 1, .udp = v & 2, .tags = v / 4 % 3};

		s.options = v >= 12 && !s.udp ? 12 : 0;
		for (unsigned p = 0; p < 9; p++) {
			for (unsigned z = 0; z < 3; z++) {
				s.payload = payloads[p];
				check_segments(&s,
				    s.udp ? VIRTIO_NET_HDR_GSO_UDP_L4
					  : (s.ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6
						    : VIRTIO_NET_HDR_GSO_TCPV4),
				    sizes[z]);
			}
		}
	}
}

static void check_fragments(bool ipv6, uint32_t payload, unsigned size)
{
	struct shape s = {.ipv6 = ipv6, .udp = true, .payload = payload};
	struct built b = build(&s);
	struct virtio_net_hdr net = header_for(&b, &s, VIRTIO_NET_HDR_GSO_UDP, size);
	uint8_t *whole = calloc(1, FRAME), out[FRAME];
	uint32_t end = 0;
	struct gso_segment seg;
	struct gso g;
	bool more = true;

	assert_int_equal(gso_begin(&g, b.frame, b.len, &net), 0);
	for (uint32_t k = 0; k < gso_count(&g); k++) {
		gso_make(&g, k, &seg);
		assert_int_equal(gso_len(&g, k), seg.header_len + seg.payload_len);

		uint32_t len = join(&seg, out), offset, data = b.l4;
		const uint8_t *ip = out + b.l3;

		assert_true(more);
		if (ipv6) {
			const uint8_t *f = out + b.l4;

			assert_int_equal(ip[6], 44);
			assert_int_equal(f[0], 17);
			assert_int_equal(get16(ip + 4), len - b.l3 - 40);
			offset = get16(f + 2) & ~7u;
			more = get16(f + 2) & 1;
			data += 8;
		} else {
			assert_int_equal(oracle_add(0, ip, 20), 0xffff);
			assert_int_equal(get16(ip + 2), len - b.l3);
			offset = (get16(ip + 6) & 0x1fff) * 8;
			more = get16(ip + 6) & 0x2000;
		}
		assert_int_equal(offset, end);
		assert_true(len - data <= size);
		memcpy(whole + b.l4 + offset, out + data, len - data);
		end += len - data;
	}
	assert_false(more);
	assert_int_equal(end, 8 + payload);
	/* The datagram that comes out is the one that went in, its checksum complete. */
	memcpy(whole, b.frame, b.l4);
	assert_memory_equal(whole, b.frame, b.len);
	uint32_t sum = oracle_pseudo(whole + b.l3, ipv6, 17, end);

	assert_int_equal(oracle_add(sum, whole + b.l4, end), 0xffff);
	free(whole);
	free(b.frame);
}

static void fragments_make_up_the_datagram(void **state)
{
	const uint32_t payloads[] = {1, 1472, 1473, 4000, 65000};

	(void)state;
	for (unsigned p = 0; p < 5; p++) {
		check_fragments(false, payloads[p], 1480);
		check_fragments(true, payloads[p], 1452);
	}
}

static void partial_checksum_is_completed(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 400; v++) {
		struct shape s = {.ipv6 = v & 1, .udp = v & 2, .tags = v % 3, .payload = v};
		struct built b = build(&s);
		struct virtio_net_hdr net = header_for(&b, &s, VIRTIO_NET_HDR_GSO_NONE, 0);

		assert_int_equal(offload_checksum(b.frame, b.len, &net), 0);
		assert_checksums(b.frame, b.len, &b, s.ipv6);
		free(b.frame);
	}
}

/* A UDP checksum that comes out as zero must be sent as all ones (RFC 768). */
static void udp_zero_checksum_becomes_ones(void **state)
{
	struct shape s = {.udp = true, .payload = 2};
	struct built b = build(&s);
	struct virtio_net_hdr net = header_for(&b, &s, VIRTIO_NET_HDR_GSO_NONE, 0);

	(void)state;
	memset(b.frame + b.header, 0, 2);
	put16(b.frame + b.header, ~oracle_add(0, b.frame + b.l4, b.len - b.l4) & 0xffff);
	assert_int_equal(offload_checksum(b.frame, b.len, &net), 0);
	assert_int_equal(get16(b.frame + b.l4 + 6), 0xffff);
	free(b.frame);
}

/* Every start and offset: either refused, or the two bytes lie in the frame. ASan watches. */
static void no_checksum_request_leaves_the_frame(void **state)
{
	const uint32_t edges[] = {
	    0, 1, 13, 14, 15, 58, 59, 60, 61, 62, 63, 64, 65, 0x7fff, 0xfffe, 0xffff};

	(void)state;
	for (unsigned a = 0; a < 16; a++) {
		for (unsigned o = 0; o < 16; o++) {
			struct virtio_net_hdr net = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			    .csum_start = edges[a],
			    .csum_offset = edges[o]};
			uint8_t *frame = calloc(1, 64);
			bool good = edges[a] >= 14 && edges[a] + edges[o] + 2 <= 64;

			assert_int_equal(offload_checksum(frame, 64, &net), good ? 0 : -22);
			free(frame);
		}
	}
}

static void half_specified_requests_are_refused(void **state)
{
	const struct virtio_net_hdr requests[] = {
	    {.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 1, .gso_size = 0},
	    {.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 1, .gso_size = 7},
	    {.flags = 0, .csum_start = 34, .csum_offset = 16, .gso_type = 1, .gso_size = 1448},
	    {.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 2, .gso_size = 1448},
	    {.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 6, .gso_size = 1448},
	    {.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 0x80, .gso_size = 1448},
	    {.flags = 1, .csum_start = 34, .csum_offset = 6, .gso_type = 0x85, .gso_size = 1448},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		assert_int_equal(offload_check(&requests[i], 4000), -22);
}

/* Cut a good frame short at every length, and lie in every header byte: never out of bounds. */
static void broken_headers_are_refused_or_harmless(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 8; v++) {
		struct shape s = {.ipv6 = v & 1, .udp = v & 2, .tags = v / 4, .payload = 3000};
		struct built b = build(&s);
		unsigned type = s.udp ? (v & 4 ? 3 : 5) : (s.ipv6 ? 4 : 1);
		struct virtio_net_hdr net = header_for(&b, &s, type, 1000);

		for (uint32_t len = 0; len < b.header + 64; len++) {
			for (unsigned lie = 0; lie < 8; lie++) {
				uint8_t *frame = malloc(len + 1);
				struct gso_segment seg;
				struct gso g;
				unsigned n = 0;

				memcpy(frame, b.frame, len);
				if (lie && len)
					frame[next_random() % len] = next_random();
				if (gso_begin(&g, frame, len, &net) == 0)
					for (uint32_t k = 0; k < gso_count(&g); k++) {
						gso_make(&g, k, &seg);
						n += seg.header_len + seg.payload_len;
					}
				assert_true(n < 4 * FRAME);
				free(frame);
			}
		}
		free(b.frame);
	}
}

/* Put n bytes between the IP header and the transport header. */
static void insert(struct built *b, const uint8_t *bytes, unsigned n)
{
	memmove(b->frame + b->l4 + n, b->frame + b->l4, b->len - b->l4);
	memcpy(b->frame + b->l4, bytes, n);
	b->l4 += n;
	b->header += n;
	b->len += n;
}

static void headers_between_ip_and_tcp_are_kept(void **state)
{
	/* Destination options, then hop-by-hop of 16 bytes; and a padded IPv4 option. */
	const uint8_t extensions[24] = {0, 0, 1, 4, [8] = 6, 1, 1, 12};
	const uint8_t options[4] = {0x94, 4, 0, 0};

	(void)state;
	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
		struct shape s = {.ipv6 = ipv6, .tags = 1, .payload = 3001};
		struct built b = build(&s);
		uint8_t out[FRAME], *ip = b.frame + b.l3;
		struct gso_segment seg;
		struct gso g;
		uint32_t got = 0;

		if (ipv6) {
			insert(&b, extensions, sizeof(extensions));
			ip[6] = 60;
		} else {
			insert(&b, options, sizeof(options));
			ip[0] = 0x46;
		}
		struct virtio_net_hdr net = header_for(
		    &b, &s, ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4, 1000);

		assert_int_equal(gso_begin(&g, b.frame, b.len, &net), 0);
		for (uint32_t k = 0; k < gso_count(&g); k++) {
			gso_make(&g, k, &seg);
			assert_int_equal(gso_len(&g, k), seg.header_len + seg.payload_len);

			uint32_t len = join(&seg, out), l4_len = len - b.l4;
			uint32_t sum = oracle_pseudo(out + b.l3, ipv6, 6, l4_len);

			assert_int_equal(oracle_add(sum, out + b.l4, l4_len), 0xffff);
			if (ipv6) {
				assert_int_equal(get16(out + b.l3 + 4), len - b.l3 - 40);
				assert_memory_equal(out + b.l3 + 40, extensions, 24);
			} else {
				assert_int_equal(get16(out + b.l3 + 2), len - b.l3);
				assert_int_equal(oracle_add(0, out + b.l3, 24), 0xffff);
				assert_memory_equal(out + b.l3 + 20, options, 4);
			}
			assert_memory_equal(
			    out + b.header, b.frame + b.header + got, seg.payload_len);
			got += seg.payload_len;
		}
		assert_int_equal(got, s.payload);
		free(b.frame);
	}
}

/*
 * A chain of extension headers is cut at every place. There is no checksum request, so only the
 * parser can keep the code from reading behind the end of the frame. The address sanitizer detects
 * such a read.
 */
static void a_cut_chain_of_extension_headers_is_refused(void **state)
{
	const uint8_t extensions[24] = {0, 0, 1, 4, [8] = 17, 1, 1, 12};
	const struct virtio_net_hdr net = {.gso_type = VIRTIO_NET_HDR_GSO_UDP, .gso_size = 1000};
	struct shape s = {.ipv6 = true, .udp = true, .payload = 100};
	struct built b = build(&s);

	(void)state;
	insert(&b, extensions, sizeof(extensions));
	b.frame[b.l3 + 6] = 60;
	for (uint32_t len = 14; len < b.header; len++) {
		uint8_t *frame = malloc(len);
		struct gso g;

		memcpy(frame, b.frame, len);
		assert_int_equal(gso_begin(&g, frame, len, &net), -22);
		free(frame);
	}
	free(b.frame);
}

/* What the request says of the frame and what the frame says of itself. */
static void a_request_that_contradicts_the_frame_is_refused(void **state)
{
	const struct {
		bool ipv6, udp;
		uint8_t type;
		int start, offset;  /* added to what is right */
		unsigned at, value; /* and this byte of the IP header set */
		int expect;
	} table[] = {
	    {false, false, 1, 0, 0, 0, 0x45, 0}, {false, false, 1, -1, 0, 0, 0x45, -22},
	    {false, false, 1, 4, 0, 0, 0x45, -22}, {false, false, 1, 0, -14, 0, 0x45, -22},
	    {false, false, 4, 0, 0, 0, 0x45, -22}, /* TCPv6 over IPv4 */
	    {false, false, 5, 0, 0, 0, 0x45, -22}, /* USO over TCP */
	    {false, false, 1, 0, 0, 0, 0x44, -22}, /* header of 16 bytes */
	    {false, false, 1, 0, 0, 0, 0x65, -22}, /* version 6 in IPv4 */
	    {false, false, 1, 0, 0, 6, 0x20, -22}, /* more fragments */
	    {false, false, 1, 0, 0, 7, 1, -22},    /* a later fragment */
	    {true, false, 4, 0, 0, 0, 0x60, 0}, {true, false, 4, 0, 0, 6, 44, -22}, /* a fragment */
	    {true, false, 1, 0, 0, 0, 0x60, -22}, /* TCPv4 over IPv6 */
	    {true, true, 5, 0, 0, 0, 0x60, 0}, {true, true, 5, 0, 10, 0, 0x60, -22},
	    {true, true, 4, 0, 0, 0, 0x60, -22}, /* TCPv6 over UDP */
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct shape s = {.ipv6 = table[i].ipv6, .udp = table[i].udp, .payload = 3000};
		struct built b = build(&s);
		struct virtio_net_hdr net = header_for(&b, &s, table[i].type, 1000);
		struct gso g;

		net.csum_start += table[i].start;
		net.csum_offset += table[i].offset;
		b.frame[b.l3 + table[i].at] = table[i].value;
		assert_int_equal(gso_begin(&g, b.frame, b.len, &net), table[i].expect);
		free(b.frame);
	}
}

/* The largest gso_size there is: just as much as an IP length can say, and a byte more. */
static void results_too_long_for_ip_are_refused(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 6; v++) {
		/* TCPv4, TCPv6, USOv4, USOv6, UFOv4, UFOv6: headers that the IP length includes. */
		const unsigned types[] = {1, 4, 5, 5, 3, 3}, ip_headers[] = {40, 20, 28, 8, 28, 16};
		struct shape s = {.ipv6 = v & 1, .udp = v >= 2};

		for (unsigned over = 0; over < 2; over++) {
			s.payload = 65535 - ip_headers[v] + over;
			struct built b = build(&s);
			struct virtio_net_hdr net = header_for(&b, &s, types[v], 65535);
			struct gso g;

			assert_int_equal(gso_begin(&g, b.frame, b.len, &net), over ? -22 : 0);
			free(b.frame);
		}
	}
}

static void too_many_segments_are_refused(void **state)
{
	struct shape s = {.payload = 64000};
	struct built b = build(&s);
	struct virtio_net_hdr net = header_for(&b, &s, VIRTIO_NET_HDR_GSO_TCPV4, 8);
	struct gso g;

	(void)state;
	assert_int_equal(gso_begin(&g, b.frame, b.len, &net), -7);
	free(b.frame);
}

static void needs_name_the_offload(void **state)
{
	uint8_t v6[14] = {[12] = 0x86, [13] = 0xdd}, v4[14] = {[12] = 8};
	const struct {
		uint8_t flags, type;
		const uint8_t *head;
		uint32_t needs;
	} table[] = {
	    {0, 0, v4, 0},
	    {1, 0, v4, OFFLOAD_CSUM},
	    {1, 1, v4, OFFLOAD_CSUM | OFFLOAD_TSO4},
	    {1, 0x81, v4, OFFLOAD_CSUM | OFFLOAD_TSO4 | OFFLOAD_ECN},
	    {1, 4, v6, OFFLOAD_CSUM | OFFLOAD_TSO6},
	    {1, 5, v4, OFFLOAD_CSUM | OFFLOAD_USO4},
	    {1, 5, v6, OFFLOAD_CSUM | OFFLOAD_USO6},
	    {0, 3, v4, OFFLOAD_UFO},
	};

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		struct virtio_net_hdr net = {.flags = table[i].flags, .gso_type = table[i].type};

		assert_int_equal(offload_needs(&net, table[i].head, 14), table[i].needs);
	}
}

static bool agrees(const struct built *b, struct virtio_net_hdr net)
{
	return offload_agrees(&net, b->frame, 64);
}

/* The header that drivers send agrees with every kind of frame, and no other kind's does. */
static void segmentation_must_be_of_the_frame_s_own_kind(void **state)
{
	const uint8_t kinds[] = {VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_TCPV6,
	    VIRTIO_NET_HDR_GSO_UDP, VIRTIO_NET_HDR_GSO_UDP_L4};

	(void)state;
	for (unsigned v = 0; v < 12; v++) {
		struct shape s = {.ipv6 = v & 1, .udp = v & 2, .tags = v / 4, .payload = 3000};
		struct built b = build(&s);

		for (unsigned k = 0; k < 4; k++) {
			struct virtio_net_hdr net = header_for(&b, &s, kinds[k], 1000);
			bool right = s.udp ? k >= 2 : k == s.ipv6;

			/*
			 * If a frame has two tags, the head contains only a part of the IPv6
			 * header. But it contains the field with the protocol.
			 */
			assert_int_equal(agrees(&b, net), right);
			net.hdr_len = 0;
			assert_int_equal(agrees(&b, net), right);
			net.gso_type |= k < 2 ? VIRTIO_NET_HDR_GSO_ECN : 0;
			assert_int_equal(agrees(&b, net), right);
			net.csum_start++;
			assert_false(agrees(&b, net));
			net.csum_start--;
			net.csum_offset += 2;
			assert_false(agrees(&b, net));
		}
		free(b.frame);
	}
}

static void what_cannot_be_seen_agrees(void **state)
{
	struct shape s = {.ipv6 = true, .payload = 3000};
	struct built b = build(&s);
	struct virtio_net_hdr net = header_for(&b, &s, VIRTIO_NET_HDR_GSO_TCPV6, 1000);

	(void)state;
	for (unsigned len = 0; len <= 64; len++)
		assert_true(offload_agrees(&net, b.frame, len));
	b.frame[b.l3 + 6] = 60; /* destination options */
	net.csum_start += 8;
	assert_true(agrees(&b, net));
	b.frame[b.l3 + 6] = 47; /* GRE */
	assert_false(agrees(&b, net));
	b.frame[b.l3 + 6] = 6;
	net.csum_start -= 8;
	assert_true(agrees(&b, net));
	b.frame[b.l3] = 0x45;
	assert_false(agrees(&b, net));
	b.frame[12] = 0x08; /* ARP */
	b.frame[13] = 0x06;
	assert_false(agrees(&b, net));
	for (unsigned tag = 0; tag < 3; tag++)
		memcpy(b.frame + 12 + 4 * tag, "\x81\0\0\1", 4);
	assert_true(agrees(&b, net));
	free(b.frame);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(segmentation_must_be_of_the_frame_s_own_kind),
	    cmocka_unit_test(what_cannot_be_seen_agrees),
	    cmocka_unit_test(segments_carry_the_payload_with_right_headers),
	    cmocka_unit_test(fragments_make_up_the_datagram),
	    cmocka_unit_test(partial_checksum_is_completed),
	    cmocka_unit_test(udp_zero_checksum_becomes_ones),
	    cmocka_unit_test(no_checksum_request_leaves_the_frame),
	    cmocka_unit_test(half_specified_requests_are_refused),
	    cmocka_unit_test(broken_headers_are_refused_or_harmless),
	    cmocka_unit_test(headers_between_ip_and_tcp_are_kept),
	    cmocka_unit_test(a_cut_chain_of_extension_headers_is_refused),
	    cmocka_unit_test(a_request_that_contradicts_the_frame_is_refused),
	    cmocka_unit_test(results_too_long_for_ip_are_refused),
	    cmocka_unit_test(too_many_segments_are_refused),
	    cmocka_unit_test(needs_name_the_offload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
