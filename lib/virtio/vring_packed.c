/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device side of a packed ring (virtio 1.2, 2.8).
 *
 * A descriptor's flags, id and length lie in one 8-byte word. One acquiring load reads all three
 * and tells whether the descriptor is available. The driver makes the first descriptor of a chain
 * available last, so the others need no check. The chain's id is in its last descriptor.
 *
 * A used descriptor is one store. The first one of a batch is stored last, so a driver that sees
 * it sees the whole batch.
 *
 * Sizes need not be powers of two. A position is a slot number and a wrap counter.
 */
#include "virtio/vring_inflight_private.h"
#include "virtio/vring_packed.h"
#include "virtio/vring_vector.h"

#define LINKED     (VRING_DESC_F_NEXT | VRING_DESC_F_INDIRECT)
#define AVAIL_MASK (VRING_DESC_F_AVAIL | VRING_DESC_F_USED)

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
		 * Only a buffer that will be written must be writable: DPDK's driver marks the
		 * header that it sends as writable, too.
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
 * Read a chain of several slots. Walk to its end even after a fault, because the end tells the id
 * and the number of slots to give back. A chain whose end is out of reach breaks the ring.
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

/* Append a chain of any kind. Returns its number of slots, or 0 if it cannot be had now. */
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

/* The flags of an available descriptor. */
static ALWAYS_INLINE uint16_t avail_flags(bool wrap)
{
	return wrap ? VRING_DESC_F_AVAIL : VRING_DESC_F_USED;
}

static unsigned packed_fetch(struct vring *vr, struct vring_batch *batch, unsigned max)
{
	const struct vring_packed_desc *desc = vr->packed.desc;
	struct vring_position *pos = vr->position;
	struct fetch_cursor cursor = fetch_cursor(vr, batch);
	uint32_t slot = pos->avail, size = vr->size, slots;
	bool wrap = pos->avail_wrap;
	uint16_t simple = simple_flags(vr) | avail_flags(wrap);
	unsigned n = MIN(max, VRING_BATCH_CHAINS - batch->n), k;

	if (UNLIKELY(vr->broken))
		return 0;
	for (k = 0; k < n; k++) {
		struct descriptor d = descriptor_read(&desc[slot]);

		if (LIKELY((d.fourth & (SIMPLE_MASK | AVAIL_MASK)) == simple) &&
		    LIKELY(append_simple(&cursor, d.addr, d.len, d.third))) {
			slots = 1;
		} else {
			if (!packed_is_avail(d.fourth, wrap))
				break;
			fetch_cursor_store(&cursor, batch);
			slots = fetch_any(vr, batch, slot, d);
			cursor = fetch_cursor(vr, batch);
			if (!slots)
				break;
		}
		slot += slots;
		if (UNLIKELY(slot >= size)) {
			slot -= size;
			wrap = !wrap;
			simple ^= AVAIL_MASK;
		}
	}
	fetch_cursor_store(&cursor, batch);
	pos->avail = slot;
	pos->avail_wrap = wrap;
	return k;
}

static struct vring_peek packed_peek(const struct vring *vr)
{
	const struct vring_position *pos = vr->position;

	return (struct vring_peek){
	    .word = &vr->packed.desc[pos->avail].flags,
	    .mask = AVAIL_MASK,
	    .value = avail_flags(pos->avail_wrap),
	    .equal = true,
	};
}

/* For writing: the used descriptor mostly overwrites the available one in the same slot. */
static void packed_prefetch(const struct vring *vr)
{
	__builtin_prefetch(&vr->packed.desc[vr->position->avail], 1);
}

/* Take k chains of one slot each, which end at the ring's end or before it. */
static ALWAYS_INLINE unsigned fetched_in_line(
    struct vring *vr, struct vring_batch *batch, const struct fetch_cursor *cursor, unsigned k)
{
	struct vring_position *pos = vr->position;

	fetch_cursor_store(cursor, batch);
	pos->avail += k;
	if (pos->avail == vr->size) {
		pos->avail = 0;
		pos->avail_wrap = !pos->avail_wrap;
	}
	return k;
}

