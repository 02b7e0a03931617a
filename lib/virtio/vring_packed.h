/* SPDX-License-Identifier: BSD-3-Clause */
/* Places in a packed ring, and what the files that handle packed rings share. */
#pragma once

#include "virtio/vring_packed_slot.h"

/* A slot, and the wrap counter that the device has when it comes to the slot. */
struct packed_place {
	uint32_t slot;
	bool wrap;
};

static inline struct packed_place packed_next(struct packed_place at, uint32_t size)
{
	if (++at.slot < size)
		return at;
	return (struct packed_place){.slot = 0, .wrap = !at.wrap};
}

static inline struct packed_place packed_previous(struct packed_place at, uint32_t size)
{
	if (at.slot--)
		return at;
	return (struct packed_place){.slot = size - 1, .wrap = !at.wrap};
}

/* The position of a device that stands at this place and has nothing in flight. */
static inline struct vring_position packed_position(struct packed_place at)
{
	return (struct vring_position){
	    .avail = at.slot, .used = at.slot, .avail_wrap = at.wrap, .used_wrap = at.wrap};
}

static inline bool vring_packed_has_avail(const struct vring *vr)
{
	const struct vring_position *pos = vr->position;
	uint16_t flags = __atomic_load_n(&vr->packed.desc[pos->avail].flags, __ATOMIC_ACQUIRE);

	return !vr->broken && packed_is_avail(flags, pos->avail_wrap);
}

/* Operations of struct vring_ops; vring_packed_notify.c. */
bool vring_packed_call_wanted(struct vring *vr);
void vring_packed_kick_disable(struct vring *vr);
bool vring_packed_kick_enable(struct vring *vr);

/*
 * Can the device stand at this place, according to the contents of the ring? pending: the number of
 * slots of a batch that the device began at this place and did not hand over. See
 * vring_packed_recover.c.
 */
bool vring_packed_stands_at(
    const struct vring_config *config, struct packed_place place, uint32_t pending);

/*
 * Finish a batch of `pending` slots that was interrupted. Moves the position behind the slots that
 * the device had marked.
 */
void vring_packed_finish(
    const struct vring_config *config, struct vring_position *position, uint32_t pending);

/* Can this be a ring that the driver has just filled for the first time? */
bool vring_packed_looks_new(const struct vring_packed_desc *desc, uint32_t size);
