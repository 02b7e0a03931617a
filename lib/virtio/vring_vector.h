/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * append_simple for four descriptors at a time (AVX-512), or two at a time (AVX2). Both ring
 * formats use it.
 *
 * Only functions that are compiled with CPU_AVX512 or CPU_AVX2, and are chosen by cpu_level(), may
 * use this. Mostly, one line of code is one instruction. Lanes have 64 bits. An even lane contains
 * the address of a descriptor, and the next odd lane its second word.
 */
#pragma once

#include <immintrin.h>

#include "base/cpu.h"
#include "virtio/vring_chain.h"

#define LANES_EVEN 0x55
#define LANES_ODD  0xaa
#define WORDS_ODD  0xcc /* the odd lanes of 256 bits, in parts of 32 bits */

/*
 * Read one descriptor with one load. Every CPU with AVX reads 16 aligned bytes at once. The asm
 * statement keeps the compiler from reading them a second time.
 */
static ALWAYS_INLINE CPU_AVX2 __m128i vector_read_one(const void *at)
{
	__m128i value;

	__asm__ volatile("vmovdqa %1, %0" : "=x"(value) : "m"(*(const char(*)[16])at) : "memory");
	return value;
}

/*
 * The number of chains, at most n, that can be tried in groups of at_once. at_once is a power of
 * two.
 */
static ALWAYS_INLINE unsigned vector_room(
    const struct fetch_cursor *c, unsigned n, unsigned at_once)
{
	return c->size ? MIN(n, (unsigned)(c->segments_end - c->segment)) & ~(at_once - 1) : 0;
}

struct four_cursor {
	__m512i low_half;     /* the low 32 bits of every lane */
	__m512i flags, want;  /* odd lanes: which flags count, and what they have to be */
	__m512i gpa, to_host; /* of the region; what to add to a gpa for a host address */
	__m512i size, one, len_max;
	__m512i second; /* odd lanes: the next four chains' second words, without lengths */
	__m512i next;   /* what to add to second for the next four */
};

/* flags and want are shifted as in the second word of a descriptor. */
static ALWAYS_INLINE CPU_AVX512 struct four_cursor four_cursor(
    const struct fetch_cursor *c, uint64_t flags, uint64_t want)
{
	const uint64_t step = UINT64_C(1) << CHAIN_SEGMENT_SHIFT;

	return (struct four_cursor){
	    .low_half = _mm512_set1_epi64(UINT32_MAX),
	    .flags = _mm512_set1_epi64(flags),
	    .want = _mm512_set1_epi64(want),
	    .gpa = _mm512_set1_epi64(c->gpa),
	    .to_host = _mm512_set1_epi64((uintptr_t)c->host - c->gpa),
	    .size = _mm512_set1_epi64(c->size),
	    .one = _mm512_set1_epi64(1),
	    .len_max = _mm512_set1_epi64(VRING_CHAIN_BYTES_MAX),
	    .second = _mm512_add_epi64(_mm512_set1_epi64(c->second),
		_mm512_set_epi64(3 * step, 0, 2 * step, 0, step, 0, 0, 0)),
	    .next = _mm512_set1_epi64(4 * step),
	};
}

/*
 * Read four descriptors with one instruction. The asm statement keeps the compiler from reading
 * parts of them a second time.
 */
static ALWAYS_INLINE CPU_AVX512 __m512i four_read(const void *at)
{
	__m512i value;

	__asm__ volatile("vmovdqu64 %1, %0" : "=v"(value) : "m"(*(const char(*)[64])at) : "memory");
	return value;
}

/*
 * Append four chains of one descriptor each. first: the descriptors' first words, in even lanes.
 * Returns false, and changes nothing, if a chain is not simple, or not in the cursor's region.
 */
static ALWAYS_INLINE CPU_AVX512 bool append_four(
    struct fetch_cursor *c, struct four_cursor *w, __m512i desc, __m512i first)
{
	__m512i len = _mm512_and_si512(desc, w->low_half); /* odd lanes */
	__m512i len_even = _mm512_shuffle_epi32(len, _MM_PERM_BADC);
	__m512i offset = _mm512_sub_epi64(desc, w->gpa);
	__m512i left = _mm512_sub_epi64(w->size, offset);
	__m512i flags = _mm512_and_si512(desc, w->flags);
	unsigned wrong = _mm512_mask_cmpneq_epu64_mask(LANES_ODD, flags, w->want);

