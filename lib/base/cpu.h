/* SPDX-License-Identifier: BSD-3-Clause */
/* What this CPU can do beyond x86-64-v2, for which everything is compiled. */
#pragma once

/* Each level includes the levels before it. AVX-512 means F, BW and VL. */
#define CPU_LEVELS(X) \
	X(BASELINE, "x86-64-v2") \
	X(AVX2, "AVX2") \
	X(AVX512, "AVX-512")

enum cpu_level {
#define X(level, name) CPU_LEVEL_##level,
	CPU_LEVELS(X)
#undef X
	    CPU_LEVEL_COUNT
};

/*
 * The best level that this CPU has and cpu_allow_level() allows. Call it at set-up, never per
 * frame. Code for all levels gives the same results. A limit is for tests, and for users of CPUs
 * that lower their clock rate for wide registers. It applies to what is set up after it. Any
 * thread.
 */
enum cpu_level cpu_level(void);
void cpu_allow_level(enum cpu_level most);

const char *cpu_level_name(enum cpu_level level);

/* For functions that are called only at this level or a higher one. */
#define CPU_AVX2 __attribute__((target("avx2")))
#ifdef __clang__
#define CPU_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))
#else
#define CPU_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,prefer-vector-width=512")))
#endif
