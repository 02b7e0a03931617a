/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The pattern of a frame in which every byte is written and checked: 64-bit words that count up
 * from a seed. So a byte depends on the frame and on its place in the frame. Writing and checking
 * cost about as much as memset() and memcmp().
 *
 * Offsets count from the frame's start, so a frame can be written and checked in parts of any size.
 * Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cpu.h"

struct pattern_ops {
	/* Write bytes [at, end) of the frame that starts at frame. */
	void (*write)(uint8_t *frame, uint32_t at, uint32_t end, uint64_t seed);
	/* Do the bytes at `bytes` equal what write() makes of [at, end)? */
	bool (*holds)(const uint8_t *bytes, uint32_t at, uint32_t end, uint64_t seed);
};

/* Every level gives the same pattern. The CPU must support the level, see cpu_level(). */
const struct pattern_ops *pattern_ops(enum cpu_level level);

/* Frames of different streams, flows and numbers have different patterns. */
static inline uint64_t pattern_seed(uint16_t stream, uint32_t flow, uint32_t number)
{
	return (number ^ (uint64_t)flow << 32 ^ (uint64_t)stream << 48) *
	    UINT64_C(0x9e3779b97f4a7c15);
}
