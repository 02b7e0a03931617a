/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From descriptors to segments: what the two ring formats share.
 *
 * The segments of a chain are appended to those of the batch. Functions take a descriptor as a
 * local copy, which descriptor_read() makes by reading ring memory once. They read nothing else
 * from it.
 */
#pragma once

#include <stddef.h>
#include <string.h>

#include "base/cpu.h"
#include "virtio/vring.h"

/* A copy of one descriptor. The 16-bit fields are in the order of memory. */
struct descriptor {
	uint64_t addr;
	uint32_t len;
	uint16_t third;  /* split: flags; packed: id */
	uint16_t fourth; /* split: next;  packed: flags */
};

/*
 * Read a 16-byte descriptor once: two 8-byte loads, first the second word, where a packed ring has
 * the flags.
 */
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

/* In a request, readable buffers must come before writable ones. */
static inline bool request_matches(
    struct vring_batch *batch, const struct vring_chain *chain, uint16_t flags)
{
	uint16_t *writable = &batch->writable[chain - batch->chain];

	if (!(flags & VRING_DESC_F_WRITE))
		return !*writable;
	if (!*writable)
		*writable = 1 + batch->n_segments - chain->segment;
	return true;
}

static ALWAYS_INLINE bool direction_matches(const struct vring *vr, struct vring_batch *batch,
    const struct vring_chain *chain, uint16_t flags)
{
	if (LIKELY(!!(flags & VRING_DESC_F_WRITE) == vr->direction))
		return true;
	return vr->direction == VRING_REQUEST && request_matches(batch, chain, flags);
}

/*
 * The bytes at addr are not in guest memory, or not translated. While the ring scouts
 * (vring_iommu.h), all missing pages of the buffer are noted, and the fetch goes on with the
 * chain's next buffer.
 */
static inline enum vring_fault chain_unmapped(struct vring *vr, uint64_t addr, uint32_t len)
{
	if (!vr->translation.scouting)
		return vring_iommu_miss(
		    vr, addr, vr->direction == VRING_RECEIVE ? IOTLB_WRITE : IOTLB_READ);
	vring_iommu_scout(vr, addr, len);
	return vr->translation.scout_pages ? VRING_FAULT_NONE : VRING_FAULT_MISS;
}

/*
 * Append the host ranges of [addr, addr + len) to the batch's segments, and their length to the
 * chain's. There is usually one range; there are more if the buffer lies in several regions.
 */
static ALWAYS_INLINE enum vring_fault chain_append(struct vring *vr, struct vring_batch *batch,
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
		if (UNLIKELY(batch->n_segments == VRING_BATCH_SEGMENTS ||
			part > VRING_CHAIN_BYTES_MAX - chain->len))
			return VRING_FAULT_TOO_LONG;
		batch->segment[batch->n_segments++] =
		    (struct vring_segment){.addr = host, .len = part};
		chain->len += part;
		addr += part;
		len -= part;
	}
	return VRING_FAULT_NONE;
}

/*
 * The flags that tell whether a chain is simple: one descriptor, and a buffer of the right
 * direction.
 */
#define SIMPLE_MASK  (VRING_DESC_F_NEXT | VRING_DESC_F_INDIRECT | VRING_DESC_F_WRITE)
#define SIMPLE_NEVER (1 << 14) /* not in SIMPLE_MASK, so no descriptor matches */

/*
 * The flags of SIMPLE_MASK that a simple chain of this ring has. A request may have buffers of both
 * directions, so it is never simple.
 */
static inline uint16_t simple_flags(const struct vring *vr)
{
	if (vr->direction == VRING_REQUEST)
		return SIMPLE_NEVER;
	return vr->direction == VRING_RECEIVE ? VRING_DESC_F_WRITE : 0;
}

/*
 * What a fetch loop keeps in registers: the region of the last buffer, and where the next chain and
 * segment go. It serves only chains of one descriptor, by far the most common ones.
 */
struct fetch_cursor {
	uint64_t gpa, size; /* size 0: no region yet */
	uint8_t *host;
	struct vring_chain *chain;
	struct vring_segment *segment, *segments_end;
	uint64_t second; /* the next chain's second word, without its length */
};

/* The two words of struct vring_chain: written, id, slots; len, segment, n_segments, fault. */
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
_Static_assert(VRING_BATCH_SEGMENTS < 1 << 12, "n_segments has 12 bits");

