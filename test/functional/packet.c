/* SPDX-License-Identifier: BSD-3-Clause */
#include "packet.h"

#include <string.h>

#define ETH      14
#define SEQUENCE 0xfffffff0u /* wraps within the first segment */

static uint16_t get16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = v >> 8;
	p[1] = v;
}

/* RFC 1071, two bytes at a time. */
static uint16_t sum(uint32_t start, const uint8_t *p, uint32_t len)
{
	uint64_t s = start;

	for (; len > 1; p += 2, len -= 2)
		s += get16(p);
	if (len)
		s += p[0] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

static uint16_t pseudo_sum(bool v6, const uint8_t *ip, uint8_t protocol, uint32_t l4_len)
{
	uint16_t s = v6 ? sum(0, ip + 8, 32) : sum(0, ip + 12, 8);

	return sum(s + protocol + (l4_len >> 16) + (l4_len & 0xffff), NULL, 0);
}

static unsigned ip_header(const struct packet *p)
{
	return p->v6 ? 40 : 20;
}

unsigned packet_headers(const struct packet *p)
{
	return ETH + ip_header(p) + (p->tcp ? 20 : 8);
}

static void build_ip(const struct packet *p, uint8_t *ip, uint32_t l4_len)
{
	uint8_t protocol = p->tcp ? 6 : 17;

	memset(ip, 0, ip_header(p));
	if (p->v6) {
		ip[0] = 0x60;
		put16(ip + 4, l4_len);
		ip[6] = protocol;
		ip[7] = 64;
		ip[8] = ip[24] = 0xfd;
		ip[23] = 1;
		ip[39] = 2;
		return;
	}
	ip[0] = 0x45;
	put16(ip + 2, 20 + l4_len);
	put16(ip + 4, 0x1234);
	ip[8] = 64;
	ip[9] = protocol;
	memcpy(ip + 12, "\x0a\0\0\x01\x0a\0\0\x02", 8);
	put16(ip + 10, ~sum(0, ip, 20));
}

static void build_l4(const struct packet *p, uint8_t *l4, uint32_t l4_len)
{
	memset(l4, 0, p->tcp ? 20 : 8);
	put16(l4, 4000);
	put16(l4 + 2, 5001);
	if (!p->tcp) {
		put16(l4 + 4, l4_len);
		return;
	}
	put16(l4 + 4, SEQUENCE >> 16);
	put16(l4 + 6, SEQUENCE & 0xffff);
	l4[12] = 5 << 4;
	l4[13] = 0x10 | 0x08 | 0x01; /* ACK, PSH, FIN */
	if (p->gso_type & VIRTIO_NET_HDR_GSO_ECN)
		l4[13] |= 0x80; /* CWR */
	put16(l4 + 14, 1000);
}

uint32_t packet_build(const struct packet *p, const uint8_t dst[6], const uint8_t src[6],
    uint64_t *random, uint8_t *frame, struct virtio_net_hdr *hdr)
{
	unsigned headers = packet_headers(p), l4_at = ETH + ip_header(p);
	uint32_t l4_len = headers - l4_at + p->payload;
	uint8_t *l4 = frame + l4_at;

	memcpy(frame, dst, 6);
	memcpy(frame + 6, src, 6);
	put16(frame + 12, p->v6 ? 0x86dd : 0x0800);
	build_ip(p, frame + ETH, l4_len);
	build_l4(p, l4, l4_len);
	for (uint32_t i = 0; i < p->payload; i++) {
		*random = *random * 6364136223846793005u + 1442695040888963407u;
		frame[headers + i] = *random >> 56;
	}
	put16(l4 + (p->tcp ? 16 : 6), pseudo_sum(p->v6, frame + ETH, p->tcp ? 6 : 17, l4_len));
	*hdr = (struct virtio_net_hdr){
	    .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
	    .gso_type = p->gso_type,
	    .hdr_len = p->gso_type ? headers : 0,
	    .gso_size = p->gso_size,
	    .csum_start = l4_at,
	    .csum_offset = p->tcp ? 16 : 6,
	};
	return headers + p->payload;
}

/* Is it a piece of an IPv4 datagram? */
static bool is_fragment(const uint8_t *ip)
{
	return ip[0] >> 4 == 4 && (get16(ip + 6) & 0x3fff);
}

const char *packet_check(const uint8_t *frame, uint32_t len)
{
	const uint8_t *ip = frame + ETH;
	bool v6 = get16(frame + 12) == 0x86dd;
	uint32_t ip_len = v6 ? 40u : 20u, l4_len = len - ETH - ip_len;
	uint8_t protocol = v6 ? ip[6] : ip[9];

	if (len < ETH + ip_len + 8)
		return "too short";
	if (!v6 && sum(0, ip, 20) != 0xffff)
		return "the IPv4 header checksum is wrong";
	if (v6 ? get16(ip + 4) != l4_len : get16(ip + 2) != 20 + l4_len)
		return "the IP length is wrong";
	if (v6 && protocol == 44)
		return NULL;
	if (is_fragment(ip))
		return NULL;
	if (protocol == 17 && get16(ip + ip_len + 4) != l4_len)
		return "the UDP length is wrong";
	if (protocol == 17 && get16(ip + ip_len + 6) == 0)
		return "the UDP checksum is missing";
	if (sum(pseudo_sum(v6, ip, protocol, l4_len), ip + ip_len, l4_len) != 0xffff)
		return "the TCP or UDP checksum is wrong";
	return NULL;
}

struct packet_part packet_part(
    const struct packet *p, const uint8_t *frame, uint32_t len, uint32_t n_before)
{
	const uint8_t *ip = frame + ETH, *l4 = ip + ip_header(p);
	struct packet_part part = {.bytes = frame + packet_headers(p), .offset = n_before};

	part.len = len - packet_headers(p);
	if (p->v6 && ip[6] == 44) { /* a fragment header; offset within the UDP datagram */
		part.bytes = l4 + 8;
		part.len = len - ETH - 48;
		part.offset = get16(l4 + 2) & ~7u;
		part.last = !(l4[3] & 1);
	} else if (is_fragment(ip)) {
		part.bytes = l4;
		part.len = len - ETH - 20;
		part.offset = (get16(ip + 6) & 0x1fff) * 8u;
		part.last = !(get16(ip + 6) & 0x2000);
	} else if (p->tcp) {
		part.offset = get32(l4 + 4) - SEQUENCE;
		part.last = l4[13] & 0x01;
	}
	return part;
}
