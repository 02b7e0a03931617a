/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device side of a split ring (virtio 1.2, 2.7).
 *
 * The driver's avail index is read once per batch at most. Every avail entry and every descriptor
 * is read once. Most chains have one descriptor; these are handled inside the fetch loop. Used
 * elements are written first; then one store of the used index publishes them.
 *
 * With IN_ORDER (2.7.9) the device returns buffers in the order in which the driver offered them.
 * So a batch of transmit buffers needs only one used element, with the id of the last chain.
 * Receive buffers need one element each, because each has a length.
 */
#include "virtio/vring_chain.h"
#include "virtio/vring_split_vector.h"

#define LINKED (VRING_DESC_F_NEXT | VRING_DESC_F_INDIRECT)

static ALWAYS_INLINE uint16_t avail_index(const struct vring *vr)
{
	return __atomic_load_n(&vr->split.avail->idx, __ATOMIC_ACQUIRE);
}

/* A chain of several descriptors, in the ring's table, an indirect table, or both. */
static __attribute__((noinline)) enum vring_fault walk_chain(
    struct vring *vr, struct vring_batch *batch, struct vring_chain *chain, struct descriptor d)
{
	const struct vring_split_desc *table = vr->split.desc;
	const void *inner;
	uint32_t n = vr->size;
	bool in_table = false;

	for (uint32_t left = n; left > 0; left--) {
		enum vring_fault fault;

		if (!chain_walk_on(batch))
			return VRING_FAULT_TOO_LONG;
		if (d.third & VRING_DESC_F_INDIRECT) {
			if (in_table || (d.third & VRING_DESC_F_NEXT))
				return VRING_FAULT_INDIRECT;
			fault = indirect_table(vr, d.addr, d.len, &inner, &n);
			if (fault)
				return fault;
			table = inner;
			in_table = true;
			left = n + 1;
			d = descriptor_read(&table[0]);
			continue; /* go on with the first descriptor of the table */
		}
		if (!direction_matches(vr, batch, chain, d.third))
			return VRING_FAULT_DIRECTION;
		fault = chain_append(vr, batch, chain, d.addr, d.len);
		if (fault)
			return fault;
		if (!(d.third & VRING_DESC_F_NEXT))
			return VRING_FAULT_NONE;
		if (d.fourth >= n)
			return VRING_FAULT_CHAIN;
		d = descriptor_read(&table[d.fourth]);
	}
	return VRING_FAULT_CHAIN; /* more links than descriptors: a loop */
}

static ALWAYS_INLINE enum vring_fault read_chain(
    struct vring *vr, struct vring_batch *batch, struct vring_chain *chain, struct descriptor d)
{
	if (UNLIKELY(d.third & LINKED))
		return walk_chain(vr, batch, chain, d);
	if (UNLIKELY(!direction_matches(vr, batch, chain, d.third)))
		return VRING_FAULT_DIRECTION;
	return chain_append(vr, batch, chain, d.addr, d.len);
}

/* How many chains are available from index `from` on, counted up to max. */
static ALWAYS_INLINE unsigned chains_ready(struct vring *vr, uint16_t from, unsigned max)
{
	uint16_t ready = vr->avail_seen - from;

	if (ready >= max)
		return max;
	vr->avail_seen = avail_index(vr);
	ready = vr->avail_seen - from;
	if (UNLIKELY(ready > vr->size)) {
		vr->avail_seen = from;
		vr->broken = VRING_BREAK_AVAIL_JUMP;
		return 0;
	}
	return MIN(ready, max);
}

/*
 * Append the chain that begins with descriptor chain_head. d is a copy of this descriptor. False:
 * the chain must stay in the ring for now.
 */
static __attribute__((noinline)) bool append(
    struct vring *vr, struct vring_batch *batch, uint16_t chain_head, struct descriptor d)
{
	struct vring_chain *chain = &batch->chain[batch->n];
	enum vring_fault fault;

	chain_begin(batch, chain);
	chain->id = chain_head;
	chain->slots = 1;
	fault = read_chain(vr, batch, chain, d);
	if (UNLIKELY(fault)) {
		if (chain_postponed(vr, batch, chain, fault))
			return false;
		chain_fail(vr, batch, chain, fault);
	}
	chain_end(vr, batch, chain);
	return true;
}

bool vring_split_append(struct vring *vr, struct vring_batch *batch, uint16_t chain_head)
{
	return append(vr, batch, chain_head, descriptor_read(&vr->split.desc[chain_head]));
}

/*
 * Append up to n chains. At least n chains are available. The first of them has an indirect table;
 * it begins with descriptor chain_head, of which d is a copy. The first descriptors of all chains
 * are read before the first chain is walked, and the tables are prefetched, so that their cache
 * misses overlap. Returns how many were appended.
 */
