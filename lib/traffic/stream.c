/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * To make a frame, addresses, ports and tag are written over a copy of the template of its size. A
 * received frame is compared with what its tag says.
 *
 * Most frames have a full tag. The other forms share one slower path, so that they cost the fast
 * path one branch.
 */
#include "traffic/stream.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "base/util.h"
#include "traffic/checksum.h"
#include "traffic/pattern.h"

#define HELLO_LEN 64

/* Write only if it differs: a line that is not written stays shared between cores. */
static inline void put_net_header(const struct stream_template *t, struct virtio_net_hdr *hdr)
{
	if (memcmp(hdr, &t->net, VIRTIO_NET_HDR_LEN - 2) != 0)
		memcpy(hdr, &t->net, VIRTIO_NET_HDR_LEN - 2);
}

static void make_order(struct stream *s)
{
	const struct stream_profile *p = &s->profile;

	s->n_order = p->n_order ? p->n_order : p->n_sizes;
	for (unsigned i = 0; i < s->n_order; i++)
		s->order[i] = p->n_order ? p->order[i] : i;
	s->next = &s->templates[s->order[0]];
}

/* Are there frames that are padded on a wire? */
static bool has_padded(const struct stream_profile *p)
{
	for (unsigned i = 0; i < p->n_sizes; i++) {
		if (p->size[i] < STREAM_WIRE_MIN)
			return true;
	}
	return false;
}

int stream_create(uint16_t id, uint16_t from, uint16_t to, const struct stream_profile *profile,
    struct stream **ret_stream)
{
	struct stream *s;

	if (id == TAG_HELLO || profile_fault(profile))
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->id = id;
	s->from = from;
	s->to = to;
	s->profile = *profile;
	s->profile.locality = MAX(profile->locality, 1u);
	s->take_any = profile->touch_all || profile_tcp(profile) || has_padded(profile);
	for (unsigned i = 0; i < profile->lanes; i++)
		s->next_flow[i] = i;
	make_order(s);
	s->pattern = pattern_ops(cpu_level());
	s->flow = calloc(profile->flows, sizeof(*s->flow));
	if (!s->flow) {
		stream_destroy(s);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < profile->n_sizes; i++)
		template_make(&s->templates[i], &s->profile, from, to, profile->size[i]);
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
	s->unnumbered_sent = s->unnumbered = 0;
}

static inline void put_flow(
    const struct stream *s, const struct stream_template *t, uint8_t *frame, uint32_t flow)
{
	uint32_t mac = s->profile.macs == 1 ? 0 : flow % s->profile.macs;

	template_put_flow(t, frame, s->from, s->to, mac, flow);
}

static inline struct stream_tag tag_of(
    const struct stream *s, uint32_t flow, uint32_t number, uint64_t time)
{
	return (struct stream_tag){.stream = s->id,
	    .from = s->from,
	    .to = s->to,
	    .flow = flow,
	    .number = number,
	    .time = time};
}

/*
 * Make the head of a frame whose tag is not the full one. Returns as much of the number as the tag
 * has. Not inline, so that the other frames do not need its registers.
 */
static __attribute__((noinline)) uint32_t make_small(struct stream *s,
    const struct stream_template *t, uint8_t *frame, uint32_t flow, uint32_t number, uint64_t time)
{
	const struct stream_tag tag = tag_of(s, flow, number, time >> TAG_TICK);

	memcpy(frame, t->bytes, t->tag_end);
	put_flow(s, t, frame, flow);
	tag_put(&t->layout, frame, &tag);
	s->unnumbered_sent += t->layout.form == TAG_NONE;
	return tag_number(t->layout.form, number);
}

/* Does the next frame of this lane belong to the same flow? */
static bool train_goes_on(struct stream *s, unsigned lane)
{
	s->train[lane] = s->train[lane] + 1 < s->profile.locality ? s->train[lane] + 1 : 0;
	return s->train[lane] != 0;
}

