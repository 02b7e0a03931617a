/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The frame is first made whole in private memory, head from the snapshot and the rest from
 * the guest, so that what is parsed, checksummed and cut up cannot change meanwhile. Then its
 * checksum is completed, or it is segmented, and the result goes out in batches with one visit
 * to the ring each.
 */
#include "datapath/fallback.h"

#include <stdlib.h>

#include <rte_pause.h>

#include "datapath/copy.h"
#include "datapath/deliver.h"
#include "datapath/offload.h"

#define BATCH   BURST_FRAMES
#define RETRIES 64 /* a segmented frame is worth more patience: losing one part loses it all */

struct fallback {
	uint8_t linear[FRAME_MAX + CACHE_LINE];
	struct gso gso;
	unsigned n;
	struct gso_segment segment[BATCH];
	uint8_t header[BATCH][GSO_HEADER_MAX];
};

struct fallback *fallback_create(void)
{
	return malloc(sizeof(struct fallback));
}

void fallback_destroy(struct fallback *fb)
{
	free(fb);
}

static void linearize(const struct burst *b, unsigned i, uint8_t *to)
{
	const struct frame *f = &b->frame[i];
	const struct vring_segment *s = &b->in.segment[f->segment];
	uint32_t offset = f->offset;

	memcpy(to, b->head[i].data, f->head_len);
	to += f->head_len;
	for (unsigned k = 0; k < f->n_segments; k++) {
		memcpy(to, s[k].addr + offset, s[k].len - offset);
		to += s[k].len - offset;
		offset = 0;
	}
}

static void write_segment(
    struct burst *b, struct queue *q, const struct gso_segment *seg, const struct vring_room *room)
{
	struct virtio_net_hdr net = {.num_buffers = room->n_chains};
	struct scatter to;

	scatter_begin(&to, &b->out, room, b->level);
	scatter_write(&to, (const uint8_t *)&net, q->port->hdr_len);
	scatter_write(&to, seg->header, seg->header_len);
	scatter_write(&to, seg->payload, seg->payload_len);
	q->stats.frames++;
	q->stats.bytes += seg->header_len + seg->payload_len;
}

/* Deliver what the ring takes of the batch from `from` on. Returns how many are settled. */
static unsigned batch_offer(struct burst *b, struct queue *q, unsigned from)
{
	struct fallback *fb = b->fallback;
	struct vring_room room[BATCH];
	uint32_t need[BATCH];
	unsigned k, decided;

	for (k = from; k < fb->n; k++)
		need[k] = q->port->hdr_len + fb->segment[k].header_len + fb->segment[k].payload_len;
	decided = vring_reserve(q->ring, &b->out, need + from, fb->n - from, room);
	for (k = 0; k < decided && room[k].status != VRING_ROOM_NONE; k++) {
		if (room[k].status == VRING_ROOM_OK)
			write_segment(b, q, &fb->segment[from + k], &room[k]);
		else
			deliver_drop_room(q, room[k].status);
	}
	vring_complete(q->ring, &b->out);
	return k;
}

static void batch_flush(struct burst *b, struct queue *q)
{
	struct fallback *fb = b->fallback;
	unsigned settled = 0;

	for (unsigned try = 0; settled < fb->n && try < RETRIES; try++) {
		unsigned done = batch_offer(b, q, settled);

		settled += done;
		if (done == 0)
			rte_pause();
	}
	deliver_drop_full(q, fb->n - settled);
	fb->n = 0;
}

static void deliver_whole(struct burst *b, struct queue *q, uint32_t len)
{
	struct fallback *fb = b->fallback;

	fb->segment[0] = (struct gso_segment){.payload = fb->linear, .payload_len = len};
	fb->n = 1;
	batch_flush(b, q);
}

static void deliver_segments(struct burst *b, struct queue *q)
{
	struct fallback *fb = b->fallback;
	struct gso_segment seg;
	uint64_t made = 0;

	fb->n = 0;
	while (gso_next(&fb->gso, &seg)) {
		memcpy(fb->header[fb->n], seg.header, seg.header_len);
		seg.header = fb->header[fb->n];
		fb->segment[fb->n++] = seg;
		made++;
		if (fb->n == BATCH)
			batch_flush(b, q);
	}
	batch_flush(b, q);
	b->source->stats.segments += made - 1;
}

void deliver_fallback(struct burst *b, struct queue *q, unsigned i)
{
	struct fallback *fb = b->fallback;
	const struct virtio_net_hdr *net = &b->head[i].net;
	uint32_t len = b->frame[i].len;
	int err;

	linearize(b, i, fb->linear);
	if (net->gso_type == VIRTIO_NET_HDR_GSO_NONE) {
		err = offload_checksum(fb->linear, len, net);
		if (!err)
			deliver_whole(b, q, len);
	} else {
		err = gso_begin(&fb->gso, fb->linear, len, net);
		if (!err)
			deliver_segments(b, q);
	}
	if (err)
		q->stats.drops[DROP_CANNOT_SEGMENT]++;
}
