/* SPDX-License-Identifier: BSD-3-Clause */
#include "traffic/pattern.h"

#include <string.h>

#include "base/util.h"

#define BLOCK 64u

/* One register with AVX-512, two with AVX2, else four; the compiler chooses. */
typedef uint64_t block __attribute__((vector_size(BLOCK)));

#define INLINE static inline __attribute__((always_inline))

/* The block that contains the byte at `at`. */
INLINE void block_at(uint32_t at, uint64_t seed, block *ret_block)
{
	*ret_block = (block){0, 1, 2, 3, 4, 5, 6, 7} + (seed + at / BLOCK * 8ul);
}

/* The bytes from `at` to the end of its block, or to `end`; 0 if `at` starts a block. */
INLINE uint32_t lead_bytes(uint32_t at, uint32_t end)
{
	return at % BLOCK ? MIN(BLOCK - at % BLOCK, end - at) : 0;
}

INLINE void write_words(uint8_t *frame, uint32_t at, uint32_t end, uint64_t seed)
{
	uint32_t lead = lead_bytes(at, end);
	block word;

	block_at(at, seed, &word);
	if (lead) {
		memcpy(frame + at, (char *)&word + at % BLOCK, lead);
		at += lead;
		word += 8;
	}
	for (; at + BLOCK <= end; at += BLOCK) {
		memcpy(frame + at, &word, BLOCK);
		word += 8;
	}
	memcpy(frame + at, &word, end - at);
}

INLINE bool words_hold(const uint8_t *bytes, uint32_t at, uint32_t end, uint64_t seed)
{
	uint32_t lead = lead_bytes(at, end);
	block word, found, wrong = {0};
	int differs = 0;

	block_at(at, seed, &word);
	if (lead) {
		differs = memcmp(bytes, (char *)&word + at % BLOCK, lead);
		at += lead;
		bytes += lead;
		word += 8;
	}
	for (; at + BLOCK <= end; at += BLOCK, bytes += BLOCK) {
		memcpy(&found, bytes, BLOCK);
		wrong |= found ^ word;
		word += 8;
	}
	differs |= memcmp(bytes, &word, end - at) != 0;
	return !(differs ||
	    wrong[0] | wrong[1] | wrong[2] | wrong[3] | wrong[4] | wrong[5] | wrong[6] | wrong[7]);
}

static void write_baseline(uint8_t *frame, uint32_t at, uint32_t end, uint64_t seed)
{
	write_words(frame, at, end, seed);
}

static bool holds_baseline(const uint8_t *bytes, uint32_t at, uint32_t end, uint64_t seed)
{
	return words_hold(bytes, at, end, seed);
}

static CPU_AVX2 void write_avx2(uint8_t *frame, uint32_t at, uint32_t end, uint64_t seed)
{
	write_words(frame, at, end, seed);
}

static CPU_AVX2 bool holds_avx2(const uint8_t *bytes, uint32_t at, uint32_t end, uint64_t seed)
{
	return words_hold(bytes, at, end, seed);
}

static CPU_AVX512 void write_avx512(uint8_t *frame, uint32_t at, uint32_t end, uint64_t seed)
{
	write_words(frame, at, end, seed);
}

static CPU_AVX512 bool holds_avx512(const uint8_t *bytes, uint32_t at, uint32_t end, uint64_t seed)
{
	return words_hold(bytes, at, end, seed);
}

#define OPS(level) \
	{ \
		write_##level, holds_##level \
	}

const struct pattern_ops *pattern_ops(enum cpu_level level)
{
	static const struct pattern_ops ops[] = CPU_VARIANTS(OPS(baseline), OPS(avx2), OPS(avx512));

	return &ops[level];
}
