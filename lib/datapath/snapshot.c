/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage 2: make a private copy of the bytes on which decisions are made.
 *
 * The first HEAD_BYTES of every frame are copied into b->head. The net header is copied, too, if
 * the port may ask for offloads. After this stage these bytes are never read from the guest again.
 * The decisions use the copy, and the copy is delivered.
 *
 * Within the stage they can be read more than once. First a burst is taken for a plain one. If a
 * frame asks for an offload, the net headers are read in a second pass. If the burst is not plain
 * after all, everything is read anew. The guest may have changed it meanwhile. So each pass checks
 * what it has read itself, and overwrites what it replaces; only the last copy is used.
 */
#include "datapath/burst.h"

#include <errno.h>
#include <string.h>

#include <rte_prefetch.h>

#include "datapath/copy.h"
#include "datapath/offload.h"

#define WHOLE_HEAD (VIRTIO_NET_HDR_LEN + HEAD_BYTES)

/* Copy the heads of a plain burst. True: the net header of a frame has flags or a GSO type. */
static ALWAYS_INLINE bool copy_plain_heads(struct burst *b, bool offloads, bool shorts)
{
	const struct vring_segment *segment = b->in.segment;
	unsigned n = b->n;
	uint16_t asked = 0; /* flags and gso_type, of all frames together */

	for (unsigned i = 0; i < n; i++) {
		uint16_t asks;

		if (offloads) {
			memcpy(&asks, segment[i].addr, 2);
			asked |= asks;
		}
		if (shorts)
			copy_short(b->head[i].data, segment[i].addr + VIRTIO_NET_HDR_LEN,
			    MIN(b->frame[i].len, HEAD_BYTES));
		else
			memcpy(b->head[i].data, segment[i].addr + VIRTIO_NET_HDR_LEN, HEAD_BYTES);
	}
	return asked;
}

/*
 * Make the snapshot of a plain burst (see struct burst), without net headers. A plain burst needs
 * few checks. False: the burst is not plain; then snapshot_any() must make the snapshot.
 * *ret_asked: a frame may ask for an offload, so read_plain_headers() must follow.
 */
static ALWAYS_INLINE bool snapshot_plain(struct burst *b, bool offloads, bool *ret_asked)
{
	const struct vring_segment *segment = b->in.segment;
	unsigned skip = offloads ? 0 : VIRTIO_NET_HDR_LEN, n = b->n;
	uint32_t most = port_frame_max(b->source->port) - HEAD_BYTES;
	uint64_t bytes = 0;

	b->shorts = false;
	b->plain_needs = 0;
	for (unsigned i = 0; i < n; i++) {
		uint32_t len = segment[i].len - VIRTIO_NET_HDR_LEN;

		if (UNLIKELY(len - HEAD_BYTES > most)) {
			if (len - FRAME_MIN >= HEAD_BYTES - FRAME_MIN)
				return false;
			b->shorts = true;
		}
		rte_prefetch0(segment[i].addr + skip);
		rte_prefetch0(segment[i].addr + WHOLE_HEAD - 1);
		b->frame[i].len = len;
		bytes += len;
	}
	if (UNLIKELY(bytes > BURST_BYTES))
		return false;
	b->bytes = bytes;
	*ret_asked =
	    b->shorts ? copy_plain_heads(b, offloads, true) : copy_plain_heads(b, offloads, false);
	return true;
}

static bool snapshot_plain_baseline(struct burst *b, bool offloads, bool *ret_asked)
{
	return offloads ? snapshot_plain(b, true, ret_asked) : snapshot_plain(b, false, ret_asked);
}

static CPU_AVX2 bool snapshot_plain_avx2(struct burst *b, bool offloads, bool *ret_asked)
{
	return offloads ? snapshot_plain(b, true, ret_asked) : snapshot_plain(b, false, ret_asked);
}

static CPU_AVX512 bool snapshot_plain_avx512(struct burst *b, bool offloads, bool *ret_asked)
{
	return offloads ? snapshot_plain(b, true, ret_asked) : snapshot_plain(b, false, ret_asked);
}