/*
 * Fetch four chains at a time, as long as they are of the usual kind and end before the ring does.
 * A wide read of x86 need not be atomic. So the first read checks that all four are available. The
 * values of the second one are used, which cannot be older.
 */
static CPU_AVX512 unsigned fetch_fours(struct vring *vr, struct vring_batch *batch, unsigned max)
{
	struct vring_position *pos = vr->position;
	const struct vring_packed_desc *desc = &vr->packed.desc[pos->avail];
	struct fetch_cursor cursor = fetch_cursor(vr, batch);
	unsigned n = MIN(max, VRING_BATCH_CHAINS - batch->n), k;
	unsigned fours = vector_room(&cursor, MIN(n, (uint32_t)vr->size - pos->avail), 4);
	struct four_cursor four =
	    four_cursor(&cursor, (uint64_t)(SIMPLE_MASK | AVAIL_MASK) << FLAGS_SHIFT,
		(uint64_t)(simple_flags(vr) | avail_flags(pos->avail_wrap)) << FLAGS_SHIFT);
	const __m512i id_mask = _mm512_set1_epi64(UINT64_C(0xffff) << CHAIN_ID_SHIFT);
	const __m512i one_slot = _mm512_set1_epi64(CHAIN_ONE_SLOT);

	for (k = 0; k < fours; k += 4, desc += 4) {
		__m512i d = four_read(desc), first;

		if (_mm512_mask_cmpneq_epu64_mask(
			LANES_ODD, _mm512_and_si512(d, four.flags), four.want))
			break;
		d = four_read(desc);
		first = _mm512_and_si512(_mm512_shuffle_epi32(d, _MM_PERM_BADC), id_mask);
		if (!append_four(&cursor, &four, d, _mm512_or_si512(first, one_slot)))
			break;
	}
	return fetched_in_line(vr, batch, &cursor, k);
}

