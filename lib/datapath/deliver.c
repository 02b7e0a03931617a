/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/deliver.h"

#include <string.h>

#include "datapath/copy.h"
#include "datapath/fallback.h"
#include "datapath/notify.h"

void deliver_drop_full(struct queue *q, unsigned n)
{
	enum drop_reason reason = DROP_RING_FULL;

	if (q->ring->broken)
		reason = DROP_RING_BROKEN;
	else if (vring_stalled(q->ring))
		reason = DROP_IOTLB_MISS;
	q->stats.drops[reason] += n;
}

void deliver_drop_room(struct queue *q, enum vring_room_status status)
{
	q->stats.drops[status == VRING_ROOM_TOO_SMALL ? DROP_TOO_SMALL : DROP_BAD_BUFFER]++;
}

/* The frame in one piece of the guest's memory: the common case. */
static ALWAYS_INLINE void copy_flat(
    const struct burst *b, const struct frame *f, const struct head *h, uint8_t *to)
{
	if (LIKELY(f->head_len == HEAD_BYTES))
		memcpy(to, h, VIRTIO_NET_HDR_LEN + HEAD_BYTES);
	else
		copy_bytes(to, (const uint8_t *)h, VIRTIO_NET_HDR_LEN + f->head_len);
	if (f->n_segments == 0)
		return;
	to += VIRTIO_NET_HDR_LEN + f->head_len;

	const struct vring_segment *s = &b->in.segment[f->segment];

	copy_bytes(to, s->addr + f->offset, s->len - f->offset);
	to += s->len - f->offset;
	for (unsigned k = 1; k < f->n_segments; k++) {
		copy_bytes(to, s[k].addr, s[k].len);
		to += s[k].len;
	}
}

/* The frame over any number of buffers and pieces. */
static void copy_scattered(struct burst *b, const struct frame *f, const struct head *h,
    unsigned hdr_len, const struct vring_room *room)
{
	struct virtio_net_hdr net = h->net;
	struct scatter to;

	net.num_buffers = room->n_chains;
	scatter_begin(&to, &b->out, room);
	scatter_write(&to, (const uint8_t *)&net, hdr_len);
	scatter_write(&to, h->data, f->head_len);

	const struct vring_segment *s = &b->in.segment[f->segment];
	uint32_t offset = f->offset;

	for (unsigned k = 0; k < f->n_segments; k++) {
		scatter_write(&to, s[k].addr + offset, s[k].len - offset);
		offset = 0;
	}
}

static ALWAYS_INLINE void deliver_one(
    struct burst *b, unsigned i, unsigned hdr_len, const struct vring_room *room)
{
	const struct frame *f = &b->frame[i];
	const struct vring_chain *c = &b->out.chain[room->chain];
	const struct vring_segment *first = &b->out.segment[c->segment];

	if (LIKELY(first->len >= hdr_len + f->len && hdr_len == VIRTIO_NET_HDR_LEN))
		copy_flat(b, f, &b->head[i], first->addr);
	else
		copy_scattered(b, f, &b->head[i], hdr_len, room);
}

static void prefetch_room(const struct burst *b, const struct vring_room room[], unsigned n)
{
	for (unsigned k = 0; k < n; k++) {
		if (UNLIKELY(room[k].status != VRING_ROOM_OK))
			continue; /* nothing will be written */
		const uint8_t *p = b->out.segment[b->out.chain[room[k].chain].segment].addr;

		__builtin_prefetch(p, 1);
		__builtin_prefetch(p + CACHE_LINE, 1);
	}
}

/* Frames that q's driver can take as they are. Returns how many are settled. */
static unsigned deliver_native(struct burst *b, struct queue *q, const uint8_t frames[], unsigned n)
{
	struct vring_room room[BURST_FRAMES];
	uint32_t need[BURST_FRAMES];
	unsigned hdr_len = q->port->hdr_len;
	unsigned settled = 0;

	for (unsigned k = 0; k < n; k++)
		need[k] = b->frame[frames[k]].len + hdr_len;
	while (settled < n) {
		unsigned decided =
		    vring_reserve(q->ring, &b->out, need + settled, n - settled, room);
		unsigned k;

		prefetch_room(b, room, decided);
		for (k = 0; k < decided && room[k].status != VRING_ROOM_NONE; k++) {
			unsigned i = frames[settled + k];

			if (UNLIKELY(room[k].status != VRING_ROOM_OK)) {
				deliver_drop_room(q, room[k].status);
				continue;
			}
			deliver_one(b, i, hdr_len, &room[k]);
			q->stats.frames++;
			q->stats.bytes += b->frame[i].len;
		}
		vring_complete(q->ring, &b->out);
		settled += k;
		if (k < decided || decided == 0)
			break;
	}
	return settled;
}

/* Runs of frames that can go as they are, and between them frames that need work first. */
static unsigned deliver_mixed(struct burst *b, struct queue *q, const uint8_t frames[], unsigned n)
{
	uint32_t lacks = ~q->port->accepts;
	unsigned settled = 0;

	while (settled < n) {
		unsigned run = 0;

		while (settled + run < n && !(b->frame[frames[settled + run]].needs & lacks))
			run++;
		if (run) {
			unsigned done = deliver_native(b, q, frames + settled, run);

			settled += done;
			if (done < run)
				break;
			continue; /* all of the run went; look at what stopped it */
		}
		deliver_fallback(b, q, frames[settled]);
		settled++;
	}
	return settled;
}

unsigned deliver_frames(struct burst *b, struct queue *q, const uint8_t frames[], unsigned n)
{
	uint32_t needs = 0;
	unsigned settled;

	for (unsigned k = 0; k < n; k++)
		needs |= b->frame[frames[k]].needs;
	if (q->shared)
		rte_spinlock_lock(&q->lock);
	if (LIKELY(!(needs & ~q->port->accepts)))
		settled = deliver_native(b, q, frames, n);
	else
		settled = deliver_mixed(b, q, frames, n);
	queue_notify(b, q);
	queue_tell_misses(q);
	if (q->shared)
		rte_spinlock_unlock(&q->lock);
	return settled;
}
