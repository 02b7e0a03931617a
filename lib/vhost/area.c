/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/area.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/util.h"
#include "vhost/descriptor.h"
#include "vhost/guard.h"
#include "vhost/mapping.h"
#include "vhost/memory.h"
#include "vhost/ring.h"

static int check_file(
    struct vhost_device *dev, const char *what, uint64_t size, uint64_t offset, int fd)
{
	struct stat st;
	uint64_t end;

	if (size == 0 || __builtin_add_overflow(size, offset, &end))
		return vhost_complain(dev, -EINVAL, "%s of 0x%llx bytes at 0x%llx cannot be", what,
		    (unsigned long long)size, (unsigned long long)offset);
	if (vhost_fd_check_memory(dev, fd, what) < 0)
		return -EINVAL;
	if (fstat(fd, &st) < 0)
		return vhost_complain(
		    dev, -errno, "cannot examine the file of %s: %s", what, error_text(errno));
	if (!S_ISREG(st.st_mode))
		return vhost_complain(dev, -EINVAL, "the descriptor of %s is no file", what);
	if (end > (uint64_t)st.st_size)
		return vhost_complain(dev, -EINVAL, "%s ends at byte 0x%llx of a file of 0x%llx",
		    what, (unsigned long long)end, (unsigned long long)st.st_size);
	return 0;
}

int vhost_area_map(struct vhost_device *dev, const char *what, uint64_t size, uint64_t offset,
    int fd, struct vhost_area *ret_area)
{
	uint64_t page, start, end;
	struct vhost_area area;
	bool huge;
	int error = check_file(dev, what, size, offset, fd);

	if (error)
		return error;
	page = vhost_file_page_size(fd, &huge);
	start = offset & ~(page - 1);
	end = (offset + size + page - 1) & ~(page - 1);
	area = (struct vhost_area){.len = end - start, .size = size};
	/* syscalls: fstat newfstatat fstatfs mmap munmap madvise */
	error = vhost_mapping_claim(dev, area.len);
	if (error)
		return error;
	area.base = mmap(NULL, area.len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, start);
	if (area.base == MAP_FAILED) {
		error = vhost_complain(dev, -errno, "cannot map %s of 0x%llx bytes: %s", what,
		    (unsigned long long)size, error_text(errno));
		vhost_mapping_disclaim(dev, area.len);
		return error;
	}
	madvise(area.base, area.len, MADV_DONTDUMP);
	area.map = (uint8_t *)area.base + (offset - start);
	error = guard_add(area.base, area.len, &area.guard);
	if (error) {
		vhost_mapping_release(dev, area.base, area.len);
		return vhost_complain(dev, error, "too many mappings in all");
	}
	*ret_area = area;
	return 0;
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
