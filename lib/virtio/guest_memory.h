/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory: which guest addresses exist and where they are mapped here.
 *
 * An immutable snapshot. The control thread builds a new one whenever the front-end
 * changes the memory table, waits until no worker uses the old one, then drops it.
 * Whoever holds a guest_memory may read it from any thread without a lock.
 *
 * This file knows nothing of how the mappings came to be (lib/vhost maps files; tests
 * and the driver side point at memory they own) and does not unmap anything.
 *
 * There are two address spaces: descriptors carry guest physical addresses (gpa), ring
 * addresses come as the front-end's own virtual addresses (uaddr).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"

#define GUEST_MEMORY_REGIONS_MAX 509

struct guest_region {
	uint64_t gpa;
	uint64_t size;  /* bytes, never 0; gpa + size and uaddr + size do not wrap */
	uint64_t uaddr; /* the front-end's virtual address */
	uint8_t *host;  /* where gpa is mapped here */
};

struct guest_memory {
	unsigned n_regions;
	struct guest_region region[]; /* ascending by gpa, not overlapping */
};

/*
 * Make a snapshot of n regions in any order.
 * -EINVAL: too many, an empty or wrapping region, or two that overlap in gpa or uaddr.
 * -ENOMEM: no memory.
 */
int guest_memory_create(
    const struct guest_region *regions, unsigned n, struct guest_memory **ret_memory);

void guest_memory_destroy(struct guest_memory *memory);

/* The region holding gpa, or NULL. */
const struct guest_region *guest_memory_find(const struct guest_memory *memory, uint64_t gpa);

/*
 * The host address of [uaddr, uaddr + len), which must lie in one region; NULL if it
 * does not. len 0 is never found.
 */
void *guest_memory_from_uaddr(const struct guest_memory *memory, uint64_t uaddr, uint64_t len);

/* The gpa that is mapped at host; false if none is. Slow. */
bool guest_memory_from_host(const struct guest_memory *memory, const void *host, uint64_t *ret_gpa);

/*
 * The host address of gpa and, in *ret_len, how many of the wanted len bytes lie there
 * before the region ends (a buffer may continue in a neighbouring region, mapped elsewhere).
 * *cache is the caller's last-region memo: start with NULL, one per memory snapshot.
 * NULL: gpa is not guest memory. len must not be 0.
 */
static ALWAYS_INLINE void *guest_memory_resolve(const struct guest_memory *memory,
    const struct guest_region **cache, uint64_t gpa, uint32_t len, uint32_t *ret_len)
{
	const struct guest_region *r = *cache;

	if (UNLIKELY(!r || gpa - r->gpa >= r->size)) {
		r = guest_memory_find(memory, gpa);
		if (!r)
			return NULL;
		*cache = r;
	}
	uint64_t offset = gpa - r->gpa;
	uint64_t left = r->size - offset;
	*ret_len = LIKELY(len <= left) ? len : (uint32_t)left;
	return r->host + offset;
}