static inline void next_flow(struct stream *s, unsigned lane, uint32_t flow)
{
	if (UNLIKELY(s->profile.locality > 1) && train_goes_on(s, lane))
		return;
	flow += s->profile.lanes;
	s->next_flow[lane] = flow < s->profile.flows ? flow : lane;
}

static inline void next_size(struct stream *s)
{
	if (s->n_order == 1)
		return;
	s->next_size = s->next_size + 1 == s->n_order ? 0 : s->next_size + 1;
	s->next = &s->templates[s->order[s->next_size]];
}

uint32_t stream_make(
    struct stream *s, unsigned lane, uint8_t *frame, struct virtio_net_hdr *hdr, uint64_t time)
{
	const struct stream_template *t = s->next;
	uint32_t flow = s->next_flow[lane], number = s->flow[flow].next_sent++;

	if (LIKELY(t->layout.form == TAG_FULL)) {
		memcpy(frame, t->bytes, STREAM_LINE);
		if (s->profile.flows > 1)
			put_flow(s, t, frame, flow);
		tag_put_full(frame + t->layout.at, s->id, flow, number, time);
	} else {
		number = make_small(s, t, frame, flow, number, time);
	}
	put_net_header(t, hdr);
	if (s->profile.touch_all)
		s->pattern->write(frame, t->tag_end, t->len, pattern_seed(s->id, flow, number));
	next_size(s);
	next_flow(s, lane, flow);
	s->counts.sent++;
	s->counts.sent_bytes += t->len;
	return t->len;
}

/* A hello has no IPv4 header, so that it fits into one line with and without a VLAN tag. */
uint32_t stream_make_hello(
    struct stream *s, uint32_t mac, uint8_t *frame, struct virtio_net_hdr *hdr)
{
	unsigned l2 = ETH_LEN + (s->profile.vlan ? VLAN_LEN : 0);

	memset(frame, 0, HELLO_LEN);
	template_put_mac(frame, tag_mac(s->to, mac));
	template_put_mac(frame + 6, tag_mac(s->from, mac));
	if (s->profile.vlan) {
		template_put16(frame + 12, 0x8100);
		template_put16(frame + 14, s->profile.vlan);
	}
	template_put16(frame + l2 - 2, TAG_ETHERTYPE);
	tag_put_full(frame + l2, TAG_HELLO, 0, 0, 0);
	memset(hdr, 0, VIRTIO_NET_HDR_LEN - 2);
	return HELLO_LEN;
}

/* NULL: no frame of the stream has this length. */
static const struct stream_template *template_of(const struct stream *s, uint32_t len)
{
	for (unsigned i = 0; i < s->profile.n_sizes; i++) {
		if (s->templates[i].len == len)
			return &s->templates[i];
	}
	return NULL;
}

/* Is the head of the frame what was sent? The checksum is checked elsewhere: it may be complete. */
static bool head_holds(const struct stream *s, const struct stream_template *t,
    const struct stream_tag *tag, const uint8_t *frame)
{
	struct stream_tag sent = tag_of(s, tag->flow, tag->number, tag->time);
	uint8_t expected[sizeof(t->bytes)];
	uint32_t field = t->net.csum_start + t->net.csum_offset;

	memcpy(expected, t->bytes, sizeof(expected));
	put_flow(s, t, expected, tag->flow);
	tag_put(&t->layout, expected, &sent);
	if (t->net.flags && !t->net.gso_type)
		memcpy(expected + field, frame + field, 2);
	return memcmp(frame, expected, t->tag_end) == 0;
}

static bool pattern_holds(const struct stream *s, const struct stream_tag *tag, uint32_t head,
    const struct tport_piece pieces[], uint32_t len)
{
	uint64_t seed = pattern_seed(s->id, tag->flow, tag->number);
	uint32_t start = 0;

	for (unsigned i = 0; start < len; i++) {
		uint32_t end = MIN(start + pieces[i].len, len), at = MAX(start, head);

		if (at < end && !s->pattern->holds(pieces[i].bytes + (at - start), at, end, seed))
			return false;
		start = end;
	}
	return true;
}

