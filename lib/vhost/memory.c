/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * Every change builds a whole new table beside the old one: mappings of regions that stay are
 * carried over, new regions are mapped, then guest_memory_create checks the set. All that can
 * fail, and all that is slow, happens while the workers run on the old table. Only then are
 * they paused, the tables swapped, the rings started anew at the same positions, the workers
 * resumed; what the new table does not use is unmapped last.
 *
 * A table that has all of the old one and more stops nobody: rings are pointed at it, and what they
 * remember of the old table is true in the new one. It stays in memory until the next pause.
 *
 * The files come from the front-end and are not trusted: only regular files (memory files are
 * that) are mapped, and only what lies inside them. What vanishes later is guard.h's. Of
 * the file only the region is mapped, widened to whole pages of the file's own size.
 */
#include "vhost/memory.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "vhost/area.h"
#include "vhost/descriptor.h"
#include "vhost/guard.h"
#include "vhost/iommu.h"
#include "vhost/mapping.h"
#include "vhost/quiesce.h"
#include "vhost/ring.h"

struct vhost_mapping {
	void *base; /* of the mapping, page-aligned */
	size_t len;
	uint8_t *host;  /* of the region inside it */
	uint32_t guard; /* against pages that are not there */
	uint64_t page;
	dev_t dev; /* the file */
	ino_t ino;
};

/* A table in the making. */
struct table {
	unsigned n;
	struct vhost_region_state region[VHOST_MEM_SLOTS_MAX];
	struct vhost_mapping mapping[VHOST_MEM_SLOTS_MAX];
	bool carried[VHOST_MEM_SLOTS_MAX]; /* the mapping belongs to the old table, too */
};

static void unmap(const struct vhost_device *dev, const struct vhost_mapping *mapping)
{
	guard_remove(mapping->guard);
	vhost_mapping_release(dev, mapping->base, mapping->len);
}

static bool same_place(const struct vhost_region_state *a, const struct vhost_region_state *b)
{
	return a->gpa == b->gpa && a->uaddr == b->uaddr && a->size == b->size;
}

/* Does the region have bounds that can be calculated with? */
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

/* Is the file one to map, and long enough? */
static int check_file(
    struct vhost_device *dev, const struct vhost_region_state *r, int fd, struct stat *ret_st)
{
	if (fstat(fd, ret_st) < 0)
		return vhost_complain(
		    dev, -errno, "cannot examine a memory file: %s", error_text(errno));
	if (!S_ISREG(ret_st->st_mode))
		return vhost_complain(dev, -EINVAL, "a memory region's descriptor is no file");
	if ((uint64_t)ret_st->st_size < r->mmap_offset + r->size)
		return vhost_complain(dev, -EINVAL,
		    "a memory region ends at byte 0x%llx of a file of 0x%llx",
		    (unsigned long long)r->mmap_offset + r->size,
		    (unsigned long long)ret_st->st_size);
	return 0;
}

uint64_t vhost_file_page_size(int fd, bool *ret_huge)
{
	struct statfs fs;

	/* syscalls: fstat newfstatat fstatfs mmap munmap madvise */
	*ret_huge = fstatfs(fd, &fs) == 0 && (uint32_t)fs.f_type == HUGETLBFS_MAGIC;
	return *ret_huge ? (uint64_t)fs.f_bsize : (uint64_t)sysconf(_SC_PAGESIZE);
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
    struct vhost_mapping *ret_mapping)
{
	uint64_t page, start, end;
	struct stat st;
	uint32_t guard;
	bool huge;
	void *base;
	int error;

	error = check_bounds(dev, r);
	if (!error)
		error = check_file(dev, r, fd, &st);
	if (error)
		return error;
	page = vhost_file_page_size(fd, &huge);
	start = r->mmap_offset & ~(page - 1);
	end = (r->mmap_offset + r->size + page - 1) & ~(page - 1);
	error = vhost_mapping_claim(dev, end - start);
	if (error)
		return error;
	base =
	    mmap(NULL, end - start, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, start);
	if (base == MAP_FAILED) {
		error =
		    vhost_complain(dev, -errno, "cannot map a memory region of 0x%llx bytes: %s",
			(unsigned long long)r->size, error_text(errno));
		vhost_mapping_disclaim(dev, end - start);
		return error;
	}
	madvise(base, end - start, MADV_DONTDUMP);
	if (!huge)
		warn_pages(dev, r);
	log_debug("%s: mapped guest 0x%llx, %llu KiB on pages of %llu KiB", dev->name,
	    (unsigned long long)r->gpa, (unsigned long long)(r->size >> 10),
	    (unsigned long long)(page >> 10));
	error = guard_add(base, end - start, &guard);
	if (error) {
		vhost_mapping_release(dev, base, end - start);
		return vhost_complain(dev, error, "too many memory regions in all");
	}
	*ret_mapping = (struct vhost_mapping){
	    .base = base,
	    .len = end - start,
	    .guard = guard,
	    .page = page,
	    .host = (uint8_t *)base + (r->mmap_offset - start),
	    .dev = st.st_dev,
	    .ino = st.st_ino,
	};
	return 0;
}

