/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Four descriptors at a time, with AVX-512: what append_simple does, for both ring formats.
 *
 * Only for functions that are compiled with CPU_WIDE and chosen when cpu_wide() says so. One
 * line of code here is one instruction, mostly; even lanes hold a descriptor's address, odd lanes
 * its second word.
 */
#pragma once

#include <immintrin.h>

#include "base/cpu.h"
#include "virtio/vring_chain.h"

#define LANES_EVEN 0x55
#define LANES_ODD  0xaa

struct wide_cursor {
	__m512i low_half;     /* of every lane */
	__m512i flags, want;  /* odd lanes: which flags count, and what they have to be */
	__m512i gpa, to_host; /* of the region; what turns a guest address into ours */
	__m512i size, one, len_max;
	__m512i second; /* odd lanes: the next four chains' second words, without lengths */
	__m512i next;   /* what is added to second for the four after these */
};

/* flags and want as they lie in a descriptor's second word. */
static ALWAYS_INLINE CPU_WIDE struct wide_cursor wide_cursor(
    const struct fetch_cursor *c, uint64_t flags, uint64_t want)
{
	const uint64_t step = UINT64_C(1) << CHAIN_SEGMENT_SHIFT;

	return (struct wide_cursor){
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

/* One read of one line's worth: the compiler must not come back for parts of it. */
static ALWAYS_INLINE CPU_WIDE __m512i wide_read(const void *at)
{
	__m512i value;

	__asm__ volatile("vmovdqu64 %1, %0" : "=v"(value) : "m"(*(const char(*)[64])at) : "memory");
	return value;
}

/* A single descriptor, likewise; aligned. */
static ALWAYS_INLINE CPU_WIDE __m128i wide_read_one(const void *at)
{
	__m128i value;

	__asm__ volatile("vmovdqa %1, %0" : "=x"(value) : "m"(*(const char(*)[16])at) : "memory");
	return value;
}

/*
 * Append four chains of one descriptor each; first: in even lanes, their first words. False: one of
 * them is not simple, or not in the cursor's region, and nothing has changed.
 */
static ALWAYS_INLINE CPU_WIDE bool append_four(
    struct fetch_cursor *c, struct wide_cursor *w, __m512i desc, __m512i first)
{
	__m512i len = _mm512_and_si512(desc, w->low_half); /* odd lanes */
	__m512i len_even = _mm512_shuffle_epi32(len, _MM_PERM_BADC);
	__m512i offset = _mm512_sub_epi64(desc, w->gpa);
	__m512i left = _mm512_sub_epi64(w->size, offset);
	__m512i flags = _mm512_and_si512(desc, w->flags);
	unsigned wrong = _mm512_mask_cmpneq_epu64_mask(LANES_ODD, flags, w->want);

	wrong |= _mm512_mask_cmpge_epu64_mask(LANES_EVEN, offset, w->size);
	wrong |= _mm512_mask_cmpgt_epu64_mask(LANES_EVEN, len_even, left);
	/* Length 0 becomes the largest of all. */
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

/* How many of n more chains can be tried four at a time. */
static ALWAYS_INLINE unsigned wide_room(const struct fetch_cursor *c, unsigned n)
{
	return c->size ? MIN(n, (unsigned)(c->segments_end - c->segment)) & ~3u : 0;
}
