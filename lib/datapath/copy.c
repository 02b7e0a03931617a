/* SPDX-License-Identifier: BSD-3-Clause */
/* The copy of large frames, past the caches. */
#include "datapath/copy.h"

#define LINE  64ul
#define BLOCK (4 * LINE)
#define WORDS (BLOCK / 16)
#define PAGE  4096

/* Copy four cache lines. The destination is aligned to a line. */
static ALWAYS_INLINE void stream_block(uint8_t *to, const uint8_t *from)
{
	__m128i word[WORDS];

	for (unsigned i = 0; i < WORDS; i++)
		word[i] = _mm_loadu_si128((const __m128i *)from + i);
	for (unsigned i = 0; i < WORDS; i++)
		_mm_stream_si128((__m128i *)to + i, word[i]);
}

/* The same, with one store per line. */
static CPU_AVX512 ALWAYS_INLINE void stream_block_avx512(uint8_t *to, const uint8_t *from)
{
	__m512i line[BLOCK / LINE];

	for (unsigned i = 0; i < BLOCK / LINE; i++)
		line[i] = _mm512_loadu_si512(from + i * LINE);
	for (unsigned i = 0; i < BLOCK / LINE; i++)
		_mm512_stream_si512((__m512i *)(void *)(to + i * LINE), line[i]);
}

static ALWAYS_INLINE void ask(const uint8_t *from, uint32_t n)
{
	for (uint32_t i = 0; i < n; i += LINE)
		_mm_prefetch((const char *)from + i, _MM_HINT_T0);
}

/* Load the page's TLB entry early: a store that waits for it delays all stores after it. */
static ALWAYS_INLINE void ask_for_page(const uint8_t *to)
{
	_mm_prefetch((const char *)to, _MM_HINT_NTA);
}

static ALWAYS_INLINE void ask_ahead(const uint8_t *to, const uint8_t *from)
{
	ask(from + COPY_AHEAD, BLOCK);
	if ((uintptr_t)to % PAGE < BLOCK)
		ask_for_page(to + PAGE);
}

/* n is a multiple of BLOCK. */
static void stream(uint8_t *to, const uint8_t *from, uint32_t n)
{
	for (uint32_t i = 0; i < n; i += BLOCK) {
		ask_ahead(to + i, from + i);
		stream_block(to + i, from + i);
	}
}

static CPU_AVX512 void stream_avx512(uint8_t *to, const uint8_t *from, uint32_t n)
{
	for (uint32_t i = 0; i < n; i += BLOCK) {
		ask_ahead(to + i, from + i);
		stream_block_avx512(to + i, from + i);
	}
}

void copy_stream(uint8_t *to, const uint8_t *from, uint32_t n, enum cpu_level level)
{
	uint32_t to_line = -(uintptr_t)to & (LINE - 1);
	uint32_t blocks = (n - to_line) / BLOCK * BLOCK, done = to_line + blocks;

	ask_for_page(to + PAGE);
	ask(from, COPY_AHEAD);
	memcpy(to, from, to_line);
	if (level == CPU_LEVEL_AVX512)
		stream_avx512(to + to_line, from + to_line, blocks);
	else
		stream(to + to_line, from + to_line, blocks);
	memcpy(to + done, from + done, n - done);
	/* Streaming stores are not ordered, but stores to the ring must come after them. */
	_mm_sfence();
}
