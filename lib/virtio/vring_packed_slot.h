/* SPDX-License-Identifier: BSD-3-Clause */
/* Slots of a packed ring: what their flags say, and how they are marked as used. */
#pragma once

#include "virtio/vring_chain.h"

/* A descriptor's flags in its second word. */
#define FLAGS_SHIFT       48
#define PACKED_AVAIL_MASK (VRING_DESC_F_AVAIL | VRING_DESC_F_USED)

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
