/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device side of a packed ring (virtio 1.2, 2.8).
 *
 * A descriptor's flags, id and length lie in one 8-byte word. One acquiring load reads all three
 * and tells whether the descriptor is available. The driver makes the first descriptor of a chain
 * available last, so the other descriptors need no check. The chain's id is in its last descriptor.
 *
 * A used descriptor is written with one store. The first used descriptor of a batch is written
 * last. So if a driver sees the first one, it sees the whole batch.
 *
 * Sizes need not be powers of two. A position is a slot number and a wrap counter.
 */
#include "virtio/vring_inflight_private.h"
#include "virtio/vring_packed.h"
#include "virtio/vring_packed_vector.h"

#define LINKED (VRING_DESC_F_NEXT | VRING_DESC_F_INDIRECT)

/* Move a slot number on by `by` slots, at most the ring's size. */
static ALWAYS_INLINE void advance(const struct vring *vr, uint32_t *slot, bool *wrap, uint32_t by)
{
	*slot += by;
	if (*slot >= vr->size) {
		*slot -= vr->size;
		*wrap = !*wrap;
	}
}

static enum vring_fault walk_indirect(
    struct vring *vr, struct vring_batch *batch, struct vring_chain *chain, struct descriptor d)
{
	const struct vring_packed_desc *table;
	const void *inner;
	enum vring_fault fault;
	uint32_t n;

	if (d.fourth & VRING_DESC_F_NEXT)
		return VRING_FAULT_INDIRECT;
	fault = indirect_table(vr, d.addr, d.len, &inner, &n);
	if (fault)
		return fault;
	table = inner;
	/* The entries of a packed table follow each other, so NEXT does not count. */
	for (uint32_t i = 0; i < n; i++) {
		struct descriptor entry;

		if (!chain_walk_on(batch))
			return VRING_FAULT_TOO_LONG;
		entry = descriptor_read(&table[i]);
		if (entry.fourth & VRING_DESC_F_INDIRECT)
			return VRING_FAULT_INDIRECT;
		/*
		 * Only buffers that the device writes must be writable. A buffer that it only reads
		 * may be writable, too: DPDK's driver marks the header of a frame that it sends as
		 * writable.
		 */
		if (vr->direction != VRING_TRANSMIT &&
		    !direction_matches(vr, batch, chain, entry.fourth))
			return VRING_FAULT_DIRECTION;
		fault = chain_append(vr, batch, chain, entry.addr, entry.len);
		if (fault)
			return fault;
	}
	return VRING_FAULT_NONE;
}

/*
 * Read a chain of several slots, up to its end, even after a fault. The end is needed because only
 * the last slot has the id, and because all slots must be given back. If the end is not found
 * within the limits, the ring is broken.
 */
static __attribute__((noinline)) enum vring_fault walk_chain(struct vring *vr,
    struct vring_batch *batch, struct vring_chain *chain, const struct vring_packed_desc *ring,
    uint32_t size, uint32_t slot, struct descriptor d)
{
	enum vring_fault fault = VRING_FAULT_NONE;

	for (;;) {
		if (UNLIKELY(!chain_walk_on(batch))) {
			if (chain_walked_all(batch))
				vr->broken = VRING_BREAK_CHAIN_ENDLESS;
			return VRING_FAULT_TOO_LONG;
		}
		if (!fault && (d.fourth & VRING_DESC_F_INDIRECT) && chain->slots > 1)
			fault = VRING_FAULT_INDIRECT;
		else if (!fault && (d.fourth & VRING_DESC_F_INDIRECT))
			fault = walk_indirect(vr, batch, chain, d);
		else if (!fault && !direction_matches(vr, batch, chain, d.fourth))
			fault = VRING_FAULT_DIRECTION;
		else if (!fault)
			fault = chain_append(vr, batch, chain, d.addr, d.len);
		if (!(d.fourth & VRING_DESC_F_NEXT))
			break;
		if (chain->slots == size) {
			vr->broken = VRING_BREAK_CHAIN_ENDLESS;
			break;
		}
		chain->slots++;
		if (++slot == size)
			slot = 0;
		d = descriptor_read(&ring[slot]);
	}
	chain->id = d.third;
	return fault;
}

