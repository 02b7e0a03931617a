/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "frontend/frontend.h"

static int region_map(struct frontend_region *r, uint64_t size, bool huge)
{
	int err;

	r->fd = memfd_create("guest-memory", MFD_CLOEXEC | (huge ? MFD_HUGETLB : 0));
	if (r->fd < 0)
		return -errno;
	r->host = MAP_FAILED;
	if (ftruncate(r->fd, size) == 0)
		r->host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	if (r->host != MAP_FAILED)
		return 0;
	err = -errno;
	close(r->fd);
	return err;
}

int frontend_region_create(
    struct frontend *fe, uint64_t gpa, uint64_t size, uint64_t uaddr, bool huge)
{
	struct frontend_region r = {.gpa = gpa, .size = size};
	unsigned i = 0;
	int err;

	while (i < fe->n_regions && fe->region[i].size)
		i++;
	if (i == FRONTEND_REGIONS_MAX)
		return -ENOSPC;
	err = region_map(&r, size, huge);
	if (err)
		return err;
	r.uaddr = uaddr ? uaddr : (uintptr_t)r.host;
	fe->region[i] = r;
	if (i == fe->n_regions)
		fe->n_regions++;
	return i;
}

void frontend_region_destroy(struct frontend *fe, unsigned index)
{
	struct frontend_region *r = &fe->region[index];

	if (r->size == 0)
		return;
	munmap(r->host, r->size);
	close(r->fd);
	memset(r, 0, sizeof(*r));
}

void *frontend_memory(struct frontend *fe, uint64_t gpa, uint64_t len)
{
	for (unsigned i = 0; i < fe->n_regions; i++) {
		struct frontend_region *r = &fe->region[i];

		if (gpa - r->gpa < r->size && len <= r->size - (gpa - r->gpa))
			return r->host + (gpa - r->gpa);
	}
	return NULL;
}

uint64_t frontend_uaddr(const struct frontend *fe, uint64_t gpa)
{
	for (unsigned i = 0; i < fe->n_regions; i++)
		if (gpa - fe->region[i].gpa < fe->region[i].size)
			return fe->region[i].uaddr + (gpa - fe->region[i].gpa);
	return 0;
}
