/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * For every change a whole new table is built, and the old table stays in use meanwhile. Regions
 * that stay keep their mappings. New regions are mapped, and guest_memory_create() checks all
 * regions. All steps that can fail or are slow happen while the workers use the old table. Then the
 * workers are paused. The new table replaces the old one, the rings start anew at the same
 * positions, and the workers resume. At the end the mappings are unmapped that the new table does
 * not use.
 *
 * If the new table has all regions of the old table, workers are not paused. Rings get a pointer to
 * the new table. A ring may still have pointers into the old table; its regions are right in the
 * new table, too. The old table is freed after the next pause.
 *
 * Files are checked and mapped in area.c.
 */
#include "vhost/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/util.h"
#include "vhost/area.h"
#include "vhost/descriptor.h"
#include "vhost/guard.h"
#include "vhost/iommu.h"
#include "vhost/quiesce.h"
#include "vhost/ring.h"

/* A table that is being built. */
struct table {
	unsigned n;
	struct vhost_region_state region[VHOST_MEM_SLOTS_MAX];
	struct vhost_area mapping[VHOST_MEM_SLOTS_MAX];
	bool carried[VHOST_MEM_SLOTS_MAX]; /* the mapping belongs to the old table, too */
};

static bool same_place(const struct vhost_region_state *a, const struct vhost_region_state *b)
{
	return a->gpa == b->gpa && a->uaddr == b->uaddr && a->size == b->size;
}

/* Do the region's bounds fit their types? */
static int check_bounds(struct vhost_device *dev, const struct vhost_region_state *r)
{
	uint64_t end;

	if (r->size == 0)
		return vhost_complain(dev, -EINVAL, "a memory region of 0 bytes");
	if (__builtin_add_overflow(r->gpa, r->size, &end) ||
	    __builtin_add_overflow(r->uaddr, r->size, &end) ||
	    __builtin_add_overflow(r->mmap_offset, r->size, &end) || end > INT64_MAX)
		return vhost_complain(dev, -EINVAL, "a memory region of 0x%llx bytes wraps",
		    (unsigned long long)r->size);
	return 0;
}

static void warn_pages(struct vhost_device *dev, const struct vhost_region_state *r)
{
	if (dev->warned_pages)
		return;
	dev->warned_pages = true;
	vhost_tell(dev, LOG_WARN,
	    "guest memory of %llu KiB is not on huge pages and will be slower: give the VM "
	    "shared huge-page memory (QEMU: memory-backend-memfd,hugetlb=on,share=on)",
	    (unsigned long long)(r->size >> 10));
}

static int map(struct vhost_device *dev, const struct vhost_region_state *r, int fd,
    struct vhost_area *ret_area)
{
	int error = check_bounds(dev, r);

	if (!error)
		error = vhost_area_map_memory(dev, r->size, r->mmap_offset, fd, ret_area);
	if (error)
		return error;
	if (!ret_area->huge)
		warn_pages(dev, r);
	log_debug("%s: mapped guest 0x%llx, %llu KiB on pages of %llu KiB", dev->name,
	    (unsigned long long)r->gpa, (unsigned long long)(r->size >> 10),
	    (unsigned long long)(ret_area->page >> 10));
	return 0;
}

static struct table *table_create(struct vhost_device *dev)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		vhost_complain(dev, -ENOMEM, "no memory for a memory table");
	return table;
}

/* Drop a table that is not used, and the mappings made for it. */
static void table_discard(const struct vhost_device *dev, struct table *table)
{
	for (unsigned i = 0; i < table->n; i++) {
		if (!table->carried[i])
			vhost_area_unmap(dev, &table->mapping[i]);
	}
	free(table);
}

/* Put region i of the device into the new table, with its mapping. */
static void table_carry(struct table *table, const struct vhost_device *dev, unsigned i)
{
	table->region[table->n] = dev->state.region[i];
	table->mapping[table->n] = dev->mapping[i];
	table->carried[table->n] = true;
	table->n++;
}

/* Find the device's region with the same values and the same file. Returns its index, or -1. */
static int find_same(const struct vhost_device *dev, const struct vhost_region_state *r, int fd)
{
	struct stat st;

	/* syscalls: fstat newfstatat */
	if (fstat(fd, &st) < 0)
		return -1;
	for (unsigned i = 0; i < dev->state.n_regions; i++) {
		const struct vhost_region_state *have = &dev->state.region[i];

		if (same_place(have, r) && have->mmap_offset == r->mmap_offset &&
		    dev->mapping[i].dev == st.st_dev && dev->mapping[i].ino == st.st_ino)
			return (int)i;
	}
	return -1;
}

