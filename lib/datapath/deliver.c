/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * All frames of a group go to one ring in one visit. The steps are: reserve a buffer for each
 * frame, prefetch the cache lines that will be written, copy, complete. The head of a frame is
 * copied from the snapshot, the rest from the source guest. Frames with an offload that the
 * destination does not accept go through fallback.c. The order of frames stays.
 *
 * The net header is written only if the buffer does not already contain the same header. The header
 * often has a cache line of its own, before the frame. If a driver uses the same buffers again and
 * again, the buffer still contains the last header, and this is mostly the same header. If the line
 * is only read, both cores can keep it in their caches: with testpmd, split rings and 64 bytes a
 * frame takes 49 instead of 61 cycles (AMD EPYC). But if a driver always uses new buffers,
 * the comparison costs time and finds nothing. So after a visit that wrote most headers, the next
 * HEADERS_BLIND visits write headers without comparing. The comparison is safe: if a guest changes
 * the header after it, the guest changes only its own buffer.
 *
 * Threads: the worker that polls the source; q->lock if several workers write the ring.
 */
#include "base/cpu.h"
#include "datapath/deliver.h"

#include <string.h>

#include "datapath/copy.h"
#include "datapath/edit.h"
#include "datapath/fallback.h"
#include "datapath/notify.h"
#include "datapath/queue.h"

/* After a visit that wrote most headers, skip the comparison for this many visits. */
#define HEADERS_BLIND 64

void deliver_drop_rest(struct group *g)
{
	unsigned n = g->n - g->done + (g->rest ? g->rest - 1u : 0);
	struct queue *q = g->queue;

	q->stats.drops[q->ops->lack(q)] += n;
	g->done = g->n;
	g->part = g->rest = 0;
}

/*
 * Write the net header if the buffer contains another header. blind: write it without comparing.
 * True: it was written.
 */
static ALWAYS_INLINE bool write_header(uint8_t *to, const struct virtio_net_hdr *net, bool blind)
{
	uint64_t low, there_low;
	uint32_t high, there_high;

	memcpy(&low, net, 8);
	memcpy(&high, (const uint8_t *)net + 8, 4);
	if (!blind) {
		memcpy(&there_low, to, 8);
		memcpy(&there_high, to + 8, 4);
		if (LIKELY(there_low == low && there_high == high))
			return false;
	}
	memcpy(to, &low, 8);
	memcpy(to + 8, &high, 4);
	return true;
}

/* Copy a head of another length than HEAD_BYTES. It is longer if a tag was added. */
static ALWAYS_INLINE void copy_head(uint8_t *to, const uint8_t *from, uint32_t n)
{
	if (LIKELY(n < HEAD_BYTES)) {
		copy_short(to, from, n);
		return;
	}
	memcpy(to, from, HEAD_BYTES);
	memcpy(to + n - HEAD_BYTES, from + n - HEAD_BYTES, HEAD_BYTES);
}

/* Copy a frame into one segment: the common case. True: the net header was written. */
static ALWAYS_INLINE bool copy_flat(
    const struct burst *b, const struct frame *f, const struct head *h, uint8_t *to, bool blind)
{
	bool wrote = write_header(to, &h->net, blind);

	to += VIRTIO_NET_HDR_LEN;
	if (LIKELY(f->head_len == HEAD_BYTES))
		memcpy(to, h->data, HEAD_BYTES);
	else
		copy_head(to, h->data, f->head_len);
	if (f->n_segments == 0)
		return wrote;
	to += f->head_len;

	const struct vring_segment *s = &b->in.segment[f->segment];

	copy_bytes(to, s->addr + f->offset, s->len - f->offset, b->level);
	to += s->len - f->offset;
	for (unsigned k = 1; k < f->n_segments; k++) {
		copy_bytes(to, s[k].addr, s[k].len, b->level);
		to += s[k].len;
	}
	return wrote;
}