static __attribute__((noinline)) unsigned fetch_tables(struct vring *vr, struct vring_batch *batch,
    unsigned n, uint16_t chain_head, struct descriptor d)
{
	const uint16_t *ring = vr->split.avail->ring;
	struct descriptor first[VRING_BATCH_CHAINS];
	uint16_t heads[VRING_BATCH_CHAINS], avail = vr->position->avail, mask = vr->size - 1;
	bool good = true;
	unsigned read, k;

	heads[0] = chain_head;
	first[0] = d;
	for (read = 1; read < n; read++) {
		heads[read] = READ_ONCE(ring[(avail + read) & mask]);
		good = heads[read] <= mask;
		if (UNLIKELY(!good))
			break;
		first[read] = descriptor_read(&vr->split.desc[heads[read]]);
		if (first[read].third & VRING_DESC_F_INDIRECT)
			table_prefetch(vr, first[read].addr);
	}
	for (k = 0; k < read; k++) {
		if (UNLIKELY(!append(vr, batch, heads[k], first[k])))
			break;
	}
	if (UNLIKELY(!good) && k == read)
		vr->broken = VRING_BREAK_CHAIN_HEAD_RANGE;
	vr->position->avail = avail + k;
	return k;
}

/*
 * Append up to n chains. At least n chains are available. Returns how many were appended. From the
 * first chain with an indirect table on, fetch_tables() does it.
 */
static unsigned fetch_ready(struct vring *vr, struct vring_batch *batch, unsigned n)
{
	const struct vring_split_desc *desc = vr->split.desc;
	const uint16_t *ring = vr->split.avail->ring;
	struct fetch_cursor cursor = fetch_cursor(vr, batch);
	uint16_t avail = vr->position->avail;
	uint16_t mask = vr->size - 1, simple = simple_flags(vr);
	unsigned k;

	for (k = 0; k < n; k++) {
		uint16_t chain_head = READ_ONCE(ring[(avail + k) & mask]);
		struct descriptor d;

		if (UNLIKELY(chain_head > mask)) {
			vr->broken = VRING_BREAK_CHAIN_HEAD_RANGE;
			break;
		}
		d = descriptor_read(&desc[chain_head]);
		if (LIKELY((d.third & SIMPLE_MASK) == simple) &&
		    LIKELY(append_simple(&cursor, d.addr, d.len, chain_head)))
			continue; /* a simple chain */
		fetch_cursor_store(&cursor, batch);
		if (d.third & VRING_DESC_F_INDIRECT) {
			vr->position->avail = avail + k;
			return k + fetch_tables(vr, batch, n - k, chain_head, d);
		}
		if (UNLIKELY(!append(vr, batch, chain_head, d)))
			break;
		cursor = fetch_cursor(vr, batch);
	}
	fetch_cursor_store(&cursor, batch);
	vr->position->avail = avail + k;
	return k;
}

static unsigned split_fetch(struct vring *vr, struct vring_batch *batch, unsigned max)
{
	unsigned n = MIN(max, VRING_BATCH_CHAINS - batch->n);

	if (UNLIKELY(vr->broken))
		return 0;
	return fetch_ready(vr, batch, chains_ready(vr, vr->position->avail, n));
}

static ALWAYS_INLINE unsigned split_fetch_vector(struct vring *vr, struct vring_batch *batch,
    unsigned max, unsigned at_once,
    unsigned (*fetch)(struct vring *vr, struct vring_batch *batch, unsigned n))
{
	unsigned n = MIN(max, VRING_BATCH_CHAINS - batch->n), k;

	if (UNLIKELY(vr->broken))
		return 0;
	n = chains_ready(vr, vr->position->avail, n);
	k = n < at_once ? 0 : fetch(vr, batch, n);
	return k == n ? k : k + fetch_ready(vr, batch, n - k);
}

static CPU_AVX2 unsigned split_fetch_avx2(struct vring *vr, struct vring_batch *batch, unsigned max)
{
	return split_fetch_vector(vr, batch, max, 2, fetch_pairs);
}

static CPU_AVX512 unsigned split_fetch_avx512(
    struct vring *vr, struct vring_batch *batch, unsigned max)
{
	return split_fetch_vector(vr, batch, max, 4, fetch_fours);
}

static void split_unfetch(struct vring *vr, struct vring_batch *batch, unsigned keep)
{
	vr->position->avail -= batch->n - keep;
	batch->n_segments = batch->chain[keep].segment;
	batch->n = keep;
}

/* Write an element of the used ring: the id, then the written length. */
static ALWAYS_INLINE void write_used(
    struct vring_split_used_elem *element, const struct vring_chain *chain)
{
	uint64_t word = chain_id_written(chain);

	word = word << 32 | word >> 32;
	memcpy(element, &word, 8);
}

static ALWAYS_INLINE void publish_used(struct vring *vr, uint16_t used)
{
	__atomic_store_n(&vr->split.used->idx, used, __ATOMIC_RELEASE);
	vr->unsignalled += (uint16_t)(used - vr->position->used);
	vr->position->used = used;
}

/* fours: with write_used_fours(). */
static ALWAYS_INLINE void complete_all(
    struct vring *vr, const struct vring_batch *batch, bool fours)
{
	uint16_t used = vr->position->used;
	const struct vring_chain *chain = batch->chain, *end = chain + batch->n;