static struct table *table_create(struct vhost_device *dev)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		vhost_complain(dev, -ENOMEM, "no memory for a memory table");
	return table;
}

/* Drop a table that did not come to be. */
static void table_discard(const struct vhost_device *dev, struct table *table)
{
	for (unsigned i = 0; i < table->n; i++) {
		if (!table->carried[i])
			unmap(dev, &table->mapping[i]);
	}
	free(table);
}

/* Region i of the device goes on in the new table. */
static void table_carry(struct table *table, const struct vhost_device *dev, unsigned i)
{
	table->region[table->n] = dev->state.region[i];
	table->mapping[table->n] = dev->mapping[i];
	table->carried[table->n] = true;
	table->n++;
}

/* The device's region that is exactly this one, of this file; -1 if there is none. */
static int find_same(const struct vhost_device *dev, const struct vhost_region_state *r, int fd)
{
	struct stat st;

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

/* The same regions in the same order? */
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
		    .host = table->mapping[i].host,
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
static bool still_used(const struct table *table, const struct vhost_mapping *mapping)
{
	for (unsigned i = 0; i < table->n; i++) {
		if (table->carried[i] && table->mapping[i].base == mapping->base)
			return true;
	}
	return false;
}

/* Nothing that was there goes, and there is room to keep the old table for a while. */
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

/* The rings go on with dev->memory, which is old and more. */
static void rings_extend(struct vhost_device *dev, struct guest_memory *old)
{
	for (unsigned i = 0; i < dev->n_vrings; i++) {
		struct vhost_vring *ring = dev->vring[i];

		if (!ring || !ring->active)
			continue; /* it will start with the new one */
		ring->config.memory = dev->memory;
		vring_extend_memory(&ring->ring, dev->memory);
	}
	dev->outgrown[dev->n_outgrown++] = old;
}

/* They have to start anew, as far as they can. */
static void rings_restart(struct vhost_device *dev, struct guest_memory *old)
{
	vhost_rings_change(dev);
	vhost_device_settle(dev);
	forget_outgrown(dev);
	guest_memory_destroy(old);
}

/* Make the new table the device's. Takes the table, also on failure. */
static int table_commit(struct table *table, struct vhost_device *dev)
{
	struct vhost_mapping *old_mapping = dev->mapping;
	struct guest_memory *old_memory = dev->memory, *memory;
	unsigned old_n = dev->state.n_regions;
	struct vhost_mapping *mapping;
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
	memcpy(dev->state.region, table->region, table->n * sizeof(table->region[0]));
	dev->state.n_regions = table->n;
	dev->mapping = mapping;
	dev->memory = memory;
	vhost_iommu_remap(dev);
	for (unsigned i = 0; i < dev->n_vrings; i++)
		if (dev->vring[i])
			vhost_ring_note(dev, i, VRING_EVENT_MEMORY, table->n);
	if (grows) {
		rings_extend(dev, old_memory);
		vhost_device_settle(dev);
	} else {
		rings_restart(dev, old_memory);
	}
	for (unsigned i = 0; i < old_n; i++) {
		if (!still_used(table, &old_mapping[i]))
			unmap(dev, &old_mapping[i]);
	}
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
		unmap(dev, &dev->mapping[i]);
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
		const struct vhost_mapping *m = &dev->mapping[i];
		size_t offset;

		if (!guard_lost(m->guard, &offset))
			continue; /* this one is all there */
		/* Pages may be large: the first one can begin before the region. */
		uint64_t before = m->host - (uint8_t *)m->base;

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
	return dev->mapping[i].host;
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