/* Copy a frame into any number of buffers and segments. */
static void copy_scattered(struct burst *b, const struct frame *f, const struct head *h,
    unsigned hdr_len, const struct vring_reservation *reserved)
{
	struct virtio_net_hdr net = h->net;
	struct scatter to;

	net.num_buffers = reserved->n_chains;
	scatter_begin(&to, &b->out, reserved, b->level);
	scatter_write(&to, (const uint8_t *)&net, hdr_len);
	scatter_write(&to, h->data, f->head_len);

	const struct vring_segment *s = &b->in.segment[f->segment];
	uint32_t offset = f->offset;

	for (unsigned k = 0; k < f->n_segments; k++) {
		scatter_write(&to, s[k].addr + offset, s[k].len - offset);
		offset = 0;
	}
}

/*
 * Prefetch the lines of a buffer: those of a head of head_max bytes for writing, but the net header
 * only for reading if not blind.
 */
static ALWAYS_INLINE void prefetch_buffer(const uint8_t *at, uint32_t head_max, bool blind)
{
	__builtin_prefetch(at + VIRTIO_NET_HDR_LEN, 1);
	__builtin_prefetch(at + VIRTIO_NET_HDR_LEN + head_max - 1, 1);
	if (blind)
		__builtin_prefetch(at, 1);
	else
		__builtin_prefetch(at, 0);
}

static ALWAYS_INLINE void prefetch_reserved(
    const struct burst *b, const struct vring_reservation reserved[], unsigned n, bool blind)
{
	for (unsigned k = 0; k < n; k++) {
		if (UNLIKELY(reserved[k].status != VRING_RESERVE_OK))
			continue; /* nothing will be written */
		prefetch_buffer(b->out.segment[b->out.chain[reserved[k].chain].segment].addr,
		    HEAD_BYTES, blind);
	}
}

/*
 * Deliver the frames for which buffers are reserved. need[]: the length of each frame with its net
 * header. *ret_wrote: how many headers were written. Returns how many frames were delivered or
 * dropped.
 */
static ALWAYS_INLINE unsigned deliver_reserved(struct burst *b, struct queue *q,
    const uint8_t frames[], const uint32_t need[], const struct vring_reservation reserved[],
    unsigned n, bool blind, unsigned *ret_wrote)
{
	unsigned hdr_len = q->port->hdr_len, wrote = 0, good = 0, k;
	bool usual = hdr_len == VIRTIO_NET_HDR_LEN;
	uint64_t bytes = 0;

	prefetch_reserved(b, reserved, n, blind);
	for (k = 0; k < n; k++) {
		unsigned i = frames[k];
		const struct vring_segment *first;

		if (UNLIKELY(reserved[k].status != VRING_RESERVE_OK)) {
			if (reserved[k].status == VRING_RESERVE_NONE)
				break;
			queue_drop_unreserved(q, reserved[k].status);
			continue; /* the frame is dropped, and counted */
		}
		first = &b->out.segment[b->out.chain[reserved[k].chain].segment];
		/* NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Assign): n of need[] are set */
		bytes += need[k];
		good++;
		if (LIKELY(first->len >= need[k] && usual)) {
			wrote += copy_flat(b, &b->frame[i], &b->head[i], first->addr, blind);
			continue; /* the usual case */
		}
		copy_scattered(b, &b->frame[i], &b->head[i], hdr_len, &reserved[k]);
		wrote++;
	}
	q->stats.frames += good;
	q->stats.bytes += bytes - (uint64_t)good * hdr_len;
	*ret_wrote = wrote;
	return k;
}

/*
 * Copy the head of a frame of a plain burst, at most n bytes. resize: see struct change. The
 * addresses keep their place, and the bytes behind them move. tag: its last 4 bytes are the tag.
 * No byte outside of the frame is written.
 */
static ALWAYS_INLINE void copy_plain_head(
    uint8_t *to, const uint8_t *head, uint32_t n, bool shorts, int resize, bytes16 tag)
{
	uint32_t skip = resize < 0 ? VLAN_TAG_LEN : 0, move = resize > 0 ? VLAN_TAG_LEN : 0;

	if (shorts || skip)
		copy_short(to + move, head + skip, n - skip);
	else
		memcpy(to + move, head, HEAD_BYTES);
	if (move)
		bytes16_store(to, bytes16_join(bytes16_load(head), tag));
	else if (skip && shorts) /* there may be less than 16 bytes */
		memcpy(to, head, VLAN_TAG_AT);
	else if (skip)
		bytes16_store(to, bytes16_join(bytes16_load(head), bytes16_load(head + skip)));
}

