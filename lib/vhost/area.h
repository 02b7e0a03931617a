/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Maps a part of a front-end's file: guest memory, the dirty log or the in-flight area. Only a
 * regular file that is long enough is mapped. The mapping is guarded (guard.h), because the file
 * may become shorter. The mapping consists of whole pages of the file, so it may be larger than the
 * part.
 *
 * Threads: the control thread maps and unmaps, while no other thread uses the mapping.
 */
#pragma once

#include "vhost/device.h"

/*
 * Map `size` bytes of the file fd, from offset on. The caller still owns fd. what: a name of the
 * part for log lines. On failure the reason is logged, and a negative errno is returned.
 */
int vhost_area_map(struct vhost_device *dev, const char *what, uint64_t size, uint64_t offset,
    int fd, struct vhost_area *ret_area);

/* The same for guest memory, without a reservation of huge pages. */
int vhost_area_map_memory(
    struct vhost_device *dev, uint64_t size, uint64_t offset, int fd, struct vhost_area *ret_area);

/* The area may be all zero, and is all zero afterwards. */
void vhost_area_unmap(const struct vhost_device *dev, struct vhost_area *area);

/* Was the mapping lost (guard.h)? */
bool vhost_area_lost(const struct vhost_area *area);
