/* SPDX-License-Identifier: BSD-3-Clause */
/* Find room in a queue of any kind: each frame takes one chain. */
#include "datapath/queue.h"

static unsigned fetch_anew(struct queue *q, struct vring_burst *burst, unsigned n)
{
	burst->n = 0;
	burst->n_segments = 0;
	burst->walked = 0;
	return q->ops->fetch(q, burst, n);
}

static void keep_first(struct queue *q, struct vring_burst *burst, unsigned keep)
{
	if (keep < burst->n)
		q->ops->unfetch(q, burst, keep);
}

/* The lengths lie stride bytes apart from first_len on. */
static unsigned reserve_in_order(struct queue *q, struct vring_burst *burst,
    const uint32_t *first_len, size_t stride, unsigned n)
{
	const char *at = (const char *)first_len;
	unsigned i;

	n = fetch_anew(q, burst, n);
	for (i = 0; burst->plain && i < n; i++, at += stride) {
		uint32_t len = *(const uint32_t *)(const void *)at;

		if (burst->chain[i].len < len)
			break;
		burst->chain[i].written = len;
	}
	keep_first(q, burst, i);
	return i;
}

unsigned queue_reserve_plain_any(
    struct queue *q, struct vring_burst *burst, const uint32_t len[], unsigned n)
{
	return reserve_in_order(q, burst, len, sizeof(len[0]), n);
}

unsigned queue_reserve_alike_any(
    struct queue *q, struct vring_burst *burst, const struct vring_burst *from, unsigned n)
{
	return reserve_in_order(q, burst, &from->chain[0].len, sizeof(from->chain[0]), n);
}

unsigned queue_reserve_any(struct queue *q, struct vring_burst *burst, const uint32_t len[],
    unsigned n, struct vring_room room[])
{
	unsigned at = 0;

	fetch_anew(q, burst, n);
	for (unsigned i = 0; i < n; i++) {
		room[i] = (struct vring_room){VRING_ROOM_NONE, at, 1};
		if (at == burst->n)
			continue; /* no chains are left */
		if (burst->chain[at].len < len[i]) {
			room[i].status = VRING_ROOM_TOO_SMALL;
			continue; /* the chain is for the next frame */
		}
		burst->chain[at++].written = len[i];
		room[i].status = VRING_ROOM_OK;
	}
	keep_first(q, burst, at);
	return n;
}