/*
 * Copy frames of a plain burst into buffers of one segment. frames: the indices of n frames; NULL:
 * the first n frames. shorts: some frames may be shorter than HEAD_BYTES. asks: some frames may ask
 * for a checksum. resize, tag: see struct change. Returns how many headers were written.
 */
static ALWAYS_INLINE unsigned copy_plain(struct burst *b, const uint8_t frames[], unsigned n,
    bool blind, bool shorts, bool asks, int resize, uint32_t tag, uint64_t *ret_bytes)
{
	uint64_t bytes = 0;
	unsigned wrote = 0;
	uint8_t tag_bytes[VLAN_TAG_AT + VLAN_TAG_LEN] = {0};

	store32(tag_bytes + VLAN_TAG_AT, tag);
	for (unsigned k = 0; k < n; k++)
		prefetch_buffer(b->out.segment[k].addr, HEAD_BYTES + MAX(resize, 0), blind);
	for (unsigned k = 0; k < n; k++) {
		unsigned i = frames ? frames[k] : k;
		uint8_t *to = b->out.segment[k].addr;
		uint32_t len = b->frame[i].len;
		uint32_t head = shorts ? MIN(len, HEAD_BYTES) : HEAD_BYTES, rest = len - head;

		bytes += len;
		wrote += write_header(to, asks ? &b->head[i].net : &no_offload_header, blind);
		copy_plain_head(to + VIRTIO_NET_HDR_LEN, b->head[i].data, head, shorts, resize,
		    bytes16_load(tag_bytes));
		if (rest)
			copy_bytes(to + VIRTIO_NET_HDR_LEN + HEAD_BYTES + resize,
			    b->in.segment[i].addr + VIRTIO_NET_HDR_LEN + HEAD_BYTES, rest,
			    b->level);
	}
	*ret_bytes = bytes + (int64_t)n * resize;
	return wrote;
}

/* Copy frames of a group that loses or gets tags. None of them asks for a checksum. */
static ALWAYS_INLINE unsigned copy_changed(
    struct burst *b, const struct group *g, unsigned n, bool blind, int resize, uint64_t *ret_bytes)
{
	uint32_t tag = g->change.tag;

	return n == b->n && !b->shorts
	    ? copy_plain(b, NULL, n, blind, false, false, resize, tag, ret_bytes)
	    : copy_plain(b, g->frame + g->done, n, blind, true, false, resize, tag, ret_bytes);
}

static ALWAYS_INLINE unsigned copy_changed_ways(
    struct burst *b, const struct group *g, unsigned n, bool blind, uint64_t *ret_bytes)
{
	if (g->change.resize > 0)
		return copy_changed(b, g, n, blind, VLAN_TAG_LEN, ret_bytes);
	if (g->change.resize < 0)
		return copy_changed(b, g, n, blind, -VLAN_TAG_LEN, ret_bytes);
	return copy_plain(b, g->frame + g->done, n, blind, true, false, 0, 0, ret_bytes);
}

static ALWAYS_INLINE unsigned copy_plain_ways(
    struct burst *b, const uint8_t frames[], unsigned n, bool blind, uint64_t *ret_bytes)
{
	if (b->plain_needs)
		return b->shorts ? copy_plain(b, frames, n, blind, true, true, 0, 0, ret_bytes)
				 : copy_plain(b, frames, n, blind, false, true, 0, 0, ret_bytes);
	if (blind)
		return copy_plain(b, frames, n, true, b->shorts, false, 0, 0, ret_bytes);
	if (b->shorts)
		return copy_plain(b, frames, n, false, true, false, 0, 0, ret_bytes);
	return frames ? copy_plain(b, frames, n, false, false, false, 0, 0, ret_bytes)
		      : copy_plain(b, NULL, n, false, false, false, 0, 0, ret_bytes);
}

static unsigned copy_plain_baseline(
    struct burst *b, const uint8_t frames[], unsigned n, bool blind, uint64_t *ret_bytes)
{
	return copy_plain_ways(b, frames, n, blind, ret_bytes);
}

static CPU_AVX2 unsigned copy_plain_avx2(
    struct burst *b, const uint8_t frames[], unsigned n, bool blind, uint64_t *ret_bytes)
{
	return copy_plain_ways(b, frames, n, blind, ret_bytes);
}

