/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage 2: a private copy of what decisions are made on.
 *
 * The net header, where the port may ask for offloads, and the first HEAD_BYTES of every frame
 * are read once into b->head. From here on nothing reads those bytes from the guest again: the
 * copy is what is looked up, and the copy is what is delivered.
 */
#include "datapath/burst.h"

#include <errno.h>
#include <string.h>

#include <rte_prefetch.h>

#include "datapath/offload.h"

#define WHOLE_HEAD (VIRTIO_NET_HDR_LEN + HEAD_BYTES)

/*
 * A burst of frames as they usually are needs one look at each and no more. False: one of them is
 * not, and nothing has been decided.
 */
static ALWAYS_INLINE bool snapshot_plain(struct burst *b, bool offloads)
{
	const struct vring_segment *segment = b->in.segment;
	unsigned skip = offloads ? 0 : VIRTIO_NET_HDR_LEN, n = b->n;
	uint32_t most = port_frame_max(b->source->port) - HEAD_BYTES;
	uint64_t bytes = 0;

	for (unsigned i = 0; i < n; i++) {
		uint32_t len = segment[i].len - VIRTIO_NET_HDR_LEN;

		if (UNLIKELY(len - HEAD_BYTES > most))
			return false;
		rte_prefetch0(segment[i].addr + skip);
		rte_prefetch0(segment[i].addr + WHOLE_HEAD - 1);
		b->frame[i].len = len;
		bytes += len;
	}
	if (UNLIKELY(bytes > BURST_BYTES))
		return false;
	for (unsigned i = 0; i < n; i++) {
		uint16_t asked = 0; /* flags and gso_type */

		if (offloads)
			memcpy(&asked, segment[i].addr, 2);
		if (UNLIKELY(asked))
			return false;
		memcpy(b->head[i].data, segment[i].addr + VIRTIO_NET_HDR_LEN, HEAD_BYTES);
	}
	b->bytes = bytes;
	return true;
}

static bool snapshot_plain_baseline(struct burst *b, bool offloads)
{
	return offloads ? snapshot_plain(b, true) : snapshot_plain(b, false);
}

static CPU_AVX2 bool snapshot_plain_avx2(struct burst *b, bool offloads)
{
	return offloads ? snapshot_plain(b, true) : snapshot_plain(b, false);
}

static CPU_AVX512 bool snapshot_plain_avx512(struct burst *b, bool offloads)
{
	return offloads ? snapshot_plain(b, true) : snapshot_plain(b, false);
}

static bool snapshot_if_plain(struct burst *b, bool offloads)
{
	if (b->level == CPU_LEVEL_AVX512)
		return snapshot_plain_avx512(b, offloads);
	if (b->level == CPU_LEVEL_AVX2)
		return snapshot_plain_avx2(b, offloads);
	return snapshot_plain_baseline(b, offloads);
}

void burst_fill_in(struct burst *b)
{
	if (!b->plain)
		return;
	b->plain = false;
	for (unsigned i = 0; i < b->n; i++) {
		struct frame *f = &b->frame[i];

		b->head[i].net = plain_header;
		f->head_len = HEAD_BYTES;
		f->needs = 0;
		f->segment = i + (f->len == HEAD_BYTES);
		f->n_segments = f->len != HEAD_BYTES;
		f->offset = WHOLE_HEAD;
	}
}

/*
 * The first line of a buffer often holds the net header and nothing else. Who may not ask for
 * offloads has nothing to say there, so that line stays where it is.
 */
static ALWAYS_INLINE void prefetch_heads(const struct burst *b, unsigned skip)
{
	for (unsigned i = 0; i < b->n; i++) {
		const uint8_t *p = b->in.segment[b->in.chain[i].segment].addr + skip;

		if (b->in.chain[i].n_segments == 0)
			continue; /* a faulty chain; dropped below */
		rte_prefetch0(p);
		rte_prefetch0(p + WHOLE_HEAD - skip - 1);
	}
}

/* The head in pieces: short frames, legacy headers, headers spread over descriptors. */
static void gather_head(const struct burst *b, const struct vring_chain *c, unsigned hdr_len,
    struct frame *f, struct head *h)
{
	uint8_t *to[2] = {(uint8_t *)&h->net, h->data};
	uint32_t want[2] = {hdr_len, MIN(f->len, HEAD_BYTES)};
	const struct vring_segment *s = &b->in.segment[c->segment];
	uint32_t offset = 0;

	f->head_len = want[1];
	for (unsigned part = 0; part < 2; part++) {
		while (want[part]) {
			uint32_t n = MIN(want[part], s->len - offset);

			memcpy(to[part], s->addr + offset, n);
			to[part] += n;
			want[part] -= n;
			offset += n;
			if (offset == s->len) {
				s++;
				offset = 0;
			}
		}
	}
	f->segment = s - b->in.segment;
	f->n_segments = c->segment + c->n_segments - f->segment;
	f->offset = offset;
}

