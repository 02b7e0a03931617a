/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * All frames of a stream with the same size begin with nearly the same bytes. So there is a
 * template of their first cache line, with lengths and checksums. To make a frame, the template is
 * copied, and addresses, ports and tag are written over it. The UDP or TCP ports contain the number
 * of the flow. The IPv4 checksum does not include the ports. The UDP checksum is 0, which means
 * that there is none.
 *
 * The tag of a frame follows its headers. A received frame is compared with the frame that its tag
 * describes. If there is no tag in the right place, the headers may have been changed, so all
 * possible places are searched. A tag has a mark and a check sum, and one of them must be right. So
 * if a switch changes one byte, the frame counts as corrupt, not as foreign.
 */
#include "traffic/stream.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/util.h"
#include "traffic/pattern.h"

#define ETH_LEN   14
#define VLAN_LEN  4
#define IP_LEN    20
#define UDP_LEN   8
#define TCP_LEN   20
#define MAGIC     0x7653u
#define HELLO     0xffff
#define PORT_BASE 0x2000

/*
 * Follows the transport header. It has the byte order of this machine, because it is only read
 * here.
 */
struct tag {
	uint16_t magic, stream;
	uint32_t flow, number;
	uint64_t time;
	uint16_t check;
} __attribute__((packed));

/* Detects a change of any 16 bits, at any place. */
static inline uint16_t tag_check(uint16_t stream, uint32_t flow, uint32_t number, uint64_t time)
{
	uint64_t sum = time ^ ((uint64_t)flow << 32 | number) ^ stream;

	sum ^= sum >> 32;
	sum ^= sum >> 16;
	return ~sum;
}

/*
 * Write each field to its place: reading small stores as one large value would wait for the stores.
 */
static inline void put_tag(
    uint8_t *at, uint16_t stream, uint32_t flow, uint32_t number, uint64_t time)
{
	struct tag *tag = (struct tag *)at;

	tag->magic = MAGIC;
	tag->stream = stream;
	tag->flow = flow;
	tag->number = number;
	tag->time = time;
	tag->check = tag_check(stream, flow, number, time);
}

static void put16(uint8_t *at, uint16_t value)
{
	value = htobe16(value);
	memcpy(at, &value, 2);
}

/*
 * A locally administered address: the port in the second and third byte, then the number of the
 * address.
 */
static uint64_t mac_of(uint16_t port, uint32_t mac)
{
	return UINT64_C(0x02) | (uint64_t)htobe16(port) << 8 |
	    (uint64_t)htobe32(mac & 0xffffff) << 16;
}

static void put_mac(uint8_t *at, uint64_t mac)
{
	uint32_t low = mac;
	uint16_t high = mac >> 32;

	memcpy(at, &low, 4);
	memcpy(at + 4, &high, 2);
}

static uint16_t ip_checksum(const uint8_t *header)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < IP_LEN; i += 2)
		sum += (unsigned)header[i] << 8 | header[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	return ~(sum + (sum >> 16));
}

static void put_ip(uint8_t *ip, uint32_t len, const struct stream *s)
{
	memset(ip, 0, IP_LEN);
	ip[0] = 0x45;
	put16(ip + 2, len);
	ip[8] = 64;
	ip[9] = s->profile.gso ? 6 : 17;
	ip[12] = ip[16] = 10;
	put16(ip + 14, s->from + 1);
	put16(ip + 18, s->to + 1);
	put16(ip + 10, ip_checksum(ip));
}

/*
 * The checksum field gets the sum of the pseudo header; the segment's checksum is completed from
 * it.
 */
static void put_tcp(uint8_t *tcp, const uint8_t *ip, uint32_t len)
{
	uint32_t sum = 6 + len;

	tcp[12] = TCP_LEN / 4 << 4;
	tcp[13] = 0x10;
	for (unsigned i = 12; i < IP_LEN; i += 2)
		sum += (unsigned)ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	put16(tcp + 16, sum + (sum >> 16));
}

static void put_flow(const struct stream *s, uint8_t *frame, uint32_t flow)
{
	uint8_t *ports = frame + ETH_LEN + (s->profile.vlan ? VLAN_LEN : 0) + IP_LEN;
	uint32_t mac = s->profile.macs == 1 ? 0 : flow % s->profile.macs;

	put_mac(frame, mac_of(s->to, mac));
	put_mac(frame + 6, mac_of(s->from, mac));
	put16(ports, flow);
	put16(ports + 2, PORT_BASE + (flow >> 16));
}