static CPU_AVX512 unsigned copy_plain_avx512(
    struct burst *b, const uint8_t frames[], unsigned n, bool blind, uint64_t *ret_bytes)
{
	return copy_plain_ways(b, frames, n, blind, ret_bytes);
}

static unsigned copy_all_plain(
    struct burst *b, const uint8_t frames[], unsigned n, bool blind, uint64_t *ret_bytes)
{
	if (b->level == CPU_LEVEL_AVX512)
		return copy_plain_avx512(b, frames, n, blind, ret_bytes);
	if (b->level == CPU_LEVEL_AVX2)
		return copy_plain_avx2(b, frames, n, blind, ret_bytes);
	return copy_plain_baseline(b, frames, n, blind, ret_bytes);
}

static unsigned copy_changed_baseline(
    struct burst *b, const struct group *g, unsigned n, bool blind, uint64_t *ret_bytes)
{
	return copy_changed_ways(b, g, n, blind, ret_bytes);
}

static CPU_AVX2 unsigned copy_changed_avx2(
    struct burst *b, const struct group *g, unsigned n, bool blind, uint64_t *ret_bytes)
{
	return copy_changed_ways(b, g, n, blind, ret_bytes);
}

static CPU_AVX512 unsigned copy_changed_avx512(
    struct burst *b, const struct group *g, unsigned n, bool blind, uint64_t *ret_bytes)
{
	return copy_changed_ways(b, g, n, blind, ret_bytes);
}

static unsigned copy_all_changed(
    struct burst *b, const struct group *g, unsigned n, bool blind, uint64_t *ret_bytes)
{
	if (b->level == CPU_LEVEL_AVX512)
		return copy_changed_avx512(b, g, n, blind, ret_bytes);
	if (b->level == CPU_LEVEL_AVX2)
		return copy_changed_avx2(b, g, n, blind, ret_bytes);
	return copy_changed_baseline(b, g, n, blind, ret_bytes);
}

static unsigned reserve_plain(struct burst *b, struct queue *q, const uint8_t frames[], unsigned n)
{
	uint32_t need[BURST_FRAMES];

	if (n == b->n) /* a group of all frames is in order */
		return queue_reserve_alike(q, &b->out, &b->in, 0, n);
	for (unsigned k = 0; k < n; k++) {
		need[k] = b->in.chain[frames[k]].len;
		__asm__(""); /* do not vectorize: n is small, and the code before the loop long */
	}
	return queue_reserve_single(q, &b->out, need, n);
}

/* The frames of a plain burst were copied to the first n buffers: account and complete. */
static ALWAYS_INLINE void finish_plain(
    struct burst *b, struct queue *q, unsigned n, bool blind, unsigned wrote, uint64_t bytes)
{
	if (blind)
		q->headers_blind--;
	else if (2 * wrote > n)
		q->headers_blind = HEADERS_BLIND;
	q->stats.frames += n;
	q->stats.bytes += bytes;
	queue_complete(q, &b->out);
}

/*
 * Deliver frames of a plain burst, up to the first buffer that has several segments. Returns how
 * many frames were delivered.
 */
static ALWAYS_INLINE unsigned deliver_plain(
    struct burst *b, struct queue *q, const uint8_t frames[], unsigned n)
{
	uint64_t bytes;
	unsigned wrote;
	bool blind = q->headers_blind > 0;

	n = reserve_plain(b, q, frames, n);
	wrote = copy_all_plain(b, n == b->n ? NULL : frames, n, blind, &bytes);
	finish_plain(b, q, n, blind, wrote, bytes);
	return n;
}

static unsigned reserve_changed(struct burst *b, const struct group *g)
{
	uint32_t need[BURST_FRAMES];
	unsigned n = g->n - g->done;

	if (n == b->n)
		return queue_reserve_alike(g->queue, &b->out, &b->in, g->change.resize, n);
	for (unsigned k = 0; k < n; k++)
		need[k] = b->in.chain[g->frame[g->done + k]].len + g->change.resize;
	return queue_reserve_single(g->queue, &b->out, need, n);
}

