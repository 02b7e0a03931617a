/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Parts of vring_split.c with AVX-512 or AVX2. Each function does the first of the chains that it
 * is given, as many as it can, and returns how many. The caller does the others. Without these
 * instructions a function does none.
 */
#pragma once

#ifdef __x86_64__
#include "virtio/vring_vector.h"

/* A descriptor's flags in its second word. */
#define FLAGS_SHIFT 32

/* Read four descriptors, each once. chain_heads: four numbers of descriptors, in range. */
static ALWAYS_INLINE CPU_AVX512 __m512i read_four(
    const struct vring_split_desc *desc, uint64_t chain_heads)
{
	__m128i a = vector_read_one(&desc[chain_heads & 0xffff]);
	__m128i b = vector_read_one(&desc[chain_heads >> 16 & 0xffff]);
	__m128i c = vector_read_one(&desc[chain_heads >> 32 & 0xffff]);
	__m128i d = vector_read_one(&desc[chain_heads >> 48]);

	return _mm512_inserti64x4(
	    _mm512_castsi256_si512(_mm256_set_m128i(b, a)), _mm256_set_m128i(d, c), 1);
}

/*
 * Append chains in fours, as long as all four are simple and do not run over the end of the avail
 * ring.
 */
static CPU_AVX512 unsigned fetch_fours(struct vring *vr, struct vring_batch *batch, unsigned n)
{
	struct fetch_cursor cursor = fetch_cursor(vr, batch);
	uint16_t avail = vr->position->avail, mask = vr->size - 1;
	const uint16_t *ring = &vr->split.avail->ring[avail & mask];
	const uint64_t too_high = (uint16_t)~mask * UINT64_C(0x0001000100010001);
	const __m512i one_slot = _mm512_set1_epi64(CHAIN_ONE_SLOT);
	struct four_cursor four = four_cursor(&cursor, (uint64_t)SIMPLE_MASK << FLAGS_SHIFT,
	    (uint64_t)simple_flags(vr) << FLAGS_SHIFT);
	unsigned fours = vector_room(&cursor, MIN(n, (uint32_t)vr->size - (avail & mask)), 4), k;

	for (k = 0; k < fours; k += 4) {
		uint64_t chain_heads;
		__m512i first;

		/* The compiler must not read them a second time. */
		__asm__ volatile("mov %1, %0"
				 : "=r"(chain_heads)
				 : "m"(*(const char(*)[8]) & ring[k]));
		if (UNLIKELY(chain_heads & too_high))
			break;
		first = _mm512_castsi256_si512(
		    _mm256_cvtepu16_epi64(_mm_cvtsi64_si128((long long)chain_heads)));
		first =
		    _mm512_slli_epi64(_mm512_maskz_expand_epi64(LANES_EVEN, first), CHAIN_ID_SHIFT);
		if (!append_four(&cursor, &four, read_four(vr->split.desc, chain_heads),
			_mm512_or_si512(first, one_slot)))
			break;
	}
	fetch_cursor_store(&cursor, batch);
	vr->position->avail = avail + k;
	return k;
}

/* The same in pairs. */
static CPU_AVX2 unsigned fetch_pairs(struct vring *vr, struct vring_batch *batch, unsigned n)
{
	struct fetch_cursor cursor = fetch_cursor(vr, batch);
	uint16_t avail = vr->position->avail, mask = vr->size - 1;
	const uint16_t *ring = &vr->split.avail->ring[avail & mask];
	const struct vring_split_desc *desc = vr->split.desc;
	const uint32_t too_high = (uint16_t)~mask * UINT32_C(0x00010001);
	const __m256i one_slot = _mm256_set1_epi64x(CHAIN_ONE_SLOT);
	struct pair_cursor pair = pair_cursor(&cursor, (uint64_t)SIMPLE_MASK << FLAGS_SHIFT,
	    (uint64_t)simple_flags(vr) << FLAGS_SHIFT);
	unsigned pairs = vector_room(&cursor, MIN(n, (uint32_t)vr->size - (avail & mask)), 2), k;

	for (k = 0; k < pairs; k += 2) {
		uint32_t chain_heads;
		__m256i first;

		__asm__ volatile("mov %1, %0"
				 : "=r"(chain_heads)
				 : "m"(*(const char(*)[4]) & ring[k]));
		if (UNLIKELY(chain_heads & too_high))
			break;
		first = _mm256_cvtepu16_epi64(_mm_cvtsi32_si128((int)chain_heads));
		first = _mm256_permute4x64_epi64(first, _MM_SHUFFLE(1, 1, 0, 0));
		first = _mm256_slli_epi64(first, CHAIN_ID_SHIFT);
		if (!append_pair(&cursor, &pair,
			pair_read(&desc[chain_heads & 0xffff], &desc[chain_heads >> 16]),
			_mm256_or_si256(first, one_slot)))
			break;
	}
	fetch_cursor_store(&cursor, batch);
	vr->position->avail = avail + k;
	return k;
}

/* Write elements in fours. Returns how many of the n were written; the caller writes the others. */
static CPU_AVX2 unsigned write_used_fours(
    struct vring_split_used_elem *element, const struct vring_chain *chain, unsigned n)
{
	const __m256i id_written = _mm256_set1_epi64x(CHAIN_ID_WRITTEN);
	unsigned k;

	for (k = 0; k + 4 <= n; k += 4) {
		const __m256i *pair = (const __m256i *)(const void *)&chain[k];
		__m256i even = _mm256_unpacklo_epi64(
		    _mm256_loadu_si256(&pair[0]), _mm256_loadu_si256(&pair[1]));
		__m256i words = _mm256_permute4x64_epi64(even, _MM_SHUFFLE(3, 1, 2, 0));

		words = _mm256_shuffle_epi32(
		    _mm256_and_si256(words, id_written), _MM_SHUFFLE(2, 3, 0, 1));
		_mm256_storeu_si256((__m256i *)(void *)&element[k], words);
	}
	return k;
}
#else
#include "virtio/vring_chain.h"

static inline unsigned fetch_fours(struct vring *vr, struct vring_batch *batch, unsigned n)
{
	(void)vr;
	(void)batch;
	(void)n;
	return 0;
}

static inline unsigned fetch_pairs(struct vring *vr, struct vring_batch *batch, unsigned n)
{
	return fetch_fours(vr, batch, n);
}

static inline unsigned write_used_fours(
    struct vring_split_used_elem *element, const struct vring_chain *chain, unsigned n)
{
	(void)element;
	(void)chain;
	(void)n;
	return 0;
}
#endif