static ALWAYS_INLINE enum vring_fault read_chain(struct vring *vr, struct vring_batch *batch,
    struct vring_chain *chain, uint32_t slot, struct descriptor d)
{
	chain->slots = 1;
	chain->id = d.third;
	if (UNLIKELY(d.fourth & LINKED))
		return walk_chain(vr, batch, chain, vr->packed.desc, vr->size, slot, d);
	if (UNLIKELY(!direction_matches(vr, batch, chain, d.fourth)))
		return VRING_FAULT_DIRECTION;
	return chain_append(vr, batch, chain, d.addr, d.len);
}

bool vring_packed_append(
    struct vring *vr, struct vring_batch *batch, const struct vring_packed_desc *desc, uint16_t n)
{
	struct vring_chain *chain = &batch->chain[batch->n];
	enum vring_fault fault;

	chain_begin(batch, chain);
	chain->slots = 1;
	fault = walk_chain(vr, batch, chain, desc, n, 0, descriptor_read(&desc[0]));
	if (vr->broken) {
		batch->n_segments = chain->segment;
		return false;
	}
	if (fault) {
		if (chain_postponed(vr, batch, chain, fault))
			return false;
		chain_fail(vr, batch, chain, fault);
	}
	chain_end(vr, batch, chain);
	return true;
}

/*
 * Append a chain of any kind. Returns its number of slots, or 0 if the chain must stay in the ring
 * now.
 */
static __attribute__((noinline)) uint32_t fetch_any(
    struct vring *vr, struct vring_batch *batch, uint32_t slot, struct descriptor d)
{
	struct vring_chain *chain = &batch->chain[batch->n];
	enum vring_fault fault;

	chain_begin(batch, chain);
	fault = read_chain(vr, batch, chain, slot, d);
	if (UNLIKELY(vr->broken)) {
		batch->n_segments = chain->segment;
		return 0;
	}
	if (UNLIKELY(fault)) {
		if (chain_postponed(vr, batch, chain, fault))
			return 0;
		chain_fail(vr, batch, chain, fault);
	}
	chain_end(vr, batch, chain);
	return chain->slots;
}

/*
 * Append up to n available chains. The first one has an indirect table; d is a copy of its
 * descriptor. The first descriptors of the chains are read before the first table is walked, and
 * the tables are prefetched, so that their cache misses overlap. The function ends at the end of
 * the ring, and after a chain of several slots; then *ret_more is set. Returns how many were
 * appended.
 */
static __attribute__((noinline)) unsigned fetch_tables(
    struct vring *vr, struct vring_batch *batch, unsigned n, struct descriptor d, bool *ret_more)
{
	struct vring_position *pos = vr->position;
	const struct vring_packed_desc *desc = &vr->packed.desc[pos->avail];
	struct descriptor first[VRING_BATCH_CHAINS];
	uint32_t slot = pos->avail, slots = 1;
	unsigned read, k;

	n = MIN(n, vr->size - slot);
	first[0] = d;
	*ret_more = true;
	for (read = 1; read < n && !(first[read - 1].fourth & VRING_DESC_F_NEXT); read++) {
		first[read] = descriptor_read(&desc[read]);
		*ret_more = packed_is_avail(first[read].fourth, pos->avail_wrap);
		if (!*ret_more)
			break;
		if (first[read].fourth & VRING_DESC_F_INDIRECT)
			table_prefetch(vr, first[read].addr);
	}
	for (k = 0; k < read && slots; k += slots != 0) {
		slots = fetch_any(vr, batch, pos->avail + k, first[k]);
		slot += slots;
	}
	if (slot >= vr->size) {
		slot -= vr->size;
		pos->avail_wrap = !pos->avail_wrap;
	}
	pos->avail = slot;
	*ret_more &= slots != 0;
	return k;
}

