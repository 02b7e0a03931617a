/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Software offloads.
 *
 * gso_begin() parses Ethernet, up to two VLAN tags, IPv4 or IPv6 and the transport header. It
 * checks each length against the frame before it uses it. The virtio header only says where the
 * transport header is (csum_start), and the frame itself must agree.
 *
 * gso_make() makes the headers of each GSO segment from the frame's headers. It changes lengths,
 * IPv4 id and checksum, TCP sequence number and flags, and the transport checksum over header and
 * payload. For UFO the GSO segments are IP fragments. For all other kinds they are complete
 * packets.
 *
 * All offsets have 32 bits, and the frame has at most FRAME_MAX bytes.
 */
#include "datapath/offload.h"

#include <errno.h>
#include <string.h>

#include "base/ethernet.h"
#include "datapath/port.h"

#define PROTO_TCP      6
#define PROTO_UDP      17
#define PROTO_FRAGMENT 44

#define IPV6_LEN       40
#define UDP_LEN        8
#define TCP_LEN        20
#define FRAGMENT_LEN   8
#define TCP_FLAGS      13
#define TCP_FIN        0x01
#define TCP_PSH        0x08
#define TCP_CWR        0x80
#define MORE_FRAGMENTS 0x2000
#define IP_LEN_MAX     65535

/* Offsets of the checksum in the transport header. */
#define TCP_CHECKSUM_OFFSET 16
#define UDP_CHECKSUM_OFFSET 6

/*
 * The one's complement sum of len bytes, not folded. The sums of pieces can be added if all pieces
 * but the last have an even length.
 */
static uint64_t sum_bytes(const uint8_t *p, uint32_t len)
{
	uint64_t sum = 0;

	for (; len >= 4; p += 4, len -= 4) {
		uint32_t word;

		memcpy(&word, p, 4);
		sum += word;
	}
	if (len) {
		uint32_t word = 0;

		memcpy(&word, p, len);
		sum += word;
	}
	return sum;
}

/* Fold a sum to 16 bits, in the byte order of the frame. */
static uint16_t sum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void store_checksum(uint8_t *at, uint64_t sum, bool udp)
{
	uint16_t checksum = ~sum_fold(sum);

	/* A UDP checksum of zero means that there is no checksum (RFC 768). */
	if (udp && checksum == 0)
		checksum = 0xffff;
	memcpy(at, &checksum, 2);
}

int offload_check(const struct virtio_net_hdr *net, uint32_t len)
{
	uint8_t gso = net->gso_type & ~VIRTIO_NET_HDR_GSO_ECN;
	bool partial = net->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;

	if (partial && !offload_checksum_fits(net, len))
		return -EINVAL;
	switch (gso) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return net->gso_type ? -EINVAL : 0;
	case VIRTIO_NET_HDR_GSO_TCPV4:
	case VIRTIO_NET_HDR_GSO_TCPV6:
		break;
	case VIRTIO_NET_HDR_GSO_UDP:
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		if (net->gso_type & VIRTIO_NET_HDR_GSO_ECN)
			return -EINVAL;
		break;
	default:
		return -EINVAL;
	}
	/* Segments need a checksum request. Only UFO may come with a complete checksum. */
	if (!partial && gso != VIRTIO_NET_HDR_GSO_UDP)
		return -EINVAL;
	return net->gso_size < GSO_SIZE_MIN ? -EINVAL : 0;
}

static bool asks_tcp(const struct virtio_net_hdr *net)
{
	uint8_t kind = net->gso_type & ~VIRTIO_NET_HDR_GSO_ECN;

	return kind == VIRTIO_NET_HDR_GSO_TCPV4 || kind == VIRTIO_NET_HDR_GSO_TCPV6;
}

/*
 * Headers that may come between the IPv6 and the transport header (RFC 8200, 4; AH, HIP, shim6,
 * mobility).
 */
static bool is_extension(uint8_t next)
{
	switch (next) {
	case 0:
	case 43:
	case PROTO_FRAGMENT:
	case 51:
	case 60:
	case 135:
	case 139:
	case 140:
		return true;
	default:
		return false;
	}
}

/*
 * Is `protocol` the protocol of the request in net? If the request includes a checksum, is that for
 * a header of this protocol at l4?
 */
static bool transport_agrees(const struct virtio_net_hdr *net, uint8_t protocol, uint32_t l4)
{
	bool tcp = asks_tcp(net);

	if (protocol != (tcp ? PROTO_TCP : PROTO_UDP))
		return false;
	return !(net->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) ||
	    (net->csum_start == l4 &&
		net->csum_offset == (tcp ? TCP_CHECKSUM_OFFSET : UDP_CHECKSUM_OFFSET));
}