static bool snapshot_if_plain(struct burst *b, bool offloads, bool *ret_asked)
{
	if (b->level == CPU_LEVEL_AVX512)
		return snapshot_plain_avx512(b, offloads, ret_asked);
	if (b->level == CPU_LEVEL_AVX2)
		return snapshot_plain_avx2(b, offloads, ret_asked);
	return snapshot_plain_baseline(b, offloads, ret_asked);
}

void burst_fill_in(struct burst *b)
{
	if (!b->plain)
		return;
	b->plain = b->verbatim = false;
	for (unsigned i = 0; i < b->n; i++) {
		struct frame *f = &b->frame[i];

		if (!b->plain_needs) {
			b->head[i].net = no_offload_header;
			f->needs = 0;
		}
		f->head_len = MIN(f->len, HEAD_BYTES);
		f->segment = i + (f->len <= HEAD_BYTES);
		f->n_segments = f->len > HEAD_BYTES;
		f->offset = WHOLE_HEAD;
	}
}

/*
 * Prefetch the first bytes of all frames. The first cache line of a buffer often contains only the
 * net header. If the port may not ask for offloads, the header is skipped, so that this line is not
 * fetched from the guest's core.
 */
static ALWAYS_INLINE void prefetch_heads(const struct burst *b, unsigned skip)
{
	for (unsigned i = 0; i < b->n; i++) {
		const struct vring_chain *c = &b->in.chain[i];
		const struct vring_segment *s = &b->in.segment[c->segment];

		if (c->n_segments == 0)
			continue; /* a faulty chain; dropped below */
		rte_prefetch0(s->addr + skip);
		/* A net header may have a descriptor of its own. */
		if (c->n_segments > 1 && s->len < WHOLE_HEAD) {
			rte_prefetch0(s[1].addr);
			rte_prefetch0(s[1].addr + HEAD_BYTES - 1);
			continue; /* the second segment has the head */
		}
		rte_prefetch0(s->addr + WHOLE_HEAD - 1);
	}
}

/*
 * Copy the head in pieces. This is needed for legacy headers and for headers in several
 * descriptors.
 */
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

/*
 * Copy the net header and the head of the frame, and find where the rest begins. There are two
 * usual layouts: the net header has the first segment for itself, or the frame begins behind the
 * net header in the same segment. gather_head() does all other layouts, for example a head in
 * several segments, and net headers of another length.
 */
static ALWAYS_INLINE void copy_head(const struct burst *b, const struct vring_chain *c,
    unsigned hdr_len, bool offloads, struct frame *f, struct head *h)
{
	const struct vring_segment *s = &b->in.segment[c->segment];
	unsigned alone = c->n_segments > 1 && s->len == VIRTIO_NET_HDR_LEN;
	uint32_t skip = alone ? 0 : VIRTIO_NET_HDR_LEN, head_end = skip + HEAD_BYTES;
	unsigned left = c->n_segments - alone;

	if (UNLIKELY(hdr_len != VIRTIO_NET_HDR_LEN || (s[alone].len < head_end && left > 1))) {
		gather_head(b, c, hdr_len, f, h);
		return;
	}
	bool whole = s[alone].len <= head_end;

	f->head_len = MIN(f->len, HEAD_BYTES);
	copy_short(h->data, s[alone].addr + skip, f->head_len);
	if (offloads)
		memcpy(&h->net, s->addr, VIRTIO_NET_HDR_LEN);
	f->segment = c->segment + alone + whole;
	f->n_segments = left - whole;
	f->offset = whole ? 0 : head_end;
}

