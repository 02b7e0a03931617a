/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/cpu.h"

static bool wide_forbidden;

void cpu_allow_wide(bool allow)
{
	__atomic_store_n(&wide_forbidden, !allow, __ATOMIC_RELAXED);
}

bool cpu_wide(void)
{
	return !__atomic_load_n(&wide_forbidden, __ATOMIC_RELAXED) &&
	    __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	    __builtin_cpu_supports("avx512vl");
}
