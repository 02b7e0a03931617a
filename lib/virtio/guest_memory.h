/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory: which guest addresses exist and where they are mapped in this process.
 *
 * A struct guest_memory is an immutable snapshot; any thread may read it without a lock. When the
 * front-end changes the memory table, the control thread makes a new one, waits until no worker
 * uses the old one, then destroys the old one.
 *
 * The mappings themselves are made and unmapped elsewhere: lib/vhost maps files; tests and the
 * driver side use their own memory.
 *
 * There are two address spaces. Descriptors contain guest physical addresses (gpa). Messages of the
 * front-end contain ring addresses; these are virtual addresses of the front-end (uaddr).
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
	uint8_t *host;  /* where gpa is mapped in this process */
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

/* The region that contains gpa, or NULL. */
const struct guest_region *guest_memory_find(const struct guest_memory *memory, uint64_t gpa);

/*
 * The host address of [uaddr, uaddr + len), which must lie in one region. NULL if it does not, or
 * if len is 0.
 */
void *guest_memory_from_uaddr(const struct guest_memory *memory, uint64_t uaddr, uint64_t len);

/* The gpa that is mapped at host; false if there is none. Slow: it looks at all regions. */
bool guest_memory_from_host(const struct guest_memory *memory, const void *host, uint64_t *ret_gpa);

/*
 * The host address of gpa, or NULL if gpa is not in guest memory. The caller wants len bytes, which
 * must not be 0. *ret_len may be less, because the region ends before them, and the next region may
 * be mapped elsewhere. *cache keeps the region of the last call. The caller sets *cache to NULL for
 * each new snapshot.
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
