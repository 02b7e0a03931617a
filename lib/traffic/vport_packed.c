/* SPDX-License-Identifier: BSD-3-Clause */
/* The fast driver on a packed ring (virtio 1.2, 2.8). */
#include "base/util.h"
#include "traffic/vport.h"

/* Read length, id and flags of a slot in one load. False: the device has not used it. */
static bool read_used(const struct vport_queue *q, struct vport_used *ret_used)
{
	const struct vring_packed_desc *desc = q->desc;
	const uint64_t *second = (const void *)((const char *)&desc[q->used] + 8);
	uint64_t word = __atomic_load_n(second, __ATOMIC_ACQUIRE);
	uint16_t flags = word >> 48;

	if (!!(flags & VRING_DESC_F_AVAIL) != q->used_wrap ||
	    !!(flags & VRING_DESC_F_USED) != q->used_wrap)
		return false;
	*ret_used = (struct vport_used){.id = word >> 32, .len = (uint32_t)word};
	return true;
}

unsigned vport_packed_reap(struct vport_queue *q, struct vport_used used[], unsigned max)
{
	unsigned n;

	for (n = 0; n < max && n + q->n_taken + q->n_free < q->n_slots; n++) {
		if (!read_used(q, &used[n]))
			break;
		vport_packed_advance(q, &q->used, &q->used_wrap, q->per);
	}
	return n;
}

/* In order, one used descriptor returns all buffers up to the one it names. */
void vport_packed_reap_sent(struct vport_queue *q)
{
	struct vport_used used;

	while (q->n_free < q->n_slots && read_used(q, &used)) {
		uint16_t at = (q->oldest + q->n_free) & q->slot_mask;
		unsigned n = 1;

		if (UNLIKELY(used.id >= q->n_slots)) {
			q->broken = true;
			return;
		}
		if (q->in_order)
			n = ((used.id - q->ids[at]) & q->slot_mask) + 1;
		else
			q->ids[at] = used.id;
		if (UNLIKELY(n > (unsigned)(q->n_slots - q->n_free))) {
			q->broken = true;
			return;
		}
		q->n_free += n;
		vport_packed_advance(q, &q->used, &q->used_wrap, n * q->per);
	}
}

void vport_packed_offer(struct vport_queue *q, const uint32_t len[], unsigned n, bool writable)
{
	struct vring_packed_desc *desc = q->desc;
	uint16_t kind = writable ? VRING_DESC_F_WRITE : 0;
	uint64_t *first = NULL, first_word = 0;

	for (unsigned k = 0; k < n; k++) {
		uint16_t id = q->ids[(q->oldest + k) & q->slot_mask];
		struct vring_packed_desc *d = &desc[q->next];
		uint64_t addr = q->gpa + (uint64_t)id * q->stride;
		uint64_t flags = kind | (q->wrap ? VRING_DESC_F_AVAIL : VRING_DESC_F_USED);
		uint64_t word = flags << 48 | (uint64_t)id << 32 | len[k];
		uint64_t *second = (void *)((char *)d + 8);

		if (d->addr != addr)
			WRITE_ONCE(d->addr, addr);
		if (k == 0) {
			first = second;
			first_word = word;
		} else {
			__atomic_store_n(second, word, __ATOMIC_RELAXED);
		}
		vport_packed_advance(q, &q->next, &q->wrap, 1);
	}
	if (first)
		__atomic_store_n(first, first_word, __ATOMIC_RELEASE);
}

/* The event index is not read: an unneeded kick does no harm. */
bool vport_packed_kick_needed(struct vport_queue *q)
{
	const struct vring_packed_event *device = q->device;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return READ_ONCE(device->flags) != VRING_PACKED_EVENT_DISABLE;
}
