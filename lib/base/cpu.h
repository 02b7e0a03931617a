/* SPDX-License-Identifier: BSD-3-Clause */
/* What this CPU can do beyond x86-64-v2, for which everything is compiled. */
#pragma once

#include <stdbool.h>

/*
 * AVX-512 (F, BW, VL)? Asked when something is set up, never per frame. Both ways do the same; for
 * tests the setter, for whatever is set up from then on, takes the other one.
 */
bool cpu_wide(void);
void cpu_allow_wide(bool allow);

/* For functions that are called only if so. */
#ifdef __clang__
#define CPU_WIDE __attribute__((target("avx512f,avx512bw,avx512vl")))
#else
#define CPU_WIDE __attribute__((target("avx512f,avx512bw,avx512vl,prefer-vector-width=512")))
#endif