/* To be called at first, and again after other code has changed the batch or the last region. */
static ALWAYS_INLINE struct fetch_cursor fetch_cursor(
    const struct vring *vr, struct vring_batch *batch)
{
	const struct guest_region *r = vr->last_region;

	return (struct fetch_cursor){
	    .gpa = r ? r->gpa : 0,
	    .size = r ? r->size : 0,
	    .host = r ? r->host : NULL,
	    .chain = &batch->chain[batch->n],
	    .segment = &batch->segment[batch->n_segments],
	    .segments_end = &batch->segment[VRING_BATCH_SEGMENTS],
	    .second = CHAIN_ONE_SEGMENT | (uint64_t)batch->n_segments << CHAIN_SEGMENT_SHIFT,
	};
}

/*
 * Append a chain of one descriptor. False, and nothing has changed: its buffer is not wholly in the
 * cursor's region, is empty or too long, or the batch has no room.
 */
static ALWAYS_INLINE bool append_simple(
    struct fetch_cursor *c, uint64_t addr, uint32_t len, uint16_t id)
{
	uint64_t offset = addr - c->gpa;
	uint64_t first = CHAIN_ONE_SLOT | (uint64_t)id << CHAIN_ID_SHIFT, second = c->second | len;

	/* len 0 wraps to the largest number. */
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
    const struct fetch_cursor *c, struct vring_batch *batch)
{
	batch->n = c->chain - batch->chain;
	batch->n_segments = c->segment - batch->segment;
}

/*
 * The chain's id in bits 32 to 47, its written length below. Used entries of both formats are made
 * from this.
 */
static ALWAYS_INLINE uint64_t chain_id_written(const struct vring_chain *chain)
{
	uint64_t word;

	memcpy(&word, chain, 8);
	return word & CHAIN_ID_WRITTEN;
}

static inline void chain_begin(struct vring_batch *batch, struct vring_chain *chain)
{
	*chain = (struct vring_chain){.segment = batch->n_segments};
	batch->writable[chain - batch->chain] = 0;
	batch->walked_to = batch->walked;
}

/* Count one more descriptor of a chain that has several. False: the visit may not read it. */
static inline bool chain_walk_on(struct vring_batch *batch)
{
	return batch->walked++ < VRING_WALK_MAX;
}

/* Has this chain alone reached the limit of a visit? */
static inline bool chain_walked_all(const struct vring_batch *batch)
{
	return batch->walked_to == 0 && batch->walked > VRING_WALK_MAX;
}

/* A faulty chain keeps its slots and id, and loses its segments. */
static inline void chain_fail(
    struct vring *vr, struct vring_batch *batch, struct vring_chain *chain, enum vring_fault fault)
{
	batch->n_segments = chain->segment;
	chain->len = 0;
	chain->fault = fault;
	vr->faults++;
}

static inline void chain_end(
    const struct vring *vr, struct vring_batch *batch, struct vring_chain *chain)
{
	chain->n_segments = batch->n_segments - chain->segment;
	batch->n++;
	if (chain->n_segments != 1 || chain->slots != 1 || vr->direction == VRING_REQUEST)
		batch->single_segment = false;
}

/* Must the fetch stop here and leave this chain in the ring? The chain loses its segments. */
static inline bool chain_postponed(
    struct vring *vr, struct vring_batch *batch, struct vring_chain *chain, enum vring_fault fault)
{
	batch->n_segments = chain->segment;
	if (fault == VRING_FAULT_TOO_LONG && !chain_walked_all(batch))
		return chain->segment != 0 || batch->walked_to != 0; /* it may fit later */
	return fault == VRING_FAULT_MISS &&
	    (!vr->translation.scouting || !vr->translation.scout_pages);
}

/*
 * Find an indirect table, which must lie wholly in one region of guest memory. Sets its host
 * address and how many entries it has, or returns why it cannot be used.
 */
enum vring_fault indirect_table(
    struct vring *vr, uint64_t addr, uint32_t len, const void **ret_table, uint32_t *ret_n);

/*
 * Append a chain that a crash has left. Split: the chain that begins with descriptor chain_head, a
 * number less than the ring's size. Packed: the chain of these n copies of descriptors; only the
 * last has no NEXT. False: it does not fit now, a translation is missing, or the ring is broken.
 */
bool vring_split_append(struct vring *vr, struct vring_batch *batch, uint16_t chain_head);
bool vring_packed_append(
    struct vring *vr, struct vring_batch *batch, const struct vring_packed_desc *desc, uint16_t n);

/*
 * What vring_start has to know of each format. in_order: a transmit ring with IN_ORDER, which needs
 * only one used entry for a batch.
 */
const struct vring_ops *vring_split_ops(bool in_order, enum cpu_level level);
const struct vring_ops *vring_packed_ops(bool in_order, enum cpu_level level);
