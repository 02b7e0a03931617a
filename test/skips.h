/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cmocka ends with status 0 if a test skips. Here skip_without() names what was not tested, which
 * scripts/test collects, and the program ends with the status that Meson takes for skipped:
 *
 *	return group_status(cmocka_run_group_tests(tests, NULL, NULL));
 */
#pragma once

#include <stdio.h>

static unsigned things_not_tested;

#define not_tested(thing, words) \
	(things_not_tested++, (void)printf("not tested: %s: %s\n", (thing), (words)))

#define skip_without(thing, words) \
	do { \
		not_tested(thing, words); \
		skip(); \
	} while (0)

static inline int group_status(int failed)
{
	return failed ? 1 : things_not_tested ? 77 : 0;
}
