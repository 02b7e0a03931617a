/* SPDX-License-Identifier: BSD-3-Clause */
/* The time of a clock as one number. */
#pragma once

#include <stdint.h>
#include <time.h>

/* The time of the given clock, in ns. */
static inline int64_t clock_read(clockid_t clock)
{
	struct timespec now = {0};

	clock_gettime(clock, &now); /* syscalls: clock_gettime */
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Monotonic time, in ns since some moment before this process started. */
static inline int64_t clock_ns(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

static inline int64_t clock_ms(void)
{
	return clock_ns() / 1000000;
}
