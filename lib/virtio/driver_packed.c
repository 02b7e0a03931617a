/* SPDX-License-Identifier: BSD-3-Clause */
/* The driver side of a packed ring (2.8). */
#include <errno.h>

#include "base/util.h"
#include "virtio/driver.h"
#include "virtio/driver_slot.h"

/* The flags of an available descriptor on a lap with this wrap counter (2.8.1). */
static uint16_t avail_flags(bool wrap)
{
	return wrap ? VRING_DESC_F_AVAIL : VRING_DESC_F_USED;
}

static void advance(const struct driver_ring *dr, uint16_t *slot, bool *wrap, unsigned n)
{
	*slot += n;
	if (*slot >= dr->size) {
		*slot -= dr->size;
		*wrap = !*wrap;
	}
}

/* With IN_ORDER ids are taken in ascending order; otherwise from the free list. */
static uint16_t take_id(struct driver_ring *dr)
{
	uint16_t id = dr->free_head;

	dr->free_head = dr->in_order ? (id + 1) % dr->size : dr->slot[id].next;
	return id;
}

/*
 * driver_packed_publish writes the flags of the first pending descriptor. Before that the device
 * stops at this descriptor, although the flags of the next descriptors are already written.
 */
int driver_packed_add(struct driver_ring *dr, const struct driver_chain *c)
{
	struct vring_packed_desc *desc = dr->desc;
	uint16_t id = take_id(dr);

	dr->slot[id].token = c->token;
	dr->slot[id].n = c->n;
	dr->slot[id].n_in_bytes = c->n_in_bytes;
	for (unsigned i = 0; i < c->n; i++) {
		struct vring_packed_desc *d = &desc[dr->avail];
		uint16_t flags = driver_flags(c, i) | avail_flags(dr->avail_wrap);

		/* The device may read these fields at any time. */
		WRITE_ONCE(d->addr, c->buffers[i].addr);
		WRITE_ONCE(d->len, c->buffers[i].len);
		WRITE_ONCE(d->id, id);
		if (dr->pending) {
			WRITE_ONCE(d->flags, flags);
		} else {
			dr->pending_slot = dr->avail;
			dr->pending_flags = flags;
		}
		dr->pending++;
		advance(dr, &dr->avail, &dr->avail_wrap, 1);
	}
	dr->n_free -= c->n;
	return 0;
}

void driver_packed_publish(struct driver_ring *dr)
{
	struct vring_packed_desc *desc = dr->desc;

	__atomic_store_n(&desc[dr->pending_slot].flags, dr->pending_flags, __ATOMIC_RELEASE);
	dr->published += dr->pending;
	dr->pending = 0;
}

bool driver_packed_kick_needed(struct driver_ring *dr)
{
	const struct vring_packed_event *device = dr->device;
	uint16_t flags = READ_ONCE(device->flags), off_wrap = READ_ONCE(device->off_wrap);
	uint16_t n = dr->published, event = off_wrap & 0x7fff;

	dr->published = 0;
	if (n == 0 || flags == VRING_PACKED_EVENT_DISABLE)
		return false;
	if (flags != VRING_PACKED_EVENT_DESC)
		return true;
	if ((off_wrap >> 15) != dr->avail_wrap)
		event -= dr->size; /* a slot of the lap before */
	return driver_event_passed(event, dr->avail, dr->avail - n);
}

/* The flags are read before the rest of the descriptor. */
static bool is_used(const struct driver_ring *dr, uint16_t slot, bool wrap)
{
	const struct vring_packed_desc *desc = dr->desc;
	uint16_t flags = __atomic_load_n(&desc[slot].flags, __ATOMIC_ACQUIRE);
	bool avail = flags & VRING_DESC_F_AVAIL, used = flags & VRING_DESC_F_USED;

	return avail == wrap && used == wrap;
}

/*
 * With IN_ORDER one used descriptor may stand for a batch of chains. It has the id of the last
 * chain of the batch (2.8.7).
 */
static int begin_batch(struct driver_ring *dr)
{
	const struct vring_packed_desc *d = (const struct vring_packed_desc *)dr->desc + dr->used;
	uint16_t id;

	if (dr->n_free == dr->size || !is_used(dr, dr->used, dr->used_wrap))
		return 0;
	id = READ_ONCE(d->id);
	if (id >= dr->size || dr->slot[id].n == 0)
		return -EBADMSG;
	dr->batch_last = id;
	dr->batch_len = READ_ONCE(d->len);
	return 1;
}

int driver_packed_reap(struct driver_ring *dr, void **ret_token, uint32_t *ret_len)
{
	struct driver_slot *slot;
	uint16_t id;

	if (!dr->in_batch) {
		int got = begin_batch(dr);

		if (got <= 0)
			return got;
	}
	id = dr->in_order ? dr->oldest : dr->batch_last;
	slot = &dr->slot[id];
	if (slot->n == 0)
		return -EBADMSG;
	dr->in_batch = id != dr->batch_last;
	*ret_token = slot->token;
	*ret_len = dr->in_batch ? slot->n_in_bytes : dr->batch_len;
	advance(dr, &dr->used, &dr->used_wrap, slot->n);
	dr->n_free += slot->n;
	slot->n = 0;
	if (dr->in_order) {
		dr->oldest = (id + 1) % dr->size;
	} else {
		slot->next = dr->free_head;
		dr->free_head = id;
	}
	return 1;
}

void driver_packed_call_disable(struct driver_ring *dr)
{
	struct vring_packed_event *driver = dr->driver;

	WRITE_ONCE(driver->flags, VRING_PACKED_EVENT_DISABLE);
}

bool driver_packed_call_enable(struct driver_ring *dr)
{
	struct vring_packed_event *driver = dr->driver;

	if (dr->event_idx)
		WRITE_ONCE(driver->off_wrap, dr->used | (dr->used_wrap ? 1 << 15 : 0));
	__atomic_store_n(&driver->flags,
	    dr->event_idx ? VRING_PACKED_EVENT_DESC : VRING_PACKED_EVENT_ENABLE, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return dr->in_batch || (dr->n_free < dr->size && is_used(dr, dr->used, dr->used_wrap));
}