static unsigned packed_fetch(struct vring *vr, struct vring_batch *batch, unsigned max)
{
	const struct vring_packed_desc *desc = vr->packed.desc;
	struct vring_position *pos = vr->position;
	struct fetch_cursor cursor = fetch_cursor(vr, batch);
	uint32_t slot = pos->avail, size = vr->size, slots;
	bool wrap = pos->avail_wrap;
	uint16_t simple = simple_flags(vr) | packed_avail_flags(wrap);
	unsigned n = MIN(max, VRING_BATCH_CHAINS - batch->n), k;
	struct descriptor d = {.fourth = 0};
	bool tables = false, more;

	if (UNLIKELY(vr->broken))
		return 0;
	for (k = 0; k < n; k++) {
		d = descriptor_read(&desc[slot]);
		if (LIKELY((d.fourth & (SIMPLE_MASK | PACKED_AVAIL_MASK)) == simple) &&
		    LIKELY(append_simple(&cursor, d.addr, d.len, d.third))) {
			slots = 1;
		} else {
			if (!packed_is_avail(d.fourth, wrap))
				break;
			fetch_cursor_store(&cursor, batch);
			tables = d.fourth & VRING_DESC_F_INDIRECT;
			if (tables)
				break;
			slots = fetch_any(vr, batch, slot, d);
			cursor = fetch_cursor(vr, batch);
			if (!slots)
				break;
		}
		slot += slots;
		if (UNLIKELY(slot >= size)) {
			slot -= size;
			wrap = !wrap;
			simple ^= PACKED_AVAIL_MASK;
		}
	}
	fetch_cursor_store(&cursor, batch);
	pos->avail = slot;
	pos->avail_wrap = wrap;
	if (UNLIKELY(tables)) {
		k += fetch_tables(vr, batch, n - k, d, &more);
		k += more && k < n ? packed_fetch(vr, batch, n - k) : 0;
	}
	return k;
}

static struct vring_peek packed_peek(const struct vring *vr)
{
	const struct vring_position *pos = vr->position;

	return (struct vring_peek){
	    .word = &vr->packed.desc[pos->avail].flags,
	    .mask = PACKED_AVAIL_MASK,
	    .value = packed_avail_flags(pos->avail_wrap),
	    .equal = true,
	};
}

/*
 * Prefetch for writing, because mostly the used descriptor overwrites the available descriptor in
 * this slot.
 */
static void packed_prefetch(const struct vring *vr)
{
	__builtin_prefetch(&vr->packed.desc[vr->position->avail], 1);
}

static ALWAYS_INLINE unsigned packed_fetch_vector(struct vring *vr, struct vring_batch *batch,
    unsigned max, unsigned at_once,
    unsigned (*fetch)(struct vring *vr, struct vring_batch *batch, unsigned max))
{
	unsigned n;

	if (!vring_packed_has_avail(vr))
		return 0;
	n = max < at_once ? 0 : fetch(vr, batch, max);
	return n == max ? n : n + packed_fetch(vr, batch, max - n);
}

static CPU_AVX2 unsigned packed_fetch_avx2(
    struct vring *vr, struct vring_batch *batch, unsigned max)
{
	return packed_fetch_vector(vr, batch, max, 2, fetch_pairs);
}

static CPU_AVX512 unsigned packed_fetch_avx512(
    struct vring *vr, struct vring_batch *batch, unsigned max)
{
	return packed_fetch_vector(vr, batch, max, 4, fetch_fours);
}

static uint32_t slots_of(const struct vring_batch *batch, unsigned from)
{
	uint32_t slots = 0;

	for (unsigned i = from; i < batch->n; i++)
		slots += batch->chain[i].slots;
	return slots;
}

static void packed_unfetch(struct vring *vr, struct vring_batch *batch, unsigned keep)
{
	struct vring_position *pos = vr->position;
	uint32_t back = slots_of(batch, keep);

	/* A hostile driver may have offered more slots than the ring has. */
	while (back >= vr->size) {
		back -= vr->size;
		pos->avail_wrap = !pos->avail_wrap;
	}
	if (back > pos->avail) {
		pos->avail += vr->size;
		pos->avail_wrap = !pos->avail_wrap;
	}
	pos->avail -= back;
	batch->n_segments = batch->chain[keep].segment;
	batch->n = keep;
}

