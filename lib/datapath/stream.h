/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stores that write whole cache lines past the caches. An architecture for which there are none
 * here uses ordinary stores.
 */
#pragma once

#include <stdint.h>
#include <string.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "base/cpu.h"

#define STREAM_BLOCK (4ul * CACHE_LINE)

#ifdef __x86_64__
/* Copy four cache lines. The destination is aligned to a line. */
static ALWAYS_INLINE void stream_block(uint8_t *to, const uint8_t *from)
{
	__m128i word[STREAM_BLOCK / 16];

	for (unsigned i = 0; i < ARRAY_SIZE(word); i++)
		word[i] = _mm_loadu_si128((const __m128i *)from + i);
	for (unsigned i = 0; i < ARRAY_SIZE(word); i++)
		_mm_stream_si128((__m128i *)to + i, word[i]);
}

/* The same, with one store per line. */
static CPU_AVX512 ALWAYS_INLINE void stream_block_avx512(uint8_t *to, const uint8_t *from)
{
	__m512i line[STREAM_BLOCK / CACHE_LINE];

	for (unsigned i = 0; i < ARRAY_SIZE(line); i++)
		line[i] = _mm512_loadu_si512(from + (size_t)i * CACHE_LINE);
	for (unsigned i = 0; i < ARRAY_SIZE(line); i++)
		_mm512_stream_si512((__m512i *)(void *)(to + (size_t)i * CACHE_LINE), line[i]);
}

/* Streaming stores are not ordered, but stores to the ring must come after them. */
static ALWAYS_INLINE void stream_end(void)
{
	_mm_sfence();
}
#else
static ALWAYS_INLINE void stream_block(uint8_t *to, const uint8_t *from)
{
	memcpy(to, from, STREAM_BLOCK);
}

static ALWAYS_INLINE void stream_block_avx512(uint8_t *to, const uint8_t *from)
{
	stream_block(to, from);
}

/* The releasing store to the ring orders ordinary stores. */
static ALWAYS_INLINE void stream_end(void)
{
}
#endif