static void make_template(struct stream *s, struct stream_template *t, uint32_t len)
{
	uint8_t *at = t->bytes + 12;

	memset(t->bytes, 0, sizeof(t->bytes));
	t->len = len;
	if (s->profile.vlan) {
		put16(at, 0x8100);
		put16(at + 2, s->profile.vlan);
		at += VLAN_LEN;
	}
	put16(at, 0x0800);
	at += 2;
	len -= at - t->bytes;
	put_ip(at, len, s);
	if (s->profile.gso)
		put_tcp(at + IP_LEN, at, len - IP_LEN);
	else
		put16(at + IP_LEN + 4, len - IP_LEN);
	put_flow(s, t->bytes, 0);
}

static void make_net_header(struct stream *s)
{
	if (!s->profile.gso)
		return;
	s->net.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	s->net.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	s->net.gso_size = s->profile.gso;
	s->net.hdr_len = s->tag_end - sizeof(struct tag);
	s->net.csum_start = s->net.hdr_len - TCP_LEN;
	s->net.csum_offset = 16;
}

/* Write only if it differs: a line that is not written stays shared between cores. */
static inline void put_net_header(const struct stream *s, struct virtio_net_hdr *hdr)
{
	if (memcmp(hdr, &s->net, VIRTIO_NET_HDR_LEN - 2) != 0)
		memcpy(hdr, &s->net, VIRTIO_NET_HDR_LEN - 2);
}

static unsigned tag_end(const struct stream_profile *p)
{
	return ETH_LEN + (p->vlan ? VLAN_LEN : 0) + IP_LEN + (p->gso ? TCP_LEN : UDP_LEN) +
	    sizeof(struct tag);
}

int stream_create(uint16_t id, uint16_t from, uint16_t to, const struct stream_profile *profile,
    struct stream **ret_stream)
{
	struct stream *s;

	if (profile->n_sizes == 0 || profile->n_sizes > STREAM_SIZES_MAX || profile->flows == 0 ||
	    profile->macs == 0 || profile->macs > 1 << 24 || id == HELLO || profile->lanes == 0 ||
	    profile->lanes > MIN(profile->flows, (unsigned)TPORT_PAIRS_MAX))
		return -EINVAL;
	for (unsigned i = 0; i < profile->n_sizes; i++) {
		if (profile->size[i] < MAX(tag_end(profile), (unsigned)STREAM_FRAME_MIN) ||
		    profile->size[i] > STREAM_FRAME_MAX)
			return -EINVAL;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->id = id;
	s->from = from;
	s->to = to;
	s->profile = *profile;
	for (unsigned i = 0; i < profile->lanes; i++)
		s->next_flow[i] = i;
	s->tag_end = tag_end(profile);
	s->pattern = pattern_ops(cpu_level());
	make_net_header(s);
	s->flow = calloc(profile->flows, sizeof(*s->flow));
	if (!s->flow) {
		stream_destroy(s);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < profile->n_sizes; i++)
		make_template(s, &s->template[i], profile -> size[i]);
	*ret_stream = s;
	return 0;
}

void stream_destroy(struct stream *s)
{
	if (!s)
		return;
	free(s->flow);
	free(s);
}

void stream_reset(struct stream *s)
{
	memset(s->flow, 0, s->profile.flows * sizeof(*s->flow));
	memset(&s->counts, 0, sizeof(s->counts));
}

uint32_t stream_make(
    struct stream *s, unsigned lane, uint8_t *frame, struct virtio_net_hdr *hdr, uint64_t time)
{
	const struct stream_template *t = &s->template[s->next_size];
	uint32_t flow = s->next_flow[lane], number = s->flow[flow].next_sent++;

