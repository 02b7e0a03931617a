/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Several arrays in one allocation. To use it, write a function that takes the arrays from an
 * arena, and call it twice. For the first call the arena has no memory, and only adds up sizes. For
 * the second call the arena has so much memory. The function must take the same arrays in the same
 * order both times. Sizes come from this process and are not checked.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct arena {
	char *memory; /* NULL: sizes are added up, and every array is NULL */
	size_t used;  /* bytes, from the start of memory */
};

/* Go on at a multiple of align, a power of two. memory must be aligned at least as much. */
static inline void arena_align(struct arena *arena, size_t align)
{
	arena->used = (arena->used + align - 1) & ~(align - 1);
}

static inline void *arena_take(struct arena *arena, size_t size, size_t align)
{
	size_t at;

	arena_align(arena, align);
	at = arena->used;
	arena->used += size;
	return arena->memory ? arena->memory + at : NULL;
}

/* An array of n elements. */
#define ARENA_ARRAY(arena, type, n) \
	((type *)arena_take((arena), (n) * sizeof(type), _Alignof(type)))