/* deliver_plain() for a burst in which groups have changes. */
static unsigned deliver_changed(struct burst *b, const struct group *g)
{
	uint64_t bytes;
	unsigned wrote, n;
	bool blind = g->queue->headers_blind > 0;

	n = reserve_changed(b, g);
	wrote = copy_all_changed(b, g, n, blind, &bytes);
	finish_plain(b, g->queue, n, blind, wrote, bytes);
	return n;
}

/*
 * Deliver frames that the driver can take as they are. Returns how many were delivered or dropped.
 * For the others the queue had too few buffers.
 */
static unsigned deliver_native(struct burst *b, struct queue *q, const uint8_t frames[], unsigned n)
{
	struct vring_reservation reserved[BURST_FRAMES];
	uint32_t need[BURST_FRAMES];
	unsigned settled = 0;

	for (unsigned k = 0; k < n; k++)
		need[k] = b->frame[frames[k]].len + q->port->hdr_len;
	while (settled < n) {
		unsigned decided = queue_reserve(q, &b->out, need + settled, n - settled, reserved);
		unsigned wrote, k;

		if (q->headers_blind) {
			q->headers_blind--;
			k = deliver_reserved(b, q, frames + settled, need + settled, reserved,
			    decided, true, &wrote);
		} else {
			k = deliver_reserved(b, q, frames + settled, need + settled, reserved,
			    decided, false, &wrote);
			if (2 * wrote > k)
				q->headers_blind = HEADERS_BLIND;
		}
		queue_complete(q, &b->out);
		settled += k;
		if (k < decided || decided == 0)
			break;
	}
	return settled;
}

/*
 * Deliver a group in which some frames need fallback.c. Between them, runs of other frames are
 * delivered together.
 */
static void deliver_mixed(struct burst *b, struct group *g)
{
	uint32_t lacks = ~g->queue->port->accepts;

	while (g->done < g->n) {
		const uint8_t *frames = g->frame + g->done;
		unsigned left = g->n - g->done, run = 0, went;

		while (run < left && !(b->frame[frames[run]].needs & lacks))
			run++;
		if (run) {
			went = deliver_native(b, g->queue, frames, run);
			g->done += went;
			if (went < run)
				break;
			continue; /* the run is done: go on with the frame after it */
		}
		if (!deliver_fallback(b, g))
			break;
		g->done++;
	}
}

/* A general burst has its changes in the heads. */
static void edit_rest(struct burst *b, const struct group *g)
{
	for (unsigned k = g->done; g->change.resize && k < g->n; k++)
		edit_head(b, g->frame[k], g->change.tag);
}

static void deliver_any(struct burst *b, struct group *g)
{
	struct queue *q = g->queue;

	burst_fill_in(b);
	edit_rest(b, g);
	vring_visit(&b->out);
	if (LIKELY(!(g->needs & ~q->port->accepts)))
		g->done += deliver_native(b, q, g->frame + g->done, g->n - g->done);
	else
		deliver_mixed(b, g);
}

/* Can the queue take frames of a plain burst as they are, except their tags? */
static ALWAYS_INLINE bool takes_plain(const struct burst *b, const struct queue *q)
{
	return q->port->hdr_len == VIRTIO_NET_HDR_LEN && !(b->plain_needs & ~q->port->accepts);
}

/* Deliver the frames that deliver_group() did not. plain: deliver_plain() has been tried. */
static __attribute__((noinline)) void deliver_rest(struct burst *b, struct group *g, bool plain)
{
	struct queue *q = g->queue;

	if (!plain && b->plain && takes_plain(b, q)) {
		g->done += deliver_changed(b, g);
		plain = true;
	}
	if (g->done == g->n)
		return;
	if (!plain || queue_has_avail(q))
		deliver_any(b, g);
	g->more = q->ops->more(q);
}

void deliver_group(struct burst *b, struct group *g)
{
	struct queue *q = g->queue;
	bool plain = b->verbatim && takes_plain(b, q);

	if (q->shared)
		rte_spinlock_lock(&q->lock);
	if (plain)
		g->done += deliver_plain(b, q, g->frame + g->done, g->n - g->done);
	if (UNLIKELY(g->done < g->n))
		deliver_rest(b, g, plain);
	if (q->shared)
		queue_unlock_and_notify(b, q);
	else
		queue_notify_later(b, q);
}
