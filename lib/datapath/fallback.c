/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * First the whole frame is copied into private memory: the head from the snapshot, and the rest
 * from the guest. So the frame cannot change while it is parsed and segmented. Then its checksum is
 * filled in, or it is segmented. The results are delivered in batches. The length of each GSO
 * segment is known in advance. So buffers are reserved first, and a GSO segment is only made if
 * there is a buffer for it.
 *
 * If a ring becomes full before it has all GSO segments, the burst visits it again like any other
 * full ring (group.c). Then the frame is copied again, because other frames have used the private
 * memory meanwhile. If its number of GSO segments is different now, the guest has changed the
 * frame, and the rest of it is dropped.
 */
#include "datapath/fallback.h"

#include <stdlib.h>

#include "datapath/burst.h"
#include "datapath/copy.h"
#include "datapath/offload.h"
#include "datapath/queue.h"

#define BATCH BURST_FRAMES

struct fallback {
	uint8_t linear[FRAME_MAX + CACHE_LINE];
	bool whole; /* not segmented: the only result is the frame with its checksum */
	uint32_t len;
	struct gso gso;
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

static void write_gso_segment(struct burst *b, struct queue *q, const struct gso_segment *seg,
    const struct vring_reservation *reserved)
{
	struct virtio_net_hdr net = {.num_buffers = reserved->n_chains};
	struct scatter to;

	scatter_begin(&to, &b->out, reserved, b->level);
	scatter_write(&to, (const uint8_t *)&net, q->port->hdr_len);
	scatter_write(&to, seg->header, seg->header_len);
	scatter_write(&to, seg->payload, seg->payload_len);
	q->stats.frames++;
	q->stats.bytes += seg->header_len + seg->payload_len;
}

/*
 * Would there be too many GSO segments? Longer headers leave less payload to segment, so the
 * longest possible headers are assumed.
 */
static bool too_many(const struct virtio_net_hdr *net, uint32_t len)
{
	return len > GSO_HEADER_MAX && (len - GSO_HEADER_MAX) / net->gso_size > GSO_SEGMENTS_MAX;
}

static void spend(struct burst *b, uint32_t work)
{
	b->work -= MIN(b->work, work);
}

/* Copy frame i and prepare its results. Returns the number of results; 0: software cannot do it. */
static unsigned prepare(struct burst *b, unsigned i)
{
	struct fallback *fb = b->fallback;
	const struct virtio_net_hdr *net = &b->head[i].net;

	fb->len = b->frame[i].len;
	fb->whole = net->gso_type == VIRTIO_NET_HDR_GSO_NONE;
	if (!fb->whole && too_many(net, fb->len))
		return 0;
	spend(b, fb->len);
	linearize(b, i, fb->linear);
	if (fb->whole)
		return offload_checksum(fb->linear, fb->len, net) < 0 ? 0 : 1;
	return gso_begin(&fb->gso, fb->linear, fb->len, net) < 0 ? 0 : gso_count(&fb->gso);
}

static void write_result(
    struct burst *b, struct queue *q, unsigned number, const struct vring_reservation *reserved)
{
	struct fallback *fb = b->fallback;
	struct gso_segment seg = {.payload = fb->linear, .payload_len = fb->len};

	if (!fb->whole)
		gso_make(&fb->gso, number, &seg);
	write_gso_segment(b, q, &seg, reserved);
}

/*
 * Deliver results `from` to `to` - 1: at most one batch, and only as many as the ring has buffers
 * for. Returns how many results were delivered or dropped; 0: the ring is full.
 */
static unsigned offer(struct burst *b, struct queue *q, unsigned from, unsigned to)
{
	struct fallback *fb = b->fallback;
	unsigned n = MIN(to - from, (unsigned)BATCH), k, decided;
	struct vring_reservation reserved[BATCH];
	uint32_t need[BATCH];

	for (k = 0; k < n; k++)
		need[k] = q->port->hdr_len + (fb->whole ? fb->len : gso_len(&fb->gso, from + k));
	decided = queue_reserve(q, &b->out, need, n, reserved);
	for (k = 0; k < decided && reserved[k].status != VRING_RESERVE_NONE; k++) {
		if (reserved[k].status == VRING_RESERVE_OK)
			write_result(b, q, from + k, &reserved[k]);
		else
			queue_drop_unreserved(q, reserved[k].status);
	}
	queue_complete(q, &b->out);
	spend(b, k * GSO_SEGMENT_WORK);
	return k;
}

/* Drop the frame, or its GSO segments that are left. */
static bool give_up(struct group *g, enum drop_reason reason)
{
	g->queue->stats.drops[reason] += g->rest ? g->rest : 1;
	g->part = g->rest = 0;
	return true;
}

bool deliver_fallback(struct burst *b, struct group *g)
{
	struct queue *q = g->queue;
	unsigned n, at = g->part, went;

	if (!queue_has_avail(q))
		return false;
	if (!b->work)
		return give_up(g, DROP_SOFTWARE_LIMIT);
	n = prepare(b, g->frame[g->done]);
	if (n == 0 || (at && n != (unsigned)g->part + g->rest))
		return give_up(g, DROP_CANNOT_SEGMENT);
	do {
		went = offer(b, q, at, n);
		at += went;
	} while (went && at < n);
	if (g->part == 0 && at)
		b->source->stats.gso_segments += n - 1;
	g->part = at == n ? 0 : at;
	g->rest = at && at < n ? n - at : 0;
	return at == n;
}
