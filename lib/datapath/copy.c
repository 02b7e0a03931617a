/* SPDX-License-Identifier: BSD-3-Clause */
/* The copy of large frames. */
#include "datapath/copy.h"

#define LINE  64
#define BLOCK (4 * LINE)
#define WORDS (BLOCK / 16)

/* Four lines. The destination begins a line. */
static ALWAYS_INLINE void stream_block(uint8_t *to, const uint8_t *from)
{
	__m128i word[WORDS];

	for (unsigned i = 0; i < BLOCK; i += LINE)
		_mm_prefetch((const char *)from + COPY_AHEAD + i, _MM_HINT_T0);
	for (unsigned i = 0; i < WORDS; i++)
		word[i] = _mm_loadu_si128((const __m128i *)from + i);
	for (unsigned i = 0; i < WORDS; i++)
		_mm_stream_si128((__m128i *)to + i, word[i]);
}

void copy_stream(uint8_t *to, const uint8_t *from, uint32_t n)
{
	uint32_t head = -(uintptr_t)to & (LINE - 1);
	uint32_t done = head + (n - head) / BLOCK * BLOCK;

	memcpy(to, from, head);
	for (uint32_t i = head; i < done; i += BLOCK)
		stream_block(to + i, from + i);
	memcpy(to + done, from + done, n - done);
	/* Such stores are not in order with others, and the ring's have to come after them. */
	_mm_sfence();
}
