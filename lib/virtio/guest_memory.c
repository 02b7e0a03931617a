/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtio/guest_memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int by_gpa(const void *a, const void *b)
{
	const struct guest_region *x = a, *y = b;

	return (x->gpa > y->gpa) - (x->gpa < y->gpa);
}

static bool region_valid(const struct guest_region *r)
{
	uint64_t end;

	return r->size != 0 && !__builtin_add_overflow(r->gpa, r->size, &end) &&
	    !__builtin_add_overflow(r->uaddr, r->size, &end);
}

/* region_valid has checked that neither range wraps. */
static bool ranges_overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

static bool regions_valid(const struct guest_region *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (!region_valid(&r[i]))
			return false;
		for (unsigned j = 0; j < i; j++)
			if (ranges_overlap(r[i].gpa, r[i].size, r[j].gpa, r[j].size) ||
			    ranges_overlap(r[i].uaddr, r[i].size, r[j].uaddr, r[j].size))
				return false;
	}
	return true;
}

int guest_memory_create(
    const struct guest_region *regions, unsigned n, struct guest_memory **ret_memory)
{
	struct guest_memory *memory;

	if (n > GUEST_MEMORY_REGIONS_MAX || !regions_valid(regions, n))
		return -EINVAL;
	memory = malloc(sizeof(*memory) + n * sizeof(memory->region[0]));
	if (!memory)
		return -ENOMEM;
	memory->n_regions = n;
	if (n)
		memcpy(memory->region, regions, n * sizeof(memory->region[0]));
	qsort(memory->region, n, sizeof(memory->region[0]), by_gpa);
	*ret_memory = memory;
	return 0;
}

void guest_memory_destroy(struct guest_memory *memory)
{
	free(memory);
}

const struct guest_region *guest_memory_find(const struct guest_memory *memory, uint64_t gpa)
{
	unsigned low = 0, high = memory->n_regions;

	while (low < high) {
		unsigned middle = (low + high) / 2;
		const struct guest_region *r = &memory->region[middle];

		if (gpa < r->gpa)
			high = middle;
		else if (gpa - r->gpa >= r->size)
			low = middle + 1;
		else
			return r;
	}
	return NULL;
}

void *guest_memory_from_uaddr(const struct guest_memory *memory, uint64_t uaddr, uint64_t len)
{
	if (len == 0)
		return NULL;
	for (unsigned i = 0; i < memory->n_regions; i++) {
		const struct guest_region *r = &memory->region[i];

		if (uaddr < r->uaddr || uaddr - r->uaddr >= r->size)
			continue; /* not in this region */
		if (len > r->size - (uaddr - r->uaddr))
			return NULL;
		return r->host + (uaddr - r->uaddr);
	}
	return NULL;
}

bool guest_memory_from_host(const struct guest_memory *memory, const void *host, uint64_t *ret_gpa)
{
	for (unsigned i = 0; i < memory->n_regions; i++) {
		const struct guest_region *r = &memory->region[i];
		uintptr_t at = (uintptr_t)host, start = (uintptr_t)r->host;

		if (at >= start && at - start < r->size) {
			*ret_gpa = r->gpa + (at - start);
			return true;
		}
	}
	return false;
}
