/* SPDX-License-Identifier: BSD-3-Clause */
/* Reserve buffers of a queue of any kind: each frame takes one chain. */
#include "datapath/queue.h"

static unsigned fetch_anew(struct queue *q, struct vring_batch *batch, unsigned n)
{
	batch->n = 0;
	batch->n_segments = 0;
	batch->walked = 0;
	return q->ops->fetch(q, batch, n);
}

static void keep_first(struct queue *q, struct vring_batch *batch, unsigned keep)
{
	if (keep < batch->n)
		q->ops->unfetch(q, batch, keep);
}

/*
 * The first length is at first_len, and the others follow stride bytes apart. Each chain has to
 * hold `more` bytes more.
 */
static unsigned reserve_in_order(struct queue *q, struct vring_batch *batch,
    const uint32_t *first_len, size_t stride, int32_t more, unsigned n)
{
	const char *at = (const char *)first_len;
	unsigned i;

	n = fetch_anew(q, batch, n);
	for (i = 0; batch->single_segment && i < n; i++, at += stride) {
		uint32_t len = *(const uint32_t *)(const void *)at + more;

		if (batch->chain[i].len < len)
			break;
		batch->chain[i].written = len;
	}
	keep_first(q, batch, i);
	return i;
}

unsigned queue_reserve_single_any(
    struct queue *q, struct vring_batch *batch, const uint32_t len[], unsigned n)
{
	return reserve_in_order(q, batch, len, sizeof(len[0]), 0, n);
}

unsigned queue_reserve_alike_any(struct queue *q, struct vring_batch *batch,
    const struct vring_batch *from, int32_t more, unsigned n)
{
	return reserve_in_order(q, batch, &from->chain[0].len, sizeof(from->chain[0]), more, n);
}

unsigned queue_reserve_any(struct queue *q, struct vring_batch *batch, const uint32_t len[],
    unsigned n, struct vring_reservation reserved[])
{
	unsigned at = 0;

	fetch_anew(q, batch, n);
	for (unsigned i = 0; i < n; i++) {
		reserved[i] = (struct vring_reservation){VRING_RESERVE_NONE, at, 1};
		if (at == batch->n)
			continue; /* no chains are left */
		if (UNLIKELY(batch->chain[at].fault)) {
			reserved[i].status = VRING_RESERVE_FAULT;
			at++;     /* given back, it would stop the queue for ever */
			continue; /* the frame is dropped */
		}
		if (batch->chain[at].len < len[i]) {
			reserved[i].status = VRING_RESERVE_TOO_SMALL;
			continue; /* the chain is for the next frame */
		}
		batch->chain[at++].written = len[i];
		reserved[i].status = VRING_RESERVE_OK;
	}
	keep_first(q, batch, at);
	return n;
}