static __attribute__((noinline)) bool frame_holds(const struct stream *s,
    const struct stream_tag *tag, const struct tport_piece pieces[], uint32_t len)
{
	const struct stream_template *t = template_of(s, len);

	if (!t || t->layout.form != tag->form || pieces[0].len < t->tag_end ||
	    !head_holds(s, t, tag, pieces[0].bytes))
		return false;
	return !s->profile.touch_all || pattern_holds(s, tag, t->tag_end, pieces, len);
}

/* Count a frame that asked for segmentation or for its checksum. False: the checksum is wrong. */
static __attribute__((noinline)) bool count_request(
    struct stream *s, const struct tport_piece pieces[], uint32_t len)
{
	const struct stream_template *t = template_of(s, len);
	enum checksum_state state =
	    t && pieces[0].len >= t->tag_end ? checksum_state(t, pieces, len) : CHECKSUM_WRONG;

	s->counts.lost_requests += state == CHECKSUM_LOST;
	s->counts.completed += state == CHECKSUM_COMPLETE;
	if (t && t->net.gso_size)
		s->counts.received_more +=
		    (uint64_t)((len - t->net.hdr_len - 1) / t->net.gso_size) *
		    (t->net.hdr_len + STREAM_WIRE_OVERHEAD);
	return state != CHECKSUM_WRONG;
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

static inline void count_number(struct stream *s, struct stream_flow *f, uint32_t number)
{
	uint32_t ahead = number - f->next;

	if (UNLIKELY((int32_t)ahead < 0)) {
		count_late(s, f, -ahead - 1);
		return;
	}
	f->seen = ahead < 63 ? f->seen << (ahead + 1) | 1 : 1;
	f->next = number + 1;
	s->counts.received++;
}

/*
 * Count a frame whose tag has 16 bits of its number, or none. At most 2^16 frames of a flow are
 * under way, so the number is one of the last 2^16 that were sent.
 */
static void count_small(struct stream *s, struct stream_flow *f, const struct stream_tag *tag)
{
	uint32_t last = f->next_sent - 1;

	if (tag->form != TAG_NONE) {
		count_number(s, f, last - (uint16_t)(last - tag->number));
	} else if (s->unnumbered < s->unnumbered_sent) {
		s->unnumbered++;
		s->counts.received++;
	} else {
		s->counts.duplicates++;
	}
}

/* Is the frame what was sent, as far as the stream compares it? */
static bool compare(
    struct stream *s, const struct stream_tag *tag, const struct tport_piece pieces[], uint32_t len)
{
	if ((s->profile.touch_all || tag->form != TAG_FULL) && !frame_holds(s, tag, pieces, len))
		return false;
	return !profile_tcp(&s->profile) || count_request(s, pieces, len);
}

/*
 * Count a frame that has a smaller tag, is padded on a wire or is compared. Not inline, so that
 * other frames do not need its registers.
 */
static __attribute__((noinline)) void take_any(
    struct stream *s, const struct stream_tag *tag, const struct tport_piece pieces[], uint32_t len)
{
	struct stream_flow *f = &s->flow[tag->flow];

	if (!compare(s, tag, pieces, len)) {
		s->counts.corrupt++;
		return;
	}
	s->counts.received_bytes += len;
	if (len < STREAM_WIRE_MIN)
		s->counts.received_more += STREAM_WIRE_MIN - len;
	if (tag->form >= TAG_ORDINAL)
		count_small(s, f, tag);
	else
		count_number(s, f, tag->number);
}

void stream_take(
    struct stream *s, const struct stream_tag *tag, const struct tport_piece pieces[], uint32_t len)
{
	if (UNLIKELY(tag->flow >= s->profile.flows)) {
		s->counts.corrupt++;
		return;
	}
	if (s->take_any || tag->form != TAG_FULL) {
		take_any(s, tag, pieces, len);
		return;
	}
	s->counts.received_bytes += len;
	count_number(s, &s->flow[tag->flow], tag->number);
}
