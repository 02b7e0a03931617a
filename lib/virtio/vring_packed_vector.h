/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Parts of vring_packed.c with AVX-512 or AVX2. A fetch function appends the first chains, as many
 * as it can, and returns how many. The caller does the others. Without these instructions it
 * appends none.
 */
#pragma once

#include "virtio/vring_packed_slot.h"

#ifdef __x86_64__
#include "virtio/vring_vector.h"

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
	    four_cursor(&cursor, (uint64_t)(SIMPLE_MASK | PACKED_AVAIL_MASK) << FLAGS_SHIFT,
		(uint64_t)(simple_flags(vr) | packed_avail_flags(pos->avail_wrap)) << FLAGS_SHIFT);
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
	    pair_cursor(&cursor, (uint64_t)(SIMPLE_MASK | PACKED_AVAIL_MASK) << FLAGS_SHIFT,
		(uint64_t)(simple_flags(vr) | packed_avail_flags(pos->avail_wrap)) << FLAGS_SHIFT);
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

/* Likewise, four at a time where the slots are a cache line; from: the first of them. */
static CPU_AVX512 void mark_used_fours(struct vring_packed_desc *desc, uint32_t from,
    const struct vring_chain *chain, unsigned n, uint64_t flags)
{
	const __m512i id_written = _mm512_set1_epi64(CHAIN_ID_WRITTEN);
	const __m512i used = _mm512_set1_epi64((long long)flags);
	unsigned lead = MIN(n, -from & 3), k;

	packed_mark_used((uint64_t *)(void *)&desc[from].len, chain, lead, flags);
	for (k = lead; k + 4 <= n; k += 4) {
		__m512i words = _mm512_and_si512(_mm512_loadu_si512(&chain[k]), id_written);

		words = _mm512_or_si512(_mm512_shuffle_epi32(words, _MM_PERM_BADC), used);
		_mm512_mask_storeu_epi64(&desc[from + k], LANES_ODD, words);
	}
	packed_mark_used((uint64_t *)(void *)&desc[from + k].len, &chain[k], n - k, flags);
}
#else
static inline unsigned fetch_fours(struct vring *vr, struct vring_batch *batch, unsigned max)
{
	(void)vr;
	(void)batch;
	(void)max;
	return 0;
}

static inline unsigned fetch_pairs(struct vring *vr, struct vring_batch *batch, unsigned max)
{
	return fetch_fours(vr, batch, max);
}

static inline void mark_used_fours(struct vring_packed_desc *desc, uint32_t from,
    const struct vring_chain *chain, unsigned n, uint64_t flags)
{
	packed_mark_used((uint64_t *)(void *)&desc[from].len, chain, n, flags);
}
#endif
