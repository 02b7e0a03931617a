/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/area.h"

#include <errno.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/util.h"
#include "vhost/descriptor.h"
#include "vhost/guard.h"
#include "vhost/mapping.h"
#include "vhost/ring.h"

/* Part of a file, as a front-end told it. */
struct part {
	const char *what; /* for messages */
	int fd;
	uint64_t offset, size;
	int flags; /* of mmap, beside MAP_SHARED */
};

static int check_bounds(struct vhost_device *dev, const struct part *part)
{
	uint64_t end;

	if (part->size == 0 || __builtin_add_overflow(part->size, part->offset, &end))
		return vhost_complain(dev, -EINVAL, "%s of 0x%llx bytes at 0x%llx cannot be",
		    part->what, (unsigned long long)part->size, (unsigned long long)part->offset);
	return 0;
}

/* May the file be mapped, and is it long enough? */
static int check_file(struct vhost_device *dev, const struct part *part, struct stat *ret_st)
{
	uint64_t end = part->offset + part->size;

	if (vhost_fd_check_memory(dev, part->fd, part->what) < 0)
		return -EINVAL;
	if (fstat(part->fd, ret_st) < 0)
		return vhost_complain(dev, -errno, "cannot examine the file of %s: %s", part->what,
		    error_text(errno));
	if (!S_ISREG(ret_st->st_mode))
		return vhost_complain(dev, -EINVAL, "the descriptor of %s is no file", part->what);
	if (end > (uint64_t)ret_st->st_size)
		return vhost_complain(dev, -EINVAL, "%s ends at byte 0x%llx of a file of 0x%llx",
		    part->what, (unsigned long long)end, (unsigned long long)ret_st->st_size);
	return 0;
}

/* The size of the pages that a file consists of. */
static uint64_t page_size(int fd, bool *ret_huge)
{
	struct statfs fs;

	/* syscalls: fstat newfstatat fstatfs mmap munmap madvise */
	*ret_huge = fstatfs(fd, &fs) == 0 && (uint32_t)fs.f_type == HUGETLBFS_MAGIC;
	return *ret_huge ? (uint64_t)fs.f_bsize : (uint64_t)sysconf(_SC_PAGESIZE);
}

static int map_pages(struct vhost_device *dev, const struct part *part, struct vhost_area *area)
{
	uint64_t start = part->offset & ~(area->page - 1);
	int error;

	area->len = ((part->offset + part->size + area->page - 1) & ~(area->page - 1)) - start;
	error = vhost_mapping_claim(dev, area->len);
	if (error)
		return error;
	area->base = mmap(NULL, area->len, PROT_READ | PROT_WRITE, MAP_SHARED | part->flags,
	    part->fd, (off_t)start);
	if (area->base == MAP_FAILED) {
		error = vhost_complain(dev, -errno, "cannot map %s of 0x%llx bytes: %s", part->what,
		    (unsigned long long)part->size, error_text(errno));
		vhost_mapping_disclaim(dev, area->len);
		return error;
	}
	madvise(area->base, area->len, MADV_DONTDUMP);
	area->map = (uint8_t *)area->base + (part->offset - start);
	error = guard_add(area->base, area->len, &area->guard);
	if (error) {
		vhost_mapping_release(dev, area->base, area->len);
		return vhost_complain(dev, error, "too many mappings in all");
	}
	return 0;
}

static int map_part(struct vhost_device *dev, const struct part *part, struct vhost_area *ret_area)
{
	struct vhost_area area = {.size = part->size};
	struct stat st;
	int error = check_bounds(dev, part);

	if (!error)
		error = check_file(dev, part, &st);
	if (error)
		return error;
	area.dev = st.st_dev;
	area.ino = st.st_ino;
	area.page = page_size(part->fd, &area.huge);
	error = map_pages(dev, part, &area);
	if (!error)
		*ret_area = area;
	return error;
}

int vhost_area_map(struct vhost_device *dev, const char *what, uint64_t size, uint64_t offset,
    int fd, struct vhost_area *ret_area)
{
	const struct part part = {.what = what, .fd = fd, .offset = offset, .size = size};

	return map_part(dev, &part, ret_area);
}

int vhost_area_map_memory(
    struct vhost_device *dev, uint64_t size, uint64_t offset, int fd, struct vhost_area *ret_area)
{
	const struct part part = {
	    .what = "a memory region",
	    .fd = fd,
	    .offset = offset,
	    .size = size,
	    .flags = MAP_NORESERVE,
	};

	return map_part(dev, &part, ret_area);
}

void vhost_area_unmap(const struct vhost_device *dev, struct vhost_area *area)
{
	if (!area->base)
		return;
	guard_remove(area->guard);
	vhost_mapping_release(dev, area->base, area->len);
	*area = (struct vhost_area){0};
}

bool vhost_area_lost(const struct vhost_area *area)
{
	size_t offset;

	return area->base && guard_lost(area->guard, &offset);
}
