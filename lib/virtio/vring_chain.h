/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Turns descriptors into segments. Both ring formats use this.
 *
 * The segments of a chain are appended to those of the batch. descriptor_read() reads a descriptor
 * from ring memory once and returns a local copy. The other functions get this copy, and do not
 * read the descriptor again.
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
 * To be called if the bytes at addr are not in guest memory, or not translated. Returns the fault
 * of the chain. While the ring scouts (vring_iommu.h), it notes all missing pages of the buffer,
 * and returns no fault: the fetch goes on with the next buffer of the chain.
 */
static inline enum vring_fault chain_unmapped(struct vring *vr, uint64_t addr, uint32_t len)
{
	if (!vr->translation.scouting)
		return vring_iommu_miss(
		    vr, addr, vr->direction == VRING_RECEIVE ? IOTLB_WRITE : IOTLB_READ);
	vring_iommu_scout(vr, addr, len);
	return vr->translation.scout_pages ? VRING_FAULT_NONE : VRING_FAULT_MISS;
}

/* chain_append() for any buffer. */
static __attribute__((noinline, unused)) enum vring_fault chain_append_any(struct vring *vr,
    struct vring_batch *batch, struct vring_chain *chain, uint64_t addr, uint32_t len)
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
 * Append the host ranges of the buffer [addr, addr + len) to the segments of the batch, and add
 * their length to the length of the chain. Usually there is one range, in the same region as the
 * buffer before. There are more if the buffer lies in several regions.
 */
static ALWAYS_INLINE enum vring_fault chain_append(struct vring *vr, struct vring_batch *batch,
    struct vring_chain *chain, uint64_t addr, uint32_t len)
{
	const struct guest_region *r = vr->last_region;
	uint64_t offset = r ? addr - r->gpa : 0;

	/* len 0 wraps to the largest number. */
	if (UNLIKELY(!r || offset >= r->size || len > r->size - offset ||
		len - 1 >= VRING_CHAIN_BYTES_MAX - chain->len ||
		batch->n_segments == VRING_BATCH_SEGMENTS))
		return chain_append_any(vr, batch, chain, addr, len);
	batch->segment[batch->n_segments++] =
	    (struct vring_segment){.addr = r->host + offset, .len = len};
	chain->len += len;
	return VRING_FAULT_NONE;
}

/*
 * A chain is simple if it has one descriptor, and a buffer of the right direction. These flags of
 * its descriptor show that.
 */
#define SIMPLE_MASK  (VRING_DESC_F_NEXT | VRING_DESC_F_INDIRECT | VRING_DESC_F_WRITE)
#define SIMPLE_NEVER (1 << 14) /* not in SIMPLE_MASK: it matches no descriptor */

/*
 * The value that the flags in SIMPLE_MASK have in a simple chain of this ring. A request may have
 * buffers of both directions, so no request is simple.
 */
static inline uint16_t simple_flags(const struct vring *vr)
{
	if (vr->direction == VRING_REQUEST)
		return SIMPLE_NEVER;
	return vr->direction == VRING_RECEIVE ? VRING_DESC_F_WRITE : 0;
}

/*
 * The state that a fetch loop keeps in registers: the region of the last buffer, and the places of
 * the next chain and the next segment in the batch. It is used for chains of one descriptor only,
 * which are by far the most common chains.
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

/* Make a cursor. Call this again after other code has changed the batch or the last region. */
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
 * Append a chain of one descriptor. Returns false, and changes nothing, if the buffer is empty, too
 * long or not wholly in the cursor's region, or if the batch is full.
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
 * The chain's id in bits 32 to 47, and its written length in bits 0 to 31. Both formats make used
 * entries from this.
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

/* Has the visit read only this chain, and reached its limit? */
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
 * Find an indirect table. It must lie wholly in one region of guest memory. Sets the table's host
 * address and its number of entries, or returns the fault.
 */
enum vring_fault indirect_table(
    struct vring *vr, uint64_t addr, uint32_t len, const void **ret_table, uint32_t *ret_n);

/* Prefetch an indirect table, if it is in the region of the last table. */
static ALWAYS_INLINE void table_prefetch(const struct vring *vr, uint64_t addr)
{
	const struct guest_region *r = vr->last_table;

	if (r && addr - r->gpa < r->size)
		__builtin_prefetch(r->host + (addr - r->gpa));
}

/*
 * Append a chain that was in flight at a crash. Split: the chain begins with descriptor chain_head,
 * a number less than the ring's size. Packed: the chain has these n copies of descriptors; all
 * except the last have the flag NEXT. False: the chain does not fit now, a translation is missing,
 * or the ring is broken.
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