/* The same with two chains at a time. The reads are atomic, so one read is enough. */
static CPU_AVX2 unsigned fetch_pairs(struct vring *vr, struct vring_batch *batch, unsigned max)
{
	struct vring_position *pos = vr->position;
	const struct vring_packed_desc *desc = &vr->packed.desc[pos->avail];
	struct fetch_cursor cursor = fetch_cursor(vr, batch);
	unsigned n = MIN(max, VRING_BATCH_CHAINS - batch->n), k;
	unsigned pairs = vector_room(&cursor, MIN(n, (uint32_t)vr->size - pos->avail), 2);
	struct pair_cursor pair =
	    pair_cursor(&cursor, (uint64_t)(SIMPLE_MASK | AVAIL_MASK) << FLAGS_SHIFT,
		(uint64_t)(simple_flags(vr) | avail_flags(pos->avail_wrap)) << FLAGS_SHIFT);
	const __m256i id_mask = _mm256_set1_epi64x(UINT64_C(0xffff) << CHAIN_ID_SHIFT);
	const __m256i one_slot = _mm256_set1_epi64x(CHAIN_ONE_SLOT);

	for (k = 0; k < pairs; k += 2, desc += 2) {
		__m256i d = pair_read(&desc[0], &desc[1]);
		__m256i second = _mm256_shuffle_epi32(d, _MM_SHUFFLE(1, 0, 3, 2));
		__m256i first = _mm256_or_si256(_mm256_and_si256(second, id_mask), one_slot);

		if (!append_pair(&cursor, &pair, d, first))
			break;
	}
	return fetched_in_line(vr, batch, &cursor, k);
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

static unsigned packed_fetch_avx2(struct vring *vr, struct vring_batch *batch, unsigned max)
{
	return packed_fetch_vector(vr, batch, max, 2, fetch_pairs);
}

static unsigned packed_fetch_avx512(struct vring *vr, struct vring_batch *batch, unsigned max)
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

/* Mark slots that follow each other as used by n chains; words: of the first slot's second on. */
static ALWAYS_INLINE void mark_used(
    uint64_t *words, const struct vring_chain *chain, unsigned n, uint64_t flags)
{
	for (const struct vring_chain *end = chain + n; chain < end; chain++, words += 2)
		__atomic_store_n(words, flags | chain_id_written(chain), __ATOMIC_RELAXED);
}

/* Likewise, four at a time where the slots are a cache line; from: the first of them. */
static CPU_AVX512 void mark_used_fours(struct vring_packed_desc *desc, uint32_t from,
    const struct vring_chain *chain, unsigned n, uint64_t flags)
{
	const __m512i id_written = _mm512_set1_epi64(CHAIN_ID_WRITTEN);
	const __m512i used = _mm512_set1_epi64((long long)flags);
	unsigned lead = MIN(n, -from & 3), k;

	mark_used((uint64_t *)(void *)&desc[from].len, chain, lead, flags);
	for (k = lead; k + 4 <= n; k += 4) {
		__m512i words = _mm512_and_si512(_mm512_loadu_si512(&chain[k]), id_written);

		words = _mm512_or_si512(_mm512_shuffle_epi32(words, _MM_PERM_BADC), used);
		_mm512_mask_storeu_epi64(&desc[from + k], LANES_ODD, words);
	}
	mark_used((uint64_t *)(void *)&desc[from + k].len, &chain[k], n - k, flags);
}

/* Complete a batch of chains of one segment and one slot. */
static void complete_single(struct vring *vr, const struct vring_batch *batch)
{
	uint64_t *words = second_word(vr, 0);
	uint32_t first_slot = vr->position->used, slot = first_slot + 1, size = vr->size;
	bool wrap = vr->position->used_wrap;
	/* Every frame has bytes, so every buffer that can be written was written. */
	uint64_t write =
	    vr->direction == VRING_TRANSMIT ? 0 : (uint64_t)VRING_DESC_F_WRITE << FLAGS_SHIFT;
	uint64_t first = write | packed_used_flags(wrap) | chain_id_written(&batch->chain[0]);

	for (unsigned i = 1, n = batch->n; i < n;) {
		unsigned part = MIN(n - i, size - slot);

		uint64_t flags = write | packed_used_flags(wrap);

		if (part >= 8 && vr->level == CPU_LEVEL_AVX512)
			mark_used_fours(vr->packed.desc, slot, &batch->chain[i], part, flags);
		else
			mark_used(&words[2ul * slot], &batch->chain[i], part, flags);
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
 * After a crash another process can finish a batch if each of its chains has one slot. Otherwise
 * each chain is a batch of its own.
 */
static void complete_journalled(struct vring *vr, const struct vring_batch *batch)
{
	uint32_t slots;

	if (LIKELY(batch->single_segment)) {
		journal_begin(vr, batch->n);
		complete_single(vr, batch);
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

static void packed_complete(struct vring *vr, const struct vring_batch *batch)
{
	if (vr->journal)
		complete_journalled(vr, batch);
	else if (LIKELY(batch->single_segment))
		complete_single(vr, batch);
	else
		complete_range(vr, batch, 0, batch->n);
}

static void packed_complete_in_order(struct vring *vr, const struct vring_batch *batch)
{
	uint32_t slot = vr->position->used;
	bool wrap = vr->position->used_wrap;

	if (vr->direction != VRING_TRANSMIT) {
		packed_complete(vr, batch);
		return;
	}
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
 * log->ring_gpa is the guest address of the device event area. The guest address of descriptors
 * is found by where they are mapped, like that of any guest memory.
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

const struct vring_ops *vring_packed_ops(bool in_order, enum cpu_level level)
{
	static const struct vring_ops ops[CPU_LEVEL_COUNT][2] = {
	    [CPU_LEVEL_BASELINE] = {PACKED_OPS(packed_fetch, packed_complete),
		PACKED_OPS(packed_fetch, packed_complete_in_order)},
	    [CPU_LEVEL_AVX2] = {PACKED_OPS(packed_fetch_avx2, packed_complete),
		PACKED_OPS(packed_fetch_avx2, packed_complete_in_order)},
	    [CPU_LEVEL_AVX512] = {PACKED_OPS(packed_fetch_avx512, packed_complete),
		PACKED_OPS(packed_fetch_avx512, packed_complete_in_order)},
	};

	return &ops[level][in_order];
}