	while (chain < end) {
		uint32_t slot = (used + (chain - batch->chain)) & (vr->size - 1u);
		struct vring_split_used_elem *element = &vr->split.used->ring[slot];
		const struct vring_chain *part_end = chain + MIN(end - chain, vr->size - slot);

		if (fours) {
			unsigned k = write_used_fours(element, chain, part_end - chain);

			element += k;
			chain += k;
		}
		for (; chain < part_end; chain++)
			write_used(element++, chain);
	}
	publish_used(vr, used + batch->n);
}

static void split_complete(struct vring *vr, const struct vring_batch *batch)
{
	complete_all(vr, batch, false);
}

static CPU_AVX2 void split_complete_avx2(struct vring *vr, const struct vring_batch *batch)
{
	complete_all(vr, batch, true);
}

/* For transmit rings. */
static void split_complete_in_order(struct vring *vr, const struct vring_batch *batch)
{
	uint16_t used = vr->position->used;

	write_used(&vr->split.used->ring[used & (vr->size - 1)], &batch->chain[batch->n - 1]);
	publish_used(vr, used + batch->n);
}

/* Did the index pass event on its way from old to now? (2.7.10) */
static bool event_passed(uint16_t event, uint16_t now, uint16_t old)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

static bool split_call_wanted(struct vring *vr)
{
	uint16_t now = vr->position->used, old = vr->signalled;
	bool first = !vr->signalled_valid, lapped = vr->unsignalled > vr->size;

	if (!first && vr->unsignalled == 0)
		return false;
	vr->signalled = now;
	vr->signalled_valid = true;
	vr->unsignalled = 0;
	if (!vr->event_idx)
		return !(READ_ONCE(vr->split.avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	return first || lapped ||
	    event_passed(READ_ONCE(vr->split.avail->ring[vr->size]), now, old);
}

static uint16_t *avail_event(struct vring *vr)
{
	return (uint16_t *)(void *)((char *)vr->split.used->ring + 8ul * vr->size);
}

static void split_kick_disable(struct vring *vr)
{
	if (vr->event_idx) {
		/* This value is the last that the index reaches: after 65536 more chains. */
		__atomic_store_n(avail_event(vr), vr->position->avail - 1, __ATOMIC_RELAXED);
		__atomic_store_n(&vr->split.used->flags, 0, __ATOMIC_RELAXED);
	} else {
		__atomic_store_n(&vr->split.used->flags, VRING_USED_F_NO_NOTIFY, __ATOMIC_RELAXED);
	}
}

static bool split_has_avail(const struct vring *vr)
{
	return !vr->broken && avail_index(vr) != vr->position->avail;
}

static struct vring_peek split_peek(const struct vring *vr)
{
	return (struct vring_peek){
	    .word = &vr->split.avail->idx,
	    .mask = UINT16_MAX,
	    .value = vr->position->avail,
	};
}

static bool split_kick_enable(struct vring *vr)
{
	if (vr->event_idx)
		__atomic_store_n(avail_event(vr), vr->position->avail, __ATOMIC_RELAXED);
	__atomic_store_n(&vr->split.used->flags, 0, __ATOMIC_RELAXED);
	vring_barrier();
	return split_has_avail(vr);
}

/* The log knows the guest address of the used ring. */
static void split_log_used(
    struct vring *vr, struct dirty_log *log, const struct vring_position *before, uint32_t slots)
{
	uint32_t at = before->used & (vr->size - 1u);
	uint32_t first = MIN(slots, vr->size - at);

	dirty_log_mark(log, log->ring_gpa + 4 + 8ul * at, 8ul * first);
	dirty_log_mark(log, log->ring_gpa + 4, 8ul * MIN(slots - first, vr->size));
	dirty_log_mark(log, log->ring_gpa, 4); /* flags and index */
}

static void split_log_event(struct vring *vr, struct dirty_log *log)
{
	dirty_log_mark(log, log->ring_gpa, 4);
	dirty_log_mark(log, log->ring_gpa + 4 + 8ul * vr->size, 2);
}

#define SPLIT_OPS(fetch_, complete_) \
	{ \
		.fetch = (fetch_), .unfetch = split_unfetch, .complete = (complete_), \
		.call_wanted = split_call_wanted, .kick_disable = split_kick_disable, \
		.kick_enable = split_kick_enable, .has_avail = split_has_avail, \
		.peek = split_peek, .log_used = split_log_used, .log_event = split_log_event, \
	}

#define SPLIT_BOTH(fetch_, complete_) \
	{ \
		SPLIT_OPS(fetch_, complete_), SPLIT_OPS(fetch_, split_complete_in_order) \
	}

const struct vring_ops *vring_split_ops(bool in_order, enum cpu_level level)
{
	static const struct vring_ops ops[][2] =
	    CPU_VARIANTS(SPLIT_BOTH(split_fetch, split_complete),
		SPLIT_BOTH(split_fetch_avx2, split_complete_avx2),
		SPLIT_BOTH(split_fetch_avx512, split_complete_avx2));

	return &ops[level][in_order];
}