static ALWAYS_INLINE uint64_t *second_word(struct vring *vr, uint32_t slot)
{
	return (uint64_t *)(void *)((char *)&vr->packed.desc[slot] + 8);
}

static ALWAYS_INLINE uint64_t used_word(const struct vring_chain *chain, uint64_t flags)
{
	uint64_t write = chain->written ? (uint64_t)VRING_DESC_F_WRITE << FLAGS_SHIFT : 0;

	return flags | write | (uint64_t)chain->id << 32 | chain->written;
}

static void journal_end(struct vring *vr)
{
	__atomic_store_n(vr->journal, vring_journal_word(vr->position), __ATOMIC_RELEASE);
	if (vr->inflight)
		vring_inflight_note(vr, 0);
}

static void store_position(struct vring *vr, uint32_t slot, bool wrap)
{
	vr->unsignalled +=
	    slot - vr->position->used + (wrap != vr->position->used_wrap ? vr->size : 0);
	vr->position->used = slot;
	vr->position->used_wrap = wrap;
	if (vr->journal)
		journal_end(vr);
}

uint64_t vring_journal_word(const struct vring_position *position)
{
	return position->used | (position->used_wrap ? 0x8000u : 0);
}

static void journal_begin(struct vring *vr, uint32_t slots)
{
	__atomic_store_n(vr->journal, vring_journal_word(vr->position) | (uint64_t)slots << 32,
	    __ATOMIC_RELEASE);
	if (vr->inflight)
		vring_inflight_note(vr, slots);
}

/* Complete a batch of chains of one segment and one slot. fours: with mark_used_fours(). */
static ALWAYS_INLINE void complete_single(
    struct vring *vr, const struct vring_batch *batch, bool fours)
{
	uint64_t *words = second_word(vr, 0);
	uint32_t first_slot = vr->position->used, slot = first_slot + 1, size = vr->size;
	bool wrap = vr->position->used_wrap;
	/* No frame is empty, so every writable buffer was written. */
	uint64_t write =
	    vr->direction == VRING_TRANSMIT ? 0 : (uint64_t)VRING_DESC_F_WRITE << FLAGS_SHIFT;
	uint64_t first = write | packed_used_flags(wrap) | chain_id_written(&batch->chain[0]);

	for (unsigned i = 1, n = batch->n; i < n;) {
		unsigned part = MIN(n - i, size - slot);

		uint64_t flags = write | packed_used_flags(wrap);

		if (part >= 8 && fours)
			mark_used_fours(vr->packed.desc, slot, &batch->chain[i], part, flags);
		else
			packed_mark_used(&words[2ul * slot], &batch->chain[i], part, flags);
		i += part;
		slot += part;
		if (slot == size) {
			slot = 0;
			wrap = !wrap;
		}
	}
	if (slot == size) {
		slot = 0;
		wrap = !wrap;
	}
	__atomic_store_n(&words[2ul * first_slot], first, __ATOMIC_RELEASE);
	store_position(vr, slot, wrap);
}

static void complete_range(
    struct vring *vr, const struct vring_batch *batch, unsigned from, unsigned to)
{
	uint64_t *words = (uint64_t *)(void *)((char *)vr->packed.desc + 8);
	uint32_t first_slot = vr->position->used, slot = first_slot, size = vr->size;
	bool wrap = vr->position->used_wrap;
	uint64_t flags = packed_used_flags(wrap), first = used_word(&batch->chain[from], flags);

	for (unsigned i = from;;) {
		slot += batch->chain[i].slots;
		if (UNLIKELY(slot >= size)) {
			slot -= size;
			wrap = !wrap;
			flags = packed_used_flags(wrap);
		}
		if (++i == to)
			break;
		__atomic_store_n(
		    &words[2ul * slot], used_word(&batch->chain[i], flags), __ATOMIC_RELAXED);
	}
	__atomic_store_n(&words[2ul * first_slot], first, __ATOMIC_RELEASE);
	store_position(vr, slot, wrap);
}