bool offload_agrees(const struct virtio_net_hdr *net, const uint8_t *head, uint32_t head_len)
{
	uint8_t kind = net->gso_type & ~VIRTIO_NET_HDR_GSO_ECN;
	uint32_t l3;
	const uint8_t *ip;

	switch (ethernet_skip_tags(head, head_len, &l3)) {
	case ETHERTYPE_IPV4:
		ip = head + l3;
		if (kind == VIRTIO_NET_HDR_GSO_TCPV6)
			return false;
		if (l3 + 10 > head_len)
			return true;
		return ip[0] >> 4 == 4 && transport_agrees(net, ip[9], l3 + (ip[0] & 15) * 4u);
	case ETHERTYPE_IPV6:
		ip = head + l3;
		if (kind == VIRTIO_NET_HDR_GSO_TCPV4)
			return false;
		if (l3 + 7 > head_len)
			return true;
		return ip[0] >> 4 == 6 &&
		    (is_extension(ip[6]) || transport_agrees(net, ip[6], l3 + IPV6_LEN));
	case ETHERTYPE_VLAN: /* more tags than are skipped, or the head ends within them */
	case ETHERTYPE_QINQ:
	case 0:
		return true;
	default:
		return false;
	}
}

uint32_t offload_gso_segment_len(const struct virtio_net_hdr *net, uint32_t len)
{
	bool partial = net->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
	uint32_t headers = partial ? net->csum_start : ETH_LEN;

	if (asks_tcp(net))
		headers += TCP_LEN;
	else if (net->gso_type == VIRTIO_NET_HDR_GSO_UDP_L4)
		headers += UDP_LEN;
	return MIN(len, headers + net->gso_size);
}

uint32_t offload_needs(const struct virtio_net_hdr *net, const uint8_t *head, uint32_t head_len)
{
	uint32_t needs = net->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM ? OFFLOAD_CSUM : 0, l3;

	if (net->gso_type & VIRTIO_NET_HDR_GSO_ECN)
		needs |= OFFLOAD_ECN;
	switch (net->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return needs | OFFLOAD_TSO4;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return needs | OFFLOAD_TSO6;
	case VIRTIO_NET_HDR_GSO_UDP:
		return needs | OFFLOAD_UFO;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		if (ethernet_skip_tags(head, head_len, &l3) == ETHERTYPE_IPV6)
			return needs | OFFLOAD_USO6;
		return needs | OFFLOAD_USO4;
	default:
		return needs;
	}
}

