/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory of a vhost device: maps what the front-end passes, and changes the table under
 * running rings. All errors are logged with vhost_complain.
 */
#pragma once

#include "vhost/device.h"

/*
 * Replace the whole table by n regions in fds (still the caller's). Regions that stay as they
 * are keep their mappings. On failure the old table stays.
 * -EINVAL: a region is empty, wraps, overlaps another or reaches beyond its file; else what
 * the system said.
 */
int vhost_memory_replace(struct vhost_device *dev, const struct vhost_region_state regions[],
    const int fds[], unsigned n);

/* Add one region. One that is there already is fine. Also -ENOSPC: all slots are taken. */
int vhost_memory_add(struct vhost_device *dev, const struct vhost_region_state *region, int fd);

/* Remove the region of this gpa, uaddr and size. -ENOENT. */
int vhost_memory_remove(struct vhost_device *dev, const struct vhost_region_state *region);

/* Unmap everything. The workers must be paused and the rings stopped for good. */
void vhost_memory_forget(struct vhost_device *dev);

/*
 * Is all memory, the dirty log and the in-flight area still there? -EFAULT after saying which is
 * not (see guard.h): the device is of no use any more, drop its connection.
 */
int vhost_memory_check(struct vhost_device *dev);

/* The size of the pages a file consists of; *ret_huge: they are huge ones. */
uint64_t vhost_file_page_size(int fd, bool *ret_huge);

/* Where region i is mapped, in whole pages; and where the region itself begins in that. */
void *vhost_memory_mapping(const struct vhost_device *dev, unsigned i, size_t *ret_len);
void *vhost_memory_host(const struct vhost_device *dev, unsigned i);

/* All regions' sizes, and their smallest pages'; 0 without memory. */
void vhost_memory_measure(const struct vhost_device *dev, uint64_t *ret_bytes, uint64_t *ret_page);
