/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Run a group of tests once for each level of cpu_level() that this CPU has. If there are further
 * levels, the program counts as skipped.
 */
#pragma once

#include "../skips.h"
#include "base/cpu.h"

#define run_group_at_each_level(tests) \
	({ \
		int failed = 0; \
		const enum cpu_level best = cpu_level(); \
\
		for (unsigned level = 0; level < CPU_LEVEL_COUNT; level++) { \
			cpu_allow_level(level); \
			if (level > best) \
				not_tested(cpu_level_name(level), "this processor lacks it"); \
			else \
				failed += cmocka_run_group_tests_name( \
				    cpu_level_name(level), tests, NULL, NULL); \
		} \
		group_status(failed); \
	})
