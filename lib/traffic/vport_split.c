/* SPDX-License-Identifier: BSD-3-Clause */
/* The fast driver on a split ring (virtio 1.2, 2.7). */
#include "base/util.h"
#include "traffic/vport.h"

static uint16_t used_index(const struct vport_queue *q)
{
	const struct vring_split_used *ring = q->device;

	return __atomic_load_n(&ring->idx, __ATOMIC_ACQUIRE);
}

/* The number of used entries to read. A device that returns more than it has breaks the queue. */
static unsigned waiting(struct vport_queue *q)
{
	uint16_t n = used_index(q) - q->used;

	if (LIKELY(n <= (uint16_t)(q->next - q->used)))
		return n;
	q->broken = true;
	return 0;
}

unsigned vport_split_reap(struct vport_queue *q, struct vport_used used[], unsigned max)
{
	const struct vring_split_used *ring = q->device;
	unsigned n = waiting(q);

	n = MIN(n, max);
	for (unsigned k = 0; k < n; k++) {
		const struct vring_split_used_elem *e = &ring->ring[(q->used + k) & q->mask];

		used[k] = (struct vport_used){.id = READ_ONCE(e->id), .len = READ_ONCE(e->len)};
	}
	q->used += n;
	return n;
}

/* In order, the ids need not be read: buffers come back in the order in which they were offered. */
void vport_split_reap_sent(struct vport_queue *q)
{
	const struct vring_split_used *ring = q->device;
	unsigned n = waiting(q);

	for (unsigned k = 0; k < n; k++) {
		uint16_t at = (q->oldest + q->n_free) & q->slot_mask;
		uint32_t id;

		if (!q->in_order) {
			id = READ_ONCE(ring->ring[(q->used + k) & q->mask].id);
			if (UNLIKELY(id >= q->n_slots)) {
				q->broken = true;
				return;
			}
			q->ids[at] = id;
		}
		q->n_free++;
	}
	q->used += n;
}

void vport_split_offer(struct vport_queue *q, const uint32_t len[], unsigned n, bool writable)
{
	struct vring_split_desc *desc = q->desc;
	struct vring_split_avail *avail = q->driver;
	uint16_t flags = writable ? VRING_DESC_F_WRITE : 0;

	for (unsigned k = 0; k < n; k++) {
		uint16_t id = q->ids[(q->oldest + k) & q->slot_mask];
		struct vring_split_desc *d = &desc[id];
		uint16_t *slot = &avail->ring[(q->next + k) & q->mask];

		if (UNLIKELY(d->addr == 0)) {
			d->addr = q->gpa + (uint64_t)id * q->stride;
			d->flags = flags;
		}
		if (d->len != len[k])
			WRITE_ONCE(d->len, len[k]);
		if (*slot != id)
			WRITE_ONCE(*slot, id);
	}
	q->next += n;
	__atomic_store_n(&avail->idx, q->next, __ATOMIC_RELEASE);
}

bool vport_split_kick_needed(struct vport_queue *q)
{
	const struct vring_split_used *ring = q->device;
	const uint16_t *event = (const void *)&ring->ring[q->size];
	uint16_t old = q->kicked;

	q->kicked = q->next;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (q->event_idx)
		return (uint16_t)(q->next - READ_ONCE(*event) - 1) < (uint16_t)(q->next - old);
	return !(READ_ONCE(ring->flags) & VRING_USED_F_NO_NOTIFY);
}