/* Check the guest's net header. Set fields without a meaning to 0. */
static ALWAYS_INLINE int check_header(bool offloads, struct frame *f, struct head *h)
{
	struct virtio_net_hdr *net = &h->net;
	int err;

	if (LIKELY(!offloads || (net->flags == 0 && net->gso_type == 0))) {
		*net = no_offload_header;
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

/*
 * Check the net header of a frame that asks for a checksum or for nothing, and set fields without a
 * meaning to 0. False: the header is wrong.
 */
static ALWAYS_INLINE bool check_plain_header(struct frame *f, struct virtio_net_hdr *net)
{
	f->needs = 0;
	if (!(net->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)) {
		*net = no_offload_header;
		return true;
	}
	f->needs = OFFLOAD_CSUM;
	net->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	net->gso_size = 0;
	net->hdr_len = MIN(net->hdr_len, f->len);
	net->num_buffers = 1;
	return offload_checksum_fits(net, f->len);
}

/*
 * Read the net headers of a plain burst in which some frame may ask for an offload. False: a frame
 * asks for more than a checksum, or its header is wrong.
 */
static __attribute__((noinline)) bool read_plain_headers(struct burst *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		struct frame *f = &b->frame[i];
		struct head *h = &b->head[i];

		memcpy(&h->net, b->in.segment[i].addr, VIRTIO_NET_HDR_LEN);
		if (UNLIKELY(h->net.gso_type) || UNLIKELY(!check_plain_header(f, &h->net)))
			return false;
		b->plain_needs |= f->needs;
	}
	return true;
}

/*
 * Drop a faulty chain, or a frame that is too short or too long. The bytes of a frame that is too
 * long are counted; the bytes of the others are not.
 */
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

/*
 * The number of frames, from the first on, that together have at most BURST_BYTES, in at most
 * BURST_SEGMENTS. It is at least one.
 */
static unsigned within_limits(const struct burst *b)
{
	uint32_t bytes = 0, segments = 0;
	unsigned i;

	for (i = 0; i < b->n; i++) {
		bytes += b->in.chain[i].len;
		segments += b->in.chain[i].n_segments;
		if (i && (bytes > BURST_BYTES || segments > BURST_SEGMENTS))
			break;
	}
	return i;
}

/* About how many GSO segments a checked frame would need; 0: it asks for no segmentation. */
static uint32_t gso_segments_of(const struct frame *f, const struct head *h)
{
	return h->net.gso_type ? 1 + f->len / h->net.gso_size : 0;
}

/* The length of the frame, or of its longest GSO segment if it asks for segmentation. */
static uint32_t on_the_wire(const struct frame *f, const struct head *h)
{
	return h->net.gso_type ? offload_gso_segment_len(&h->net, f->len) : f->len;
}

/* Make the snapshot of any burst. */
static void snapshot_any(struct burst *b)
{
	const struct port *from = b->source->port;
	unsigned hdr_len = from->hdr_len, i;
	bool offloads = from->sends_offload;
	uint32_t gso_segments = 0, most = port_frame_max(from);
	uint64_t bytes = 0;

	burst_keep(b, within_limits(b));
	prefetch_heads(b, offloads ? 0 : hdr_len);
	for (i = 0; i < b->n; i++) {
		const struct vring_chain *c = &b->in.chain[i];
		struct frame *f = &b->frame[i];

		f->dest = DEST_FLOOD; /* until looked up */
		f->len = c->len - hdr_len;
		/* One comparison for both limits and for a faulty chain, which has length 0. */
		if (UNLIKELY(f->len - FRAME_MIN > (uint32_t)(FRAME_MAX - FRAME_MIN))) {
			reject(b, i);
			bytes += f->len;
			continue; /* dropped, with its reason */
		}
		copy_head(b, c, hdr_len, offloads, f, &b->head[i]);
		bytes += f->len;
		if (UNLIKELY(check_header(offloads, f, &b->head[i]) < 0)) {
			burst_drop(b, i, DROP_BAD_OFFLOAD);
			continue; /* dropped, with its reason */
		}
		if (UNLIKELY(on_the_wire(f, &b->head[i]) > most)) {
			burst_drop(b, i, DROP_OVERSIZE);
			continue; /* dropped, with its reason */
		}
		gso_segments += gso_segments_of(f, &b->head[i]);
		if (UNLIKELY(gso_segments > BURST_GSO_SEGMENTS) && i) {
			bytes -= f->len;
			break; /* this frame and those after it wait for the next burst */
		}
	}
	burst_keep(b, i);
	b->bytes = bytes;
}

void burst_snapshot(struct burst *b)
{
	const struct port *from = b->source->port;
	bool asked;

	b->plain = b->verbatim = b->in.single_segment && from->hdr_len == VIRTIO_NET_HDR_LEN &&
	    snapshot_if_plain(b, from->sends_offload, &asked) &&
	    (LIKELY(!asked) || read_plain_headers(b));
	if (UNLIKELY(!b->plain))
		snapshot_any(b);
}