	wrong |= _mm512_mask_cmpge_epu64_mask(LANES_EVEN, offset, w->size);
	wrong |= _mm512_mask_cmpgt_epu64_mask(LANES_EVEN, len_even, left);
	/* Length 0 wraps to the largest number. */
	wrong |= _mm512_mask_cmpge_epu64_mask(LANES_ODD, _mm512_sub_epi64(len, w->one), w->len_max);
	if (UNLIKELY(wrong))
		return false;
	_mm512_storeu_si512(c->segment,
	    _mm512_mask_blend_epi64(LANES_ODD, _mm512_add_epi64(desc, w->to_host), len));
	_mm512_storeu_si512(
	    c->chain, _mm512_mask_blend_epi64(LANES_ODD, first, _mm512_or_si512(len, w->second)));
	w->second = _mm512_add_epi64(w->second, w->next);
	c->segment += 4;
	c->chain += 4;
	return true;
}

struct pair_cursor {
	__m256i low_half; /* the low 32 bits of every lane */
	__m256i flags,
	    want; /* odd lanes, 0 in even ones: which flags count, what they have to be */
	__m256i gpa, to_host; /* of the region; what to add to a gpa for a host address */
	__m256i size, one, len_max;
	__m256i second; /* odd lanes: the next two chains' second words, without lengths */
	__m256i next;   /* what to add to second for the next two */
};

/* flags and want are shifted as in the second word of a descriptor. */
static ALWAYS_INLINE CPU_AVX2 struct pair_cursor pair_cursor(
    const struct fetch_cursor *c, uint64_t flags, uint64_t want)
{
	const uint64_t step = UINT64_C(1) << CHAIN_SEGMENT_SHIFT;

	return (struct pair_cursor){
	    .low_half = _mm256_set1_epi64x(UINT32_MAX),
	    .flags = _mm256_set_epi64x(flags, 0, flags, 0),
	    .want = _mm256_set_epi64x(want, 0, want, 0),
	    .gpa = _mm256_set1_epi64x(c->gpa),
	    .to_host = _mm256_set1_epi64x((uintptr_t)c->host - c->gpa),
	    .size = _mm256_set1_epi64x(c->size),
	    .one = _mm256_set1_epi64x(1),
	    .len_max = _mm256_set1_epi64x(VRING_CHAIN_BYTES_MAX),
	    .second = _mm256_set_epi64x(c->second + step, 0, c->second, 0),
	    .next = _mm256_set1_epi64x(2 * step),
	};
}

static ALWAYS_INLINE CPU_AVX2 __m256i pair_read(const void *one, const void *other)
{
	return _mm256_set_m128i(vector_read_one(other), vector_read_one(one));
}

/*
 * append_four for two chains. AVX2 cannot compare unsigned numbers, so the sign bits of differences
 * are tested. This works because a region's size never has its sign bit set: if something is out of
 * bounds, a difference has its sign bit set.
 */
static ALWAYS_INLINE CPU_AVX2 bool append_pair(
    struct fetch_cursor *c, struct pair_cursor *w, __m256i desc, __m256i first)
{
	__m256i len = _mm256_and_si256(desc, w->low_half); /* odd lanes */
	__m256i len_even = _mm256_shuffle_epi32(len, _MM_SHUFFLE(1, 0, 3, 2));
	__m256i offset = _mm256_sub_epi64(desc, w->gpa);
	__m256i left = _mm256_sub_epi64(w->size, offset);
	__m256i after = _mm256_sub_epi64(left, len_even);
	__m256i even = _mm256_or_si256(_mm256_or_si256(offset, left), after);
	__m256i odd =
	    _mm256_or_si256(_mm256_sub_epi64(len, w->one), _mm256_sub_epi64(w->len_max, len));
	__m256i right = _mm256_cmpeq_epi64(_mm256_and_si256(desc, w->flags), w->want);
	__m256d wrong = _mm256_castsi256_pd(_mm256_blend_epi32(even, odd, WORDS_ODD));

	/* Is a sign bit set in wrong, or one not set in right? */
	if (UNLIKELY(!_mm256_testz_pd(wrong, wrong) ||
		!_mm256_testc_pd(_mm256_castsi256_pd(right), _mm256_set1_pd(-0.0))))
		return false;
	_mm256_storeu_si256((__m256i *)(void *)c->segment,
	    _mm256_blend_epi32(_mm256_add_epi64(desc, w->to_host), len, WORDS_ODD));
	_mm256_storeu_si256((__m256i *)(void *)c->chain,
	    _mm256_blend_epi32(first, _mm256_or_si256(len, w->second), WORDS_ODD));
	w->second = _mm256_add_epi64(w->second, w->next);
	c->segment += 2;
	c->chain += 2;
	return true;
}
