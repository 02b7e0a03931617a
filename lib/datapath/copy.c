/* SPDX-License-Identifier: BSD-3-Clause */
/* Copy large frames without loading the destination into the caches. */
#include "datapath/copy.h"

#include "datapath/stream.h"

#define PAGE 4096

static ALWAYS_INLINE void ask(const uint8_t *from, uint32_t n)
{
	for (uint32_t i = 0; i < n; i += CACHE_LINE)
		__builtin_prefetch(from + i, 0, 3);
}

/* Load the page's TLB entry early. A store that waits for the TLB entry delays all later stores. */
static ALWAYS_INLINE void ask_for_page(const uint8_t *to)
{
	__builtin_prefetch(to, 0, 0);
}

static ALWAYS_INLINE void ask_ahead(const uint8_t *to, const uint8_t *from)
{
	ask(from + COPY_AHEAD, STREAM_BLOCK);
	if ((uintptr_t)to % PAGE < STREAM_BLOCK)
		ask_for_page(to + PAGE);
}

/* n is a multiple of STREAM_BLOCK. */
static void stream(uint8_t *to, const uint8_t *from, uint32_t n)
{
	for (uint32_t i = 0; i < n; i += STREAM_BLOCK) {
		ask_ahead(to + i, from + i);
		stream_block(to + i, from + i);
	}
}

static CPU_AVX512 void stream_avx512(uint8_t *to, const uint8_t *from, uint32_t n)
{
	for (uint32_t i = 0; i < n; i += STREAM_BLOCK) {
		ask_ahead(to + i, from + i);
		stream_block_avx512(to + i, from + i);
	}
}

void copy_stream(uint8_t *to, const uint8_t *from, uint32_t n, enum cpu_level level)
{
	uint32_t to_line = -(uintptr_t)to & (CACHE_LINE - 1);
	uint32_t blocks = (n - to_line) / STREAM_BLOCK * STREAM_BLOCK, done = to_line + blocks;

	ask_for_page(to + PAGE);
	ask(from, COPY_AHEAD);
	memcpy(to, from, to_line);
	if (level == CPU_LEVEL_AVX512)
		stream_avx512(to + to_line, from + to_line, blocks);
	else
		stream(to + to_line, from + to_line, blocks);
	memcpy(to + done, from + done, n - done);
	stream_end();
}
