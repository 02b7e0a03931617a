/* SPDX-License-Identifier: BSD-3-Clause */
/* CRC-32C of one word, by an instruction that every baseline has. */
#pragma once

#include <stdint.h>

#include "base/util.h"

#ifdef __x86_64__
#include <nmmintrin.h>

static ALWAYS_INLINE uint64_t crc32c_u64(uint64_t crc, uint64_t word)
{
	return _mm_crc32_u64(crc, word);
}

static ALWAYS_INLINE uint32_t crc32c_u16(uint32_t crc, uint16_t word)
{
	return _mm_crc32_u16(crc, word);
}

static ALWAYS_INLINE uint32_t crc32c_u8(uint32_t crc, uint8_t byte)
{
	return _mm_crc32_u8(crc, byte);
}
#else
#include <arm_acle.h>

static ALWAYS_INLINE uint64_t crc32c_u64(uint64_t crc, uint64_t word)
{
	return __crc32cd((uint32_t)crc, word);
}

static ALWAYS_INLINE uint32_t crc32c_u16(uint32_t crc, uint16_t word)
{
	return __crc32ch(crc, word);
}

static ALWAYS_INLINE uint32_t crc32c_u8(uint32_t crc, uint8_t byte)
{
	return __crc32cb(crc, byte);
}
#endif
