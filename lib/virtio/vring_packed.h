/* SPDX-License-Identifier: BSD-3-Clause */
/* Slots of a packed ring, for the files that handle packed rings. */
#pragma once

#include "virtio/vring_chain.h"

/* A descriptor's flags in its second word. */
#define FLAGS_SHIFT       48
#define PACKED_AVAIL_MASK (VRING_DESC_F_AVAIL | VRING_DESC_F_USED)

/* A slot, and the wrap counter that the device has when it comes to the slot. */
struct packed_place {
	uint32_t slot;
	bool wrap;
};

/* The flags of an available descriptor. */
static ALWAYS_INLINE uint16_t packed_avail_flags(bool wrap)
{
	return wrap ? VRING_DESC_F_AVAIL : VRING_DESC_F_USED;
}

/* Is the slot available to a device with this wrap counter? */
static ALWAYS_INLINE bool packed_is_avail(uint16_t flags, bool wrap)
{
	return !!(flags & VRING_DESC_F_AVAIL) == wrap && !!(flags & VRING_DESC_F_USED) != wrap;
}

/* Did a device with this wrap counter mark the slot as used? */
static ALWAYS_INLINE bool packed_is_used(uint16_t flags, bool wrap)
{
	return !!(flags & VRING_DESC_F_AVAIL) == wrap && !!(flags & VRING_DESC_F_USED) == wrap;
}

/* The flags of a used descriptor, in its second word. */
static ALWAYS_INLINE uint64_t packed_used_flags(bool wrap)
{
	return wrap ? (uint64_t)(VRING_DESC_F_AVAIL | VRING_DESC_F_USED) << FLAGS_SHIFT : 0;
}

/* Mark slots that follow each other as used by n chains; words: of the first slot's second on. */
static ALWAYS_INLINE void packed_mark_used(
    uint64_t *words, const struct vring_chain *chain, unsigned n, uint64_t flags)
{
	for (const struct vring_chain *end = chain + n; chain < end; chain++, words += 2)
		__atomic_store_n(words, flags | chain_id_written(chain), __ATOMIC_RELAXED);
}

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
