/* SPDX-License-Identifier: BSD-3-Clause */
/* What this CPU can do beyond x86-64-v2, for which everything is compiled. */
#pragma once

/* Each can do what those before it can. AVX-512: F, BW and VL. */
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
 * The best level of this CPU that is allowed. Asked when something is set up, never per frame. All
 * ways do the same; what is set up after cpu_allow_level keeps to it, for tests and for those who
 * fear for their clock rate. Any thread.
 */
enum cpu_level cpu_level(void);
void cpu_allow_level(enum cpu_level most);

const char *cpu_level_name(enum cpu_level level);

/* For functions that are called only at that level or above. */
#define CPU_AVX2 __attribute__((target("avx2")))
#ifdef __clang__
#define CPU_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))
#else
#define CPU_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,prefer-vector-width=512")))
#endif
