/* SPDX-License-Identifier: BSD-3-Clause */
/* Small things that every floor needs and libc does not have. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)     ((a) < (b) ? (a) : (b))
#define MAX(a, b)     ((a) > (b) ? (a) : (b))

#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#define CACHE_LINE    64
#define CACHE_ALIGNED __attribute__((aligned(CACHE_LINE)))
#define ALWAYS_INLINE inline __attribute__((always_inline))

/* Read, or write, memory exactly once that others may access at the same time. */
#define READ_ONCE(x)     __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)

/* What an error number means. */
static inline const char *error_text(int error)
{
	/* glibc keeps the text of an unknown number per thread, which clang-tidy does not know. */
	return strerror(error); /* NOLINT(concurrency-mt-unsafe) */
}
