/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From descriptors to segments: what the two ring formats share.
 *
 * A chain under construction is appended to the burst's segment pool. Descriptors arrive here as
 * locals; nothing in this file reads ring memory, except indirect tables, whose entries it hands
 * out one local copy at a time.
 */
#pragma once

#include <stddef.h>
#include <string.h>

#include "base/cpu.h"
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
    struct vring_burst *burst, const struct vring_chain *chain, uint16_t flags)
{
	uint16_t *writable = &burst->writable[chain - burst->chain];

	if (!(flags & VRING_DESC_F_WRITE))
		return !*writable;
	if (!*writable)
		*writable = 1 + burst->n_segments - chain->segment;
	return true;
}

static ALWAYS_INLINE bool direction_matches(const struct vring *vr, struct vring_burst *burst,
    const struct vring_chain *chain, uint16_t flags)
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
	return vr->translation.scout_pages ? VRING_FAULT_NONE : VRING_FAULT_MISS;
}

/*
 * Append the host ranges of [addr, addr + len) to the burst and their bytes to the chain.
 * Usually one range; more where the buffer crosses into a neighbouring region.
 */
static ALWAYS_INLINE enum vring_fault chain_append(struct vring *vr, struct vring_burst *burst,
    struct vring_chain *chain, uint64_t addr, uint32_t len)
{
	if (UNLIKELY(!len))
		return VRING_FAULT_EMPTY;
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

/* Flags that a chain of one descriptor, with its buffer's direction right, has and has not. */
#define SIMPLE_MASK  (VRING_DESC_F_NEXT | VRING_DESC_F_INDIRECT | VRING_DESC_F_WRITE)
#define SIMPLE_NEVER (1 << 14) /* is not looked at, so no descriptor has it */

/* What those flags have to be. Requests have both directions: nothing about them is simple. */
static inline uint16_t simple_flags(const struct vring *vr)
{
	if (vr->direction == VRING_REQUEST)
		return SIMPLE_NEVER;
	return vr->direction == VRING_RECEIVE ? VRING_DESC_F_WRITE : 0;
}

/*
 * What a fetch loop keeps in registers: the region that most buffers lie in, and where the next
 * chain and segment go. Made for one job: a chain of one descriptor, by far the most common.
 */
struct fetch_cursor {
	uint64_t gpa, size; /* size 0: no region yet */
	uint8_t *host;
	struct vring_chain *chain;
	struct vring_segment *segment, *segments_end;
	uint64_t second; /* the next chain's second word, without its length */
};

/* A chain's two words: written, id, slots; len, segment, n_segments and fault. */
#define CHAIN_ID_SHIFT      32
#define CHAIN_ID_WRITTEN    UINT64_C(0x0000ffffffffffff)
#define CHAIN_ONE_SLOT      (UINT64_C(1) << 48)
#define CHAIN_SEGMENT_SHIFT 32
#define CHAIN_ONE_SEGMENT   (UINT64_C(1) << 48)

_Static_assert(offsetof(struct vring_chain, written) == 0 &&
	offsetof(struct vring_chain, id) == 4 && offsetof(struct vring_chain, slots) == 6 &&
	offsetof(struct vring_chain, len) == 8 && offsetof(struct vring_chain, segment) == 12 &&
	sizeof(struct vring_chain) == 16 && sizeof(struct vring_segment) == 16,
    "chains are written as two words");
_Static_assert(VRING_BURST_SEGMENTS < 1 << 12, "n_segments has 12 bits");

/* After anything else has changed burst or region. */
static ALWAYS_INLINE struct fetch_cursor fetch_cursor(
    const struct vring *vr, struct vring_burst *burst)
{
	const struct guest_region *r = vr->last_region;

	return (struct fetch_cursor){
	    .gpa = r ? r->gpa : 0,
	    .size = r ? r->size : 0,
	    .host = r ? r->host : NULL,
	    .chain = &burst->chain[burst->n],
	    .segment = &burst->segment[burst->n_segments],
	    .segments_end = &burst->segment[VRING_BURST_SEGMENTS],
	    .second = CHAIN_ONE_SEGMENT | (uint64_t)burst->n_segments << CHAIN_SEGMENT_SHIFT,
	};
}

/*
 * Append the chain that is this one descriptor, if it lies in the cursor's region as a whole and
 * there is nothing special about it; else false, and nothing has changed.
 */
static ALWAYS_INLINE bool append_simple(
    struct fetch_cursor *c, uint64_t addr, uint32_t len, uint16_t id)
{
	uint64_t offset = addr - c->gpa;
	uint64_t first = CHAIN_ONE_SLOT | (uint64_t)id << CHAIN_ID_SHIFT, second = c->second | len;

	/* len 0 becomes the largest of all. */
	if (UNLIKELY(offset >= c->size || len > c->size - offset ||
		len - 1 >= VRING_CHAIN_BYTES_MAX || c->segment == c->segments_end))
		return false;
	c->segment->addr = c->host + offset;
	c->segment->len = len;
	c->segment++;
	c->second += UINT64_C(1) << CHAIN_SEGMENT_SHIFT;
	memcpy(c->chain, &first, 8);
	memcpy((char *)c->chain + 8, &second, 8);
	c->chain++;
	return true;
}

static ALWAYS_INLINE void fetch_cursor_store(
    const struct fetch_cursor *c, struct vring_burst *burst)
{
	burst->n = c->chain - burst->chain;
	burst->n_segments = c->segment - burst->segment;
}

/* A chain's id in bits 32 to 47 and what was written below: of a used entry, half in either format.
 */
static ALWAYS_INLINE uint64_t chain_id_written(const struct vring_chain *chain)
{
	uint64_t word;

	memcpy(&word, chain, 8);
	return word & CHAIN_ID_WRITTEN;
}

static inline void chain_begin(struct vring_burst *burst, struct vring_chain *chain)
{
	*chain = (struct vring_chain){.segment = burst->n_segments};
	burst->writable[chain - burst->chain] = 0;
	burst->walked_to = burst->walked;
}

/* May the visit read one more descriptor of a chain that has several? */
static inline bool chain_walk_on(struct vring_burst *burst)
{
	return burst->walked++ < VRING_WALK_MAX;
}

/* Has this chain alone used up what a visit may cost? */
static inline bool chain_walked_all(const struct vring_burst *burst)
{
	return burst->walked_to == 0 && burst->walked > VRING_WALK_MAX;
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

static inline void chain_end(
    const struct vring *vr, struct vring_burst *burst, struct vring_chain *chain)
{
	chain->n_segments = burst->n_segments - chain->segment;
	burst->n++;
	if (chain->n_segments != 1 || chain->slots != 1 || vr->direction == VRING_REQUEST)
		burst->plain = false;
}

/* Must the fetch stop before this chain, not consuming it? It has no segments any more. */
static inline bool chain_postponed(
    struct vring *vr, struct vring_burst *burst, struct vring_chain *chain, enum vring_fault fault)
{
	burst->n_segments = chain->segment;
	if (fault == VRING_FAULT_TOO_LONG && !chain_walked_all(burst))
		return chain->segment != 0 || burst->walked_to != 0; /* perhaps it fits later */
	return fault == VRING_FAULT_MISS &&
	    (!vr->translation.scouting || !vr->translation.scout_pages);
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
const struct vring_ops *vring_split_ops(bool in_order, enum cpu_level level);
const struct vring_ops *vring_packed_ops(bool in_order, enum cpu_level level);
