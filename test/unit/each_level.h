/* SPDX-License-Identifier: BSD-3-Clause */
/* Run a group of tests once for each level of cpu_level() that this CPU has. */
#pragma once

#include "base/cpu.h"

#define run_group_at_each_level(tests) \
	({ \
		int failed = 0; \
		const enum cpu_level best = cpu_level(); \
\
		for (unsigned level = 0; level <= best; level++) { \
			cpu_allow_level(level); \
			failed += \
			    cmocka_run_group_tests_name(cpu_level_name(level), tests, NULL, NULL); \
		} \
		failed; \
	})
