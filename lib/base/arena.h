/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Several arrays in one allocation. A function that takes them from an arena is called twice: first
 * with an arena without memory, which only adds up sizes, then with an arena of that much memory.
 * Both times it must take the same arrays in the same order. Sizes come from this process and are
 * not checked.
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
