/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/cpu.h"

#include "base/util.h"

static enum cpu_level allowed = CPU_LEVEL_COUNT - 1;

void cpu_allow_level(enum cpu_level most)
{
	__atomic_store_n(&allowed, most, __ATOMIC_RELAXED);
}

static enum cpu_level best(void)
{
	if (!__builtin_cpu_supports("avx2"))
		return CPU_LEVEL_BASELINE;
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	    __builtin_cpu_supports("avx512vl"))
		return CPU_LEVEL_AVX512;
	return CPU_LEVEL_AVX2;
}

enum cpu_level cpu_level(void)
{
	return MIN(best(), __atomic_load_n(&allowed, __ATOMIC_RELAXED));
}

const char *cpu_level_name(enum cpu_level level)
{
	static const char *const names[] = {
#define X(level, name) name,
	    CPU_LEVELS(X)
#undef X
	};

	return names[level];
}
