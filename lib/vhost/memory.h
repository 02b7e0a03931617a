/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory of a vhost device: maps the regions that the front-end passes, and changes the table
 * of regions while rings run. All errors are logged with vhost_complain.
 */
#pragma once

#include "vhost/device.h"

/*
 * Replace the whole table by n regions. fds: their files; the caller still owns them. Regions that
 * are the same as before keep their mappings. On failure the old table stays.
 * -EINVAL: a region is empty, wraps, overlaps another or reaches beyond its file; or the errno of a
 * system call.
 */
int vhost_memory_replace(struct vhost_device *dev, const struct vhost_region_state regions[],
    const int fds[], unsigned n);

/*
 * Add one region. Nothing happens if the table has it already. Errors as above, and -ENOSPC: all
 * slots are taken.
 */
int vhost_memory_add(struct vhost_device *dev, const struct vhost_region_state *region, int fd);

/* Remove the region with this gpa, uaddr and size. -ENOENT: there is none. */
int vhost_memory_remove(struct vhost_device *dev, const struct vhost_region_state *region);

/* Unmap everything. The workers must be paused and the rings stopped for good. */
void vhost_memory_forget(struct vhost_device *dev);

/*
 * Check whether a mapping of guest memory, of the dirty log or of the in-flight area was lost (see
 * guard.h). -EFAULT: a mapping was lost; this is logged, and the caller must drop the connection.
 */
int vhost_memory_check(struct vhost_device *dev);

/*
 * vhost_memory_mapping: the mapping of region i, which consists of whole pages. vhost_memory_host:
 * the address at which the region begins in this mapping.
 */
void *vhost_memory_mapping(const struct vhost_device *dev, unsigned i, size_t *ret_len);
void *vhost_memory_host(const struct vhost_device *dev, unsigned i);

/* The size of all regions together, and their smallest page size; 0 without memory. */
void vhost_memory_measure(const struct vhost_device *dev, uint64_t *ret_bytes, uint64_t *ret_page);