static int table_append(
    struct table *table, struct vhost_device *dev, const struct vhost_region_state *r, int fd)
{
	int error = vhost_fd_check_memory(dev, fd, "a memory region");
	int same = error ? -1 : find_same(dev, r, fd);

	if (error)
		return error;
	if (same >= 0) {
		table_carry(table, dev, same);
		return 0;
	}
	error = map(dev, r, fd, &table->mapping[table->n]);
	if (error)
		return error;
	table->region[table->n++] = *r;
	return 0;
}

/* Does the table have the same regions as the device, in the same order? */
static bool table_unchanged(const struct table *table, const struct vhost_device *dev)
{
	if (table->n != dev->state.n_regions)
		return false;
	for (unsigned i = 0; i < table->n; i++) {
		if (!table->carried[i] || table->mapping[i].base != dev->mapping[i].base)
			return false;
	}
	return true;
}

static int table_memory(
    struct vhost_device *dev, const struct table *table, struct guest_memory **ret_memory)
{
	struct guest_region *regions;
	int error;

	*ret_memory = NULL;
	if (table->n == 0)
		return 0;
	regions = calloc(table->n, sizeof(*regions));
	if (!regions)
		return vhost_complain(dev, -ENOMEM, "no memory for a memory table");
	for (unsigned i = 0; i < table->n; i++) {
		regions[i] = (struct guest_region){
		    .gpa = table->region[i].gpa,
		    .size = table->region[i].size,
		    .uaddr = table->region[i].uaddr,
		    .host = table->mapping[i].map,
		};
	}
	error = guest_memory_create(regions, table->n, ret_memory);
	free(regions);
	if (error)
		return vhost_complain(dev, error,
		    error == -EINVAL ? "memory regions overlap" : "no memory for a memory table");
	return 0;
}

/* Is this mapping part of the new table? */
static bool still_used(const struct table *table, const struct vhost_area *mapping)
{
	for (unsigned i = 0; i < table->n; i++) {
		if (table->carried[i] && table->mapping[i].base == mapping->base)
			return true;
	}
	return false;
}

/* Does the table have all regions of the device, and can the old table be kept until a pause? */
static bool table_grows(const struct table *table, const struct vhost_device *dev)
{
	if (!dev->memory || dev->n_outgrown == ARRAY_SIZE(dev->outgrown))
		return false;
	for (unsigned i = 0; i < dev->state.n_regions; i++) {
		if (!still_used(table, &dev->mapping[i]))
			return false;
	}
	return true;
}

static void forget_outgrown(struct vhost_device *dev)
{
	while (dev->n_outgrown)
		guest_memory_destroy(dev->outgrown[--dev->n_outgrown]);
}

/* Let running rings use dev->memory, which has all regions of `old`. */
static void rings_extend(struct vhost_device *dev, struct guest_memory *old)
{
	for (unsigned i = 0; i < dev->n_vrings; i++) {
		struct vhost_vring *ring = dev->vring[i];

		if (!ring || !ring->active)
			continue; /* it will start with the new table */
		ring->config.memory = dev->memory;
		vring_extend_memory(&ring->ring, dev->memory);
	}
	dev->outgrown[dev->n_outgrown++] = old;
}

/* Start all rings anew that can run. */
static void rings_restart(struct vhost_device *dev, struct guest_memory *old)
{
	vhost_rings_change(dev);
	vhost_device_settle(dev);
	forget_outgrown(dev);
	guest_memory_destroy(old);
}

/* The device uses this table from now on. */
static void table_install(const struct table *table, struct vhost_device *dev,
    struct vhost_area *mapping, struct guest_memory *memory)
{
	memcpy(dev->state.region, table->region, table->n * sizeof(table->region[0]));
	dev->state.n_regions = table->n;
	dev->mapping = mapping;
	dev->memory = memory;
	vhost_iommu_remap(dev);
	for (unsigned i = 0; i < dev->n_vrings; i++)
		if (dev->vring[i])
			vhost_ring_note(dev, i, VRING_EVENT_MEMORY, table->n);
}

/* Replace the device's table by the new table. Frees `table`, also on failure. */
static int table_commit(struct table *table, struct vhost_device *dev)
{
	struct vhost_area *old_mapping = dev->mapping;
	struct guest_memory *old_memory = dev->memory, *memory;
	unsigned old_n = dev->state.n_regions;
	struct vhost_area *mapping;
	bool grows;
	int error = table_memory(dev, table, &memory);

	mapping = error ? NULL : calloc(table->n + 1, sizeof(*mapping));
	if (!error && !mapping)
		error = vhost_complain(dev, -ENOMEM, "no memory for a memory table");
	if (!mapping) {
		guest_memory_destroy(memory);
		table_discard(dev, table);
		return error;
	}
	memcpy(mapping, table->mapping, table->n * sizeof(*mapping));

	grows = table_grows(table, dev);
	if (!grows)
		vhost_device_pause(dev);
	table_install(table, dev, mapping, memory);
	if (grows) {
		rings_extend(dev, old_memory);
		vhost_device_settle(dev);
	} else {
		rings_restart(dev, old_memory);
	}
	for (unsigned i = 0; i < old_n; i++)
		if (!still_used(table, &old_mapping[i]))
			vhost_area_unmap(dev, &old_mapping[i]);
	free(old_mapping);
	free(table);
	return 0;
}