int offload_checksum(uint8_t *frame, uint32_t len, const struct virtio_net_hdr *net)
{
	uint32_t start = net->csum_start;
	uint64_t sum;

	if (!(net->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return 0;
	if (offload_check(net, len) < 0)
		return -EINVAL;
	/*
	 * The checksum field already contains the sum of the pseudo header (5.1.6.2). Add the rest.
	 */
	sum = sum_bytes(frame + start, len - start);
	store_checksum(
	    frame + start + net->csum_offset, sum, net->csum_offset == UDP_CHECKSUM_OFFSET);
	return 0;
}

/* Sum of the pseudo header (RFC 768, 8200) for a transport of l4_len bytes. */
static uint64_t pseudo_sum(const uint8_t *ip, bool ipv6, uint8_t proto, uint32_t l4_len)
{
	uint8_t tail[8] = {0};
	uint64_t sum = ipv6 ? sum_bytes(ip + 8, 32) : sum_bytes(ip + 12, 8);

	store32(tail, l4_len);
	tail[7] = proto;
	return sum + sum_bytes(tail, sizeof(tail));
}

static int parse_ipv4(struct gso *g, uint8_t *ret_proto)
{
	const uint8_t *ip = g->frame + g->l3;
	uint32_t ip_len;

	if (g->l3 + 20 > g->len || ip[0] >> 4 != 4)
		return -EINVAL;
	ip_len = (ip[0] & 15) * 4u;
	if (ip_len < 20 || g->l3 + ip_len > g->len)
		return -EINVAL;
	if (load16(ip + 6) & 0x3fff)
		return -EINVAL; /* already a fragment */
	g->l4 = g->l3 + ip_len;
	g->fragment_id = load16(ip + 4);
	*ret_proto = ip[9];
	return 0;
}

/* Extension headers that may come before TCP: hop-by-hop, routing, destination options. */
static bool skippable(uint8_t next)
{
	return next == 0 || next == 43 || next == 60;
}

static int parse_ipv6(struct gso *g, uint8_t *ret_proto)
{
	const uint8_t *frame = g->frame;
	uint32_t at = g->l3 + IPV6_LEN;
	uint8_t next;

	if (at > g->len || frame[g->l3] >> 4 != 6)
		return -EINVAL;
	next = frame[g->l3 + 6];
	for (unsigned n = 0; skippable(next); n++) {
		if (n == 8 || at + 8 > g->len)
			return -EINVAL;
		next = frame[at];
		at += 8u + frame[at + 1] * 8u;
	}
	g->ipv6 = true;
	g->l4 = at;
	*ret_proto = next;
	return at <= g->len ? 0 : -EINVAL;
}

static int parse_l3(struct gso *g, uint8_t *ret_proto)
{
	switch (ethernet_skip_tags(g->frame, g->len, &g->l3)) {
	case ETHERTYPE_IPV4:
		return parse_ipv4(g, ret_proto);
	case ETHERTYPE_IPV6:
		return parse_ipv6(g, ret_proto);
	default:
		return -EINVAL;
	}
}

static bool is_tcp(const struct gso *g)
{
	return g->kind == VIRTIO_NET_HDR_GSO_TCPV4 || g->kind == VIRTIO_NET_HDR_GSO_TCPV6;
}

static int parse_l4(struct gso *g, uint8_t proto)
{
	bool tcp = is_tcp(g);
	uint32_t l4_len = tcp ? TCP_LEN : UDP_LEN;

	if (proto != (tcp ? PROTO_TCP : PROTO_UDP) || g->l4 + l4_len > g->len)
		return -EINVAL;
	if (tcp && g->ipv6 != (g->kind == VIRTIO_NET_HDR_GSO_TCPV6))
		return -EINVAL;
	if (tcp)
		l4_len = (g->frame[g->l4 + 12] >> 4) * 4u;
	if (l4_len < UDP_LEN || (tcp && l4_len < TCP_LEN) || g->l4 + l4_len > g->len)
		return -EINVAL;
	g->header_len = g->l4 + l4_len;
	return 0;
}

/* A checksum request must be for the transport header that the frame itself shows. */
static bool request_agrees(const struct gso *g, const struct virtio_net_hdr *net)
{
	uint16_t offset = is_tcp(g) ? TCP_CHECKSUM_OFFSET : UDP_CHECKSUM_OFFSET;

	if (!(net->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return true;
	return net->csum_start == g->l4 && net->csum_offset == offset;
}

/*
 * Does the length of the longest GSO segment fit into the IP length field? For fragments, the
 * length of the whole datagram must fit.
 */
static bool lengths_fit(const struct gso *g, uint32_t payload)
{
	bool fragments = g->kind == VIRTIO_NET_HDR_GSO_UDP;
	uint32_t headers = g->header_len - g->l3 - (g->ipv6 ? IPV6_LEN : 0);
	uint32_t longest = fragments ? payload : MIN(payload, g->size);

	if (fragments && g->ipv6)
		headers += FRAGMENT_LEN;
	return headers + longest <= IP_LEN_MAX;
}

/* UFO cuts the IP payload, UDP header included, at multiples of 8. */
static int begin_fragments(struct gso *g, uint8_t *frame, const struct virtio_net_hdr *net)
{
	struct virtio_net_hdr checksum = *net;

	checksum.gso_type = VIRTIO_NET_HDR_GSO_NONE;
	if (offload_checksum(frame, g->len, &checksum) < 0)
		return -EINVAL;
	/*
	 * Frames with extension headers are refused, because some of these headers would have to
	 * come before the fragment header, others after it.
	 */
	if (g->ipv6 && g->l4 != g->l3 + IPV6_LEN)
		return -EINVAL;
	g->header_len = g->l4;
	g->size &= ~7u;
	if (g->ipv6)
		g->fragment_id = load32(frame + g->l4) ^ load32(frame + g->l4 + 4);
	return 0;
}

int gso_begin(struct gso *g, uint8_t *frame, uint32_t len, const struct virtio_net_hdr *net)
{
	uint8_t proto;
	uint32_t payload;
	int err = offload_check(net, len);

	*g = (struct gso){
	    .frame = frame,
	    .len = len,
	    .size = net->gso_size,
	    .kind = net->gso_type & ~VIRTIO_NET_HDR_GSO_ECN,
	};
	if (!err)
		err = parse_l3(g, &proto);
	if (!err)
		err = parse_l4(g, proto);
	if (!err && !request_agrees(g, net))
		err = -EINVAL;
	if (!err && g->kind == VIRTIO_NET_HDR_GSO_UDP)
		err = begin_fragments(g, frame, net);
	if (err)
		return err;
	if (g->header_len + FRAGMENT_LEN > GSO_HEADER_MAX)
		return -EINVAL;
	payload = len - g->header_len;
	if (!lengths_fit(g, payload))
		return -EINVAL;
	return gso_count(g) > GSO_SEGMENTS_MAX ? -E2BIG : 0;
}

static void finish_ipv4(const struct gso *g, uint8_t *ip, uint32_t ip_payload)
{
	uint32_t ip_len = g->l4 - g->l3;

	store16(ip + 2, ip_len + ip_payload);
	store16(ip + 10, 0);
	store_checksum(ip + 10, sum_bytes(ip, ip_len), false);
}

/* Finish the IP header for a transport header and payload of l4_len bytes. */
static void finish_ip(struct gso *g, uint32_t l4_len)
{
	uint8_t *ip = g->header + g->l3;

	if (g->ipv6) {
		store16(ip + 4, g->l4 - g->l3 - IPV6_LEN + l4_len);
		return;
	}
	/* Each GSO segment is a packet with an id of its own. */
	store16(ip + 4, g->fragment_id + g->index);
	finish_ipv4(g, ip, l4_len);
}

static void finish_tcp(struct gso *g, uint32_t payload_len, bool last)
{
	uint8_t *tcp = g->header + g->l4;
	uint32_t tcp_len = g->header_len - g->l4;
	uint64_t sum;

	store32(tcp + 4, load32(g->frame + g->l4 + 4) + (g->at - g->header_len));
	if (!last)
		tcp[TCP_FLAGS] &= ~(TCP_FIN | TCP_PSH);
	if (g->index > 0)
		tcp[TCP_FLAGS] &= ~TCP_CWR;
	store16(tcp + TCP_CHECKSUM_OFFSET, 0);
	sum = pseudo_sum(g->frame + g->l3, g->ipv6, PROTO_TCP, tcp_len + payload_len) +
	    sum_bytes(tcp, tcp_len) + sum_bytes(g->frame + g->at, payload_len);
	store_checksum(tcp + TCP_CHECKSUM_OFFSET, sum, false);
}

static void finish_udp(struct gso *g, uint32_t payload_len)
{
	uint8_t *udp = g->header + g->l4;
	uint64_t sum;

	store16(udp + 4, UDP_LEN + payload_len);
	store16(udp + UDP_CHECKSUM_OFFSET, 0);
	sum = pseudo_sum(g->frame + g->l3, g->ipv6, PROTO_UDP, UDP_LEN + payload_len) +
	    sum_bytes(udp, UDP_LEN) + sum_bytes(g->frame + g->at, payload_len);
	store_checksum(udp + UDP_CHECKSUM_OFFSET, sum, true);
}

/* Returns the length of all headers. In IPv6 a fragment header is added (RFC 8200, 4.5). */
static uint32_t finish_fragment(struct gso *g, uint32_t payload_len, bool last)
{
	uint32_t offset = g->at - g->header_len; /* a multiple of 8 */
	uint8_t *ip = g->header + g->l3, *fragment = g->header + g->l4;

	if (!g->ipv6) {
		store16(ip + 6, offset / 8 | (last ? 0 : MORE_FRAGMENTS));
		finish_ipv4(g, ip, payload_len);
		return g->header_len;
	}
	fragment[0] = ip[6];
	fragment[1] = 0;
	store16(fragment + 2, offset | (last ? 0 : 1));
	store32(fragment + 4, g->fragment_id);
	ip[6] = PROTO_FRAGMENT;
	store16(ip + 4, FRAGMENT_LEN + payload_len);
	return g->header_len + FRAGMENT_LEN;
}

uint32_t gso_count(const struct gso *g)
{
	uint32_t payload = g->len - g->header_len;

	return payload ? (payload - 1) / g->size + 1 : 1;
}

static uint32_t payload_len(const struct gso *g, uint32_t index)
{
	return MIN(g->len - g->header_len - index * g->size, g->size);
}

uint32_t gso_len(const struct gso *g, uint32_t index)
{
	uint32_t fragment = g->ipv6 && g->kind == VIRTIO_NET_HDR_GSO_UDP ? FRAGMENT_LEN : 0;

	return g->header_len + fragment + payload_len(g, index);
}

void gso_make(struct gso *g, uint32_t index, struct gso_segment *ret)
{
	uint32_t n = payload_len(g, index), header_len = g->header_len;
	bool last = index + 1 == gso_count(g);

	g->index = index;
	g->at = g->header_len + index * g->size;
	memcpy(g->header, g->frame, g->header_len);
	if (g->kind == VIRTIO_NET_HDR_GSO_UDP) {
		header_len = finish_fragment(g, n, last);
	} else {
		finish_ip(g, g->header_len - g->l4 + n);
		if (g->kind == VIRTIO_NET_HDR_GSO_UDP_L4)
			finish_udp(g, n);
		else
			finish_tcp(g, n, last);
	}
	*ret = (struct gso_segment){
	    .header = g->header,
	    .header_len = header_len,
	    .payload = g->frame + g->at,
	    .payload_len = n,
	};
}