	memcpy(frame, t->bytes, STREAM_FRAME_MIN);
	if (s->profile.flows > 1)
		put_flow(s, frame, flow);
	put_tag(frame + s->tag_end - sizeof(struct tag), s->id, flow, number, time);
	put_net_header(s, hdr);
	if (s->profile.touch_all)
		s->pattern->write(frame, s->tag_end, t->len, pattern_seed(s->id, flow, number));
	s->next_size = s->next_size + 1 == s->profile.n_sizes ? 0 : s->next_size + 1;
	flow += s->profile.lanes;
	s->next_flow[lane] = flow < s->profile.flows ? flow : lane;
	s->counts.sent++;
	s->counts.sent_bytes += t->len;
	return t->len;
}

uint32_t stream_make_hello(
    struct stream *s, uint32_t mac, uint8_t *frame, struct virtio_net_hdr *hdr)
{
	memcpy(frame, s->template[0].bytes, STREAM_FRAME_MIN);
	put_flow(s, frame, mac);
	put_tag(frame + s->tag_end - sizeof(struct tag), HELLO, 0, 0, 0);
	memset(hdr, 0, VIRTIO_NET_HDR_LEN - 2);
	return MAX(s->tag_end, (unsigned)STREAM_FRAME_MIN);
}

/* The end of the headers, as the headers themselves say. */
static uint32_t headers_end(const uint8_t *frame)
{
	uint32_t ip = ETH_LEN + (frame[12] == 0x81 && frame[13] == 0 ? VLAN_LEN : 0);

	return ip + IP_LEN + (frame[ip + 9] == 6 ? TCP_LEN : UDP_LEN);
}

static inline bool tag_at(
    const uint8_t *frame, uint32_t len, uint32_t at, struct stream_tag *ret_tag)
{
	const struct tag *tag = (const struct tag *)(frame + at);
	struct stream_tag found;
	bool marked, sound;

	if (len < at + sizeof(*tag))
		return false;
	found.stream = tag->stream;
	found.flow = tag->flow;
	found.number = tag->number;
	found.time = tag->time;
	marked = tag->magic == MAGIC;
	sound = tag->check == tag_check(found.stream, found.flow, found.number, found.time);
	found.intact = marked && sound;
	*ret_tag = found;
	return (marked || sound) && found.stream != HELLO;
}

bool stream_read_tag(const uint8_t *frame, uint32_t len, struct stream_tag *ret_tag)
{
	static const uint8_t vlan[] = {0, VLAN_LEN}, transport[] = {UDP_LEN, TCP_LEN};

	if (len < STREAM_FRAME_MIN)
		return false;
	if (LIKELY(tag_at(frame, len, headers_end(frame), ret_tag)))
		return true;
	for (unsigned i = 0; i < 4; i++) {
		uint32_t at = ETH_LEN + vlan[i / 2] + IP_LEN + transport[i % 2];

		if (tag_at(frame, len, at, ret_tag) && ret_tag->intact)
			return true;
	}
	return false;
}

/* Are these the headers of this flow, and is the length one of the stream's sizes? */
static bool headers_hold(
    const struct stream *s, const struct stream_tag *tag, const uint8_t *frame, uint32_t len)
{
	uint32_t size = s->tag_end - sizeof(struct tag);
	uint8_t expected[STREAM_FRAME_MIN];
	unsigned i;

	for (i = 0; i < s->profile.n_sizes && s->template[i].len != len; i++)
		;
	if (i == s->profile.n_sizes)
		return false;
	memcpy(expected, s->template[i].bytes, STREAM_FRAME_MIN);
	put_flow(s, expected, tag->flow);
	return memcmp(frame, expected, size) == 0;
}

static bool pattern_holds(const struct stream *s, const struct stream_tag *tag,
    const struct tport_piece pieces[], uint32_t len)
{
	uint64_t seed = pattern_seed(s->id, tag->flow, tag->number);
	uint32_t start = 0;

	for (unsigned i = 0; start < len; i++) {
		uint32_t end = MIN(start + pieces[i].len, len), at = MAX(start, s->tag_end);

		if (at < end && !s->pattern->holds(pieces[i].bytes + (at - start), at, end, seed))
			return false;
		start = end;
	}
	return true;
}

static bool frame_holds(const struct stream *s, const struct stream_tag *tag,
    const struct tport_piece pieces[], uint32_t len)
{
	return pieces[0].len >= s->tag_end && headers_hold(s, tag, pieces[0].bytes, len) &&
	    pattern_holds(s, tag, pieces, len);
}

/* Does the net header contain the request for segmentation? */
static bool net_header_holds(const struct stream *s, const uint8_t *frame)
{
	const struct virtio_net_hdr *hdr = tport_header((uint8_t *)(uintptr_t)frame);

	return (hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && hdr->gso_type == s->net.gso_type &&
	    hdr->gso_size == s->net.gso_size;
}

static void count_late(struct stream *s, struct stream_flow *f, uint32_t behind)
{
	if (behind >= 64 || (f->seen >> behind & 1)) {
		s->counts.duplicates++;
		return;
	}
	f->seen |= UINT64_C(1) << behind;
	s->counts.reordered++;
	s->counts.received++;
}

void stream_take(
    struct stream *s, const struct stream_tag *tag, const struct tport_piece pieces[], uint32_t len)
{
	struct stream_flow *f;
	uint32_t ahead;

	if (UNLIKELY(tag->flow >= s->profile.flows ||
		(s->profile.touch_all && !frame_holds(s, tag, pieces, len)))) {
		s->counts.corrupt++;
		return;
	}
	f = &s->flow[tag->flow];
	s->counts.received_bytes += len;
	if (s->profile.gso && UNLIKELY(!net_header_holds(s, pieces[0].bytes)))
		s->counts.lost_gso_requests++;
	ahead = tag->number - f->next;
	if (UNLIKELY((int32_t)ahead < 0)) {
		count_late(s, f, -ahead - 1);
		return;
	}
	f->seen = ahead < 63 ? f->seen << (ahead + 1) | 1 : 1;
	f->next = tag->number + 1;
	s->counts.received++;
}