int vhost_memory_replace(struct vhost_device *dev, const struct vhost_region_state regions[],
    const int fds[], unsigned n)
{
	struct table *table = table_create(dev);
	int error = 0;

	if (!table)
		return -ENOMEM;
	for (unsigned i = 0; i < n && !error; i++)
		error = table_append(table, dev, &regions[i], fds[i]);
	if (error || table_unchanged(table, dev)) {
		table_discard(dev, table);
		return error;
	}
	return table_commit(table, dev);
}

int vhost_memory_add(struct vhost_device *dev, const struct vhost_region_state *region, int fd)
{
	struct table *table;
	int error = vhost_fd_check_memory(dev, fd, "a memory region");

	if (error)
		return error;
	if (find_same(dev, region, fd) >= 0)
		return 0;
	if (dev->state.n_regions == VHOST_MEM_SLOTS_MAX)
		return vhost_complain(
		    dev, -ENOSPC, "all %u memory slots are taken", VHOST_MEM_SLOTS_MAX);
	table = table_create(dev);
	if (!table)
		return -ENOMEM;
	for (unsigned i = 0; i < dev->state.n_regions; i++)
		table_carry(table, dev, i);
	error = table_append(table, dev, region, fd);
	if (error) {
		table_discard(dev, table);
		return error;
	}
	return table_commit(table, dev);
}

int vhost_memory_remove(struct vhost_device *dev, const struct vhost_region_state *region)
{
	struct table *table = table_create(dev);
	unsigned n = dev->state.n_regions;

	if (!table)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		if (!same_place(&dev->state.region[i], region))
			table_carry(table, dev, i);
	}
	if (table->n == n) {
		table_discard(dev, table);
		return vhost_complain(dev, -ENOENT, "there is no memory region at guest 0x%llx",
		    (unsigned long long)region->gpa);
	}
	return table_commit(table, dev);
}

void vhost_memory_forget(struct vhost_device *dev)
{
	for (unsigned i = 0; i < dev->state.n_regions; i++)
		vhost_area_unmap(dev, &dev->mapping[i]);
	free(dev->mapping);
	forget_outgrown(dev);
	guest_memory_destroy(dev->memory);
	dev->mapping = NULL;
	dev->memory = NULL;
	dev->state.n_regions = 0;
}

int vhost_memory_check(struct vhost_device *dev)
{
	if (vhost_area_lost(&dev->log.area))
		return vhost_complain(dev, -EFAULT,
		    "the dirty log is gone: its file was cut short, or has no page for it");
	if (vhost_area_lost(&dev->inflight.area))
		return vhost_complain(dev, -EFAULT,
		    "the in-flight area is gone: its file was cut short, or has no page for it");
	for (unsigned i = 0; i < dev->state.n_regions; i++) {
		const struct vhost_region_state *r = &dev->state.region[i];
		const struct vhost_area *m = &dev->mapping[i];
		size_t offset;

		if (!guard_lost(m->guard, &offset))
			continue; /* nothing of it is gone */
		/* A page may begin before the region. */
		uint64_t before = m->map - (uint8_t *)m->base;

		return vhost_complain(dev, -EFAULT,
		    "guest memory at 0x%llx is gone: its file was cut short, or has no page for it",
		    (unsigned long long)r->gpa + (offset > before ? offset - before : 0));
	}
	return 0;
}

void *vhost_memory_mapping(const struct vhost_device *dev, unsigned i, size_t *ret_len)
{
	*ret_len = dev->mapping[i].len;
	return dev->mapping[i].base;
}

void *vhost_memory_host(const struct vhost_device *dev, unsigned i)
{
	return dev->mapping[i].map;
}

void vhost_memory_measure(const struct vhost_device *dev, uint64_t *ret_bytes, uint64_t *ret_page)
{
	*ret_bytes = *ret_page = 0;
	for (unsigned i = 0; i < dev->state.n_regions; i++) {
		uint64_t page = dev->mapping[i].page;

		*ret_bytes += dev->state.region[i].size;
		*ret_page = i ? MIN(*ret_page, page) : page;
	}
}
