/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/cpu.h"

static enum cpu_level allowed = CPU_LEVEL_COUNT - 1;

void cpu_allow_level(enum cpu_level most)
{
	__atomic_store_n(&allowed, most, __ATOMIC_RELAXED);
}

void cpu_allow_bits(unsigned most)
{
	static const unsigned widths[] = {
#define X(level, name, bits) bits,
	    CPU_LEVELS(X)
#undef X
	};
	enum cpu_level level = CPU_LEVEL_COUNT - 1;

	while (level > CPU_LEVEL_BASELINE && widths[level] > most)
		level--;
	cpu_allow_level(level);
}

static enum cpu_level best(void)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	    __builtin_cpu_supports("avx512vl"))
		return CPU_LEVEL_AVX512;
	if (__builtin_cpu_supports("avx2"))
		return CPU_LEVEL_AVX2;
#endif
	return CPU_LEVEL_BASELINE;
}

enum cpu_level cpu_level(void)
{
	return MIN(best(), __atomic_load_n(&allowed, __ATOMIC_RELAXED));
}

const char *cpu_level_name(enum cpu_level level)
{
	static const char *const names[] = {
#define X(level, name, bits) name,
	    CPU_LEVELS(X)
#undef X
	};

	return names[level];
}