static ALWAYS_INLINE void copy_head(const struct burst *b, const struct vring_chain *c,
    unsigned hdr_len, bool offloads, struct frame *f, struct head *h)
{
	const struct vring_segment *s = &b->in.segment[c->segment];

	if (UNLIKELY(s->len < WHOLE_HEAD || hdr_len != VIRTIO_NET_HDR_LEN)) {
		gather_head(b, c, hdr_len, f, h);
		return;
	}
	bool whole = s->len == WHOLE_HEAD;

	memcpy(h->data, s->addr + VIRTIO_NET_HDR_LEN, HEAD_BYTES);
	if (offloads)
		memcpy(&h->net, s->addr, VIRTIO_NET_HDR_LEN);
	f->head_len = HEAD_BYTES;
	f->segment = c->segment + whole;
	f->n_segments = c->n_segments - whole;
	f->offset = whole ? 0 : WHOLE_HEAD;
}

/* Keep of the guest's header what is meaningful and true, nothing else. */
static ALWAYS_INLINE int vouch_for_header(bool offloads, struct frame *f, struct head *h)
{
	struct virtio_net_hdr *net = &h->net;
	int err;

	if (LIKELY(!offloads || (net->flags == 0 && net->gso_type == 0))) {
		*net = plain_header;
		f->needs = 0;
		return 0;
	}
	err = offload_check(net, f->len);
	if (!err && net->gso_type && !offload_agrees(net, h->data, f->head_len))
		err = -EINVAL;
	if (err)
		return err;
	net->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	if (!net->flags)
		net->csum_start = net->csum_offset = 0;
	if (!net->gso_type)
		net->gso_size = 0;
	net->hdr_len = MIN(net->hdr_len, f->len);
	net->num_buffers = 1;
	f->needs = offload_needs(net, h->data, f->head_len);
	return 0;
}

/* Drop a frame that is none. Its length is that of what counts. */
static __attribute__((noinline)) void reject(struct burst *b, unsigned i)
{
	const struct vring_chain *c = &b->in.chain[i];

	if (c->fault) {
		burst_drop(b, i, DROP_BAD_CHAIN);
		b->frame[i].len = 0;
	} else if (c->len < (uint32_t)b->source->port->hdr_len + FRAME_MIN) {
		burst_drop(b, i, DROP_RUNT);
		b->frame[i].len = 0;
	} else {
		burst_drop(b, i, DROP_OVERSIZE);
	}
}

/* How many of the frames are no more than a burst may have in bytes. */
static unsigned within_bytes(const struct burst *b)
{
	uint32_t bytes = 0;
	unsigned i;

	for (i = 0; i < b->n; i++) {
		bytes += b->in.chain[i].len;
		if (i && bytes > BURST_BYTES)
			break;
	}
	return i;
}

/* In how many segments a checked frame could be cut, more or less. */
static uint32_t segments_of(const struct frame *f, const struct head *h)
{
	return h->net.gso_type ? 1 + f->len / h->net.gso_size : 0;
}

/* The longest frame that it is, or will be in segments. */
static uint32_t on_the_wire(const struct frame *f, const struct head *h)
{
	return h->net.gso_type ? offload_segment_len(&h->net, f->len) : f->len;
}

/* Any burst. */
static void snapshot_any(struct burst *b)
{
	const struct port *from = b->source->port;
	unsigned hdr_len = from->hdr_len, i;
	bool offloads = from->sends_offload;
	uint32_t segments = 0, most = port_frame_max(from);
	uint64_t bytes = 0;

	burst_keep(b, within_bytes(b));
	prefetch_heads(b, offloads ? 0 : hdr_len);
	for (i = 0; i < b->n; i++) {
		const struct vring_chain *c = &b->in.chain[i];
		struct frame *f = &b->frame[i];

		f->dest = DEST_FLOOD; /* until looked up */
		f->len = c->len - hdr_len;
		/* One question; a faulty chain has no length. */
		if (UNLIKELY(f->len - FRAME_MIN > (uint32_t)(FRAME_MAX - FRAME_MIN))) {
			reject(b, i);
			bytes += f->len;
			continue; /* dropped, with its reason */
		}
		copy_head(b, c, hdr_len, offloads, f, &b->head[i]);
		bytes += f->len;
		if (UNLIKELY(vouch_for_header(offloads, f, &b->head[i]) < 0)) {
			burst_drop(b, i, DROP_BAD_OFFLOAD);
			continue; /* dropped, with its reason */
		}
		if (UNLIKELY(on_the_wire(f, &b->head[i]) > most)) {
			burst_drop(b, i, DROP_OVERSIZE);
			continue; /* likewise */
		}
		segments += segments_of(f, &b->head[i]);
		if (UNLIKELY(segments > BURST_SEGMENTS) && i) {
			bytes -= f->len;
			break; /* with what is behind it, for the next burst */
		}
	}
	burst_keep(b, i);
	b->bytes = bytes;
}

void burst_snapshot(struct burst *b)
{
	const struct port *from = b->source->port;

	b->plain = b->in.plain && from->hdr_len == VIRTIO_NET_HDR_LEN &&
	    snapshot_if_plain(b, from->sends_offload);
	if (UNLIKELY(!b->plain))
		snapshot_any(b);
}
