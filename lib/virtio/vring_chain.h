/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From descriptors to segments: what the two ring formats share.
 *
 * A chain under construction is appended to the burst's segment pool. Descriptors arrive here as
 * locals; nothing in this file reads ring memory, except indirect tables, whose entries it hands
 * out one local copy at a time.
 */
#pragma once

#include "virtio/vring.h"

/* (addr, len) of one descriptor, and its 16-bit fields as they lie in the second word. */
struct descriptor {
	uint64_t addr;
	uint32_t len;
	uint16_t third;  /* split: flags; packed: id */
	uint16_t fourth; /* split: next;  packed: flags */
};

/* Read a 16-byte descriptor once: two 8-byte loads, the second word first. */
static ALWAYS_INLINE struct descriptor descriptor_read(const void *at)
{
	const uint64_t *word = at;
	uint64_t second = __atomic_load_n(&word[1], __ATOMIC_ACQUIRE);

	return (struct descriptor){
	    .addr = __atomic_load_n(&word[0], __ATOMIC_RELAXED),
	    .len = (uint32_t)second,
	    .third = second >> 32,
	    .fourth = second >> 48,
	};
}

_Static_assert(VRING_TRANSMIT == 0 && VRING_RECEIVE == 1, "direction_matches compares with them");

/* A request's buffers: first those to be read, then those to be written. */
static inline bool request_matches(
    const struct vring_burst *burst, struct vring_chain *chain, uint16_t flags)
{
	if (!(flags & VRING_DESC_F_WRITE))
		return !chain->writable;
	if (!chain->writable)
		chain->writable = 1 + burst->n_segments - chain->segment;
	return true;
}

static ALWAYS_INLINE bool direction_matches(const struct vring *vr, const struct vring_burst *burst,
    struct vring_chain *chain, uint16_t flags)
{
	if (LIKELY(!!(flags & VRING_DESC_F_WRITE) == vr->direction))
		return true;
	return vr->direction == VRING_REQUEST && request_matches(burst, chain, flags);
}

/* Guest memory ends, or a translation is missing. Looking ahead, one miss is as good as another. */
static inline enum vring_fault chain_unmapped(struct vring *vr, uint64_t addr, uint32_t len)
{
	if (!vr->translation.scouting)
		return vring_iommu_miss(
		    vr, addr, vr->direction == VRING_RECEIVE ? IOTLB_WRITE : IOTLB_READ);
	vring_iommu_scout(vr, addr, len);
	return VRING_FAULT_NONE;
}

/*
 * Append the host ranges of [addr, addr + len) to the burst and their bytes to the chain.
 * Usually one range; more where the buffer crosses into a neighbouring region.
 */
static ALWAYS_INLINE enum vring_fault chain_append(struct vring *vr, struct vring_burst *burst,
    struct vring_chain *chain, uint64_t addr, uint32_t len)
{
	while (len) {
		uint32_t part;
		uint8_t *host =
		    guest_memory_resolve(vr->memory, &vr->last_region, addr, len, &part);

		if (UNLIKELY(!host))
			return chain_unmapped(vr, addr, len);
		if (UNLIKELY(burst->n_segments == VRING_BURST_SEGMENTS ||
			part > VRING_CHAIN_BYTES_MAX - chain->len))
			return VRING_FAULT_TOO_LONG;
		burst->segment[burst->n_segments++] =
		    (struct vring_segment){.addr = host, .len = part};
		chain->len += part;
		addr += part;
		len -= part;
	}
	return VRING_FAULT_NONE;
}

static inline void chain_begin(const struct vring_burst *burst, struct vring_chain *chain)
{
	*chain = (struct vring_chain){.segment = burst->n_segments};
}

/* A chain that ends in a fault keeps its slots and id, and loses its segments. */
static inline void chain_fail(
    struct vring *vr, struct vring_burst *burst, struct vring_chain *chain, enum vring_fault fault)
{
	burst->n_segments = chain->segment;
	chain->len = 0;
	chain->fault = fault;
	vr->faults++;
}

/* Must the fetch stop before this chain, not consuming it? It has no segments any more. */
static inline bool chain_postponed(
    struct vring *vr, struct vring_burst *burst, struct vring_chain *chain, enum vring_fault fault)
{
	burst->n_segments = chain->segment;
	if (fault == VRING_FAULT_TOO_LONG)
		return chain->segment != 0; /* perhaps it fits into an empty burst */
	return fault == VRING_FAULT_MISS && !vr->translation.scouting;
}

/*
 * An indirect table is guest memory like any buffer: it must lie in one region as a whole.
 * Sets its host address and *ret_n, or says why it cannot be used.
 */
enum vring_fault indirect_table(
    struct vring *vr, uint64_t addr, uint32_t len, const void **ret_table, uint32_t *ret_n);

/*
 * Append a chain that is not in the ring any more: a split one by its head, less than the ring's
 * size; a packed one by copies of its n descriptors, of which only the last has no NEXT. False: it
 * does not fit now, or a translation is missing.
 */
bool vring_split_append(struct vring *vr, struct vring_burst *burst, uint16_t head);
bool vring_packed_append(
    struct vring *vr, struct vring_burst *burst, const struct vring_packed_desc *desc, uint16_t n);

/*
 * Does a packed ring agree that the device stands at slot, with pending slots of a batch begun
 * there? And if so: bring that batch to an end. See vring_recover.
 */
bool vring_packed_stands_at(
    const struct vring_config *config, uint32_t slot, bool wrap, uint32_t pending);
void vring_packed_finish(
    const struct vring_config *config, struct vring_position *position, uint32_t pending);

/* Could this be a ring that was just filled for the first time? */
bool vring_packed_looks_new(const struct vring_packed_desc *desc, uint32_t size);

/* What vring_start has to know of each format. */
const struct vring_ops *vring_split_ops(bool in_order);
const struct vring_ops *vring_packed_ops(bool in_order);

/* The cheapest full barrier there is on x86. */
static inline void full_barrier(void)
{
	__asm__ volatile("lock; addl $0, -128(%%rsp)" ::: "memory", "cc");
}
