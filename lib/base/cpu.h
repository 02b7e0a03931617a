/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the CPU can do beyond the baseline for which everything is compiled, and the few things that
 * each architecture does in its own way.
 */
#pragma once

#include <stdint.h>

#include "base/util.h"

/*
 * X(level, name, bits of the widest register). Each level includes the levels before it. AVX-512
 * means F, BW and VL.
 */
#ifdef __x86_64__
#define CPU_LEVELS(X) \
	X(BASELINE, "x86-64-v2", 128) \
	X(AVX2, "AVX2", 256) \
	X(AVX512, "AVX-512", 512)
#else
#define CPU_LEVELS(X) X(BASELINE, "armv8-a+crc", 128)
#endif

enum cpu_level {
#define X(level, name, bits) CPU_LEVEL_##level,
	CPU_LEVELS(X)
#undef X
	    CPU_LEVEL_COUNT,
#ifndef __x86_64__
	/* No CPU has these. They are here so that code can compare with them. */
	CPU_LEVEL_AVX2,
	CPU_LEVEL_AVX512,
#endif
};

/*
 * The best level that this CPU has and cpu_allow_level() allows. Call it at set-up, never per
 * frame. Code for all levels gives the same results. A limit is for tests, and for users of CPUs
 * that lower their clock rate for wide registers. It applies to what is set up after it. Any
 * thread.
 */
enum cpu_level cpu_level(void);
void cpu_allow_level(enum cpu_level most);

/* Allow the levels that have no wider registers than this, and the baseline. */
void cpu_allow_bits(unsigned bits);

const char *cpu_level_name(enum cpu_level level);

/*
 * CPU_AVX2 and CPU_AVX512 mark functions that are called only at this level or a higher one. Other
 * architectures compile them as plain C and do not use them.
 */
#ifndef __x86_64__
#define CPU_AVX2   __attribute__((unused))
#define CPU_AVX512 __attribute__((unused))
#else
#define CPU_AVX2 __attribute__((target("avx2")))
#ifdef __clang__
#define CPU_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))
#else
#define CPU_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,prefer-vector-width=512")))
#endif
#endif

/*
 * The initializer of a table with an element for each level. The level that was read at set-up is
 * the index. If a level has no variant of its own, give the one of the level below.
 *
 * lib/datapath and lib/bridge compare the level instead, once per burst: a function that is called
 * through a table is not inlined. With tables there, a frame took 0.4 instructions more at the
 * baseline, 22 more if each frame of a burst has other addresses, and 1.0 fewer with AVX-512.
 */
/* NOLINTBEGIN(bugprone-macro-parentheses): the arguments may be initializers in braces. */
#ifdef __x86_64__
#define CPU_VARIANTS(baseline, avx2, avx512) \
	{ \
		[CPU_LEVEL_BASELINE] = baseline, [CPU_LEVEL_AVX2] = avx2, \
		[CPU_LEVEL_AVX512] = avx512, \
	}
#else
#define CPU_VARIANTS(baseline, avx2, avx512) \
	{ \
		baseline \
	}
#endif
/* NOLINTEND(bugprone-macro-parentheses) */

/* In a loop that waits for another thread. */
static ALWAYS_INLINE void cpu_pause(void)
{
#ifdef __x86_64__
	__builtin_ia32_pause();
#else
	__asm__ volatile("yield" ::: "memory");
#endif
}

/* A clock that takes few cycles to read. It runs at a constant rate, the same on all CPUs. */
static ALWAYS_INLINE uint64_t cpu_clock(void)
{
#ifdef __x86_64__
	return __builtin_ia32_rdtsc();
#else
	uint64_t value;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(value));
	return value;
#endif
}