/*
 * Another process can finish a batch after a crash only if each chain of the batch has one slot. If
 * a chain has several slots, each chain becomes a batch of its own.
 */
static ALWAYS_INLINE void complete_journalled(
    struct vring *vr, const struct vring_batch *batch, bool fours)
{
	uint32_t slots;

	if (LIKELY(batch->single_segment)) {
		journal_begin(vr, batch->n);
		complete_single(vr, batch, fours);
		return;
	}
	slots = slots_of(batch, 0);
	if (slots == batch->n) {
		journal_begin(vr, slots);
		complete_range(vr, batch, 0, batch->n);
		return;
	}
	for (unsigned i = 0; i < batch->n; i++) {
		journal_begin(vr, batch->chain[i].slots);
		complete_range(vr, batch, i, i + 1);
	}
}

static ALWAYS_INLINE void complete_all(
    struct vring *vr, const struct vring_batch *batch, bool fours)
{
	if (vr->journal)
		complete_journalled(vr, batch, fours);
	else if (LIKELY(batch->single_segment))
		complete_single(vr, batch, fours);
	else
		complete_range(vr, batch, 0, batch->n);
}

static void packed_complete(struct vring *vr, const struct vring_batch *batch)
{
	complete_all(vr, batch, false);
}

static CPU_AVX512 void packed_complete_avx512(struct vring *vr, const struct vring_batch *batch)
{
	complete_all(vr, batch, true);
}

/* For transmit rings. */
static void packed_complete_in_order(struct vring *vr, const struct vring_batch *batch)
{
	uint32_t slot = vr->position->used;
	bool wrap = vr->position->used_wrap;

	if (vr->journal)
		journal_begin(vr, slots_of(batch, 0));
	__atomic_store_n(second_word(vr, slot),
	    used_word(&batch->chain[batch->n - 1], packed_used_flags(wrap)), __ATOMIC_RELEASE);
	if (LIKELY(batch->single_segment && batch->n <= vr->size))
		advance(vr, &slot, &wrap, batch->n);
	else
		for (unsigned i = 0; i < batch->n; i++)
			advance(vr, &slot, &wrap, batch->chain[i].slots);
	store_position(vr, slot, wrap);
}

/*
 * log->ring_gpa is the guest address of the device event area. The guest address of a descriptor is
 * found from its host address, as for buffers.
 */
static void packed_log_used(
    struct vring *vr, struct dirty_log *log, const struct vring_position *before, uint32_t slots)
{
	uint32_t at = before->used;
	uint32_t first = MIN(slots, (uint32_t)vr->size - at);

	dirty_log_mark_host(log, &vr->packed.desc[at], 16ul * first);
	if (slots > first)
		dirty_log_mark_host(log, vr->packed.desc, 16ul * MIN(slots - first, vr->size));
}

static void packed_log_event(struct vring *vr, struct dirty_log *log)
{
	dirty_log_mark(log, log->ring_gpa, sizeof(*vr->packed.device_event));
}

#define PACKED_OPS(fetch_, complete_) \
	{ \
		.fetch = (fetch_), .unfetch = packed_unfetch, .complete = (complete_), \
		.call_wanted = vring_packed_call_wanted, \
		.kick_disable = vring_packed_kick_disable, \
		.kick_enable = vring_packed_kick_enable, .has_avail = vring_packed_has_avail, \
		.peek = packed_peek, .prefetch = packed_prefetch, .log_used = packed_log_used, \
		.log_event = packed_log_event, \
	}

#define PACKED_BOTH(fetch_, complete_) \
	{ \
		PACKED_OPS(fetch_, complete_), PACKED_OPS(fetch_, packed_complete_in_order) \
	}

const struct vring_ops *vring_packed_ops(bool in_order, enum cpu_level level)
{
	static const struct vring_ops ops[][2] =
	    CPU_VARIANTS(PACKED_BOTH(packed_fetch, packed_complete),
		PACKED_BOTH(packed_fetch_avx2, packed_complete),
		PACKED_BOTH(packed_fetch_avx512, packed_complete_avx512));

	return &ops[level][in_order];
}
