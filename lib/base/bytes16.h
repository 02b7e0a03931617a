/* SPDX-License-Identifier: BSD-3-Clause */
/* 16 bytes in one register. The operators ^, | and & work on all bits. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __x86_64__
#include <smmintrin.h>
#endif

#include "base/util.h"

typedef uint64_t bytes16 __attribute__((vector_size(16)));

/* From, or to, any address. */
static ALWAYS_INLINE bytes16 bytes16_load(const void *at)
{
	bytes16 value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static ALWAYS_INLINE void bytes16_store(void *at, bytes16 value)
{
	memcpy(at, &value, sizeof(value));
}

/* The first 12 bytes of a, and the last 4 of b. */
static ALWAYS_INLINE bytes16 bytes16_join(bytes16 a, bytes16 b)
{
	typedef uint32_t words __attribute__((vector_size(16)));

	return (bytes16)__builtin_shufflevector((words)a, (words)b, 0, 1, 2, 7);
}

/* Is any bit set both in a and in b? */
static ALWAYS_INLINE bool bytes16_meet(bytes16 a, bytes16 b)
{
#ifdef __x86_64__
	return !_mm_testz_si128((__m128i)a, (__m128i)b);
#else
	a &= b;
	return a[0] | a[1];
#endif
}
