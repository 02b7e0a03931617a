/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What fills a frame whose every byte is written and checked: 64-bit words that count up from a
 * seed, so a byte depends on the frame and on its place in it. Both cost about what memset() and
 * memcmp() cost.
 *
 * Bytes are counted from the frame's start, so a frame can be written and checked in parts, cut
 * anywhere. Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cpu.h"

struct pattern_ops {
	/* Bytes [at, end) of the frame that starts at frame. */
	void (*write)(uint8_t *frame, uint32_t at, uint32_t end, uint64_t seed);
	/* Are these, which start at bytes, what write() makes of [at, end)? */
	bool (*holds)(const uint8_t *bytes, uint32_t at, uint32_t end, uint64_t seed);
};

/* The same pattern at each level; the CPU must be of that level, see cpu_level(). */
const struct pattern_ops *pattern_ops(enum cpu_level level);

/* Frames of different streams, flows and numbers have different patterns. */
static inline uint64_t pattern_seed(uint16_t stream, uint32_t flow, uint32_t number)
{
	return (number ^ (uint64_t)flow << 32 ^ (uint64_t)stream << 48) *
	    UINT64_C(0x9e3779b97f4a7c15);
}
