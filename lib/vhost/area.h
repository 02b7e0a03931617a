/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Part of a front-end's file, mapped: guest memory, the dirty log, the in-flight area. Only a
 * regular file that is long enough is mapped, and guarded (guard.h) against becoming shorter. The
 * part is widened to whole pages of the file's own size.
 *
 * Threads: the control thread maps and unmaps, while no other thread uses what is mapped.
 */
#pragma once

#include "vhost/device.h"

/*
 * Map size bytes from offset on of the file fd, which stays the caller's. `what` names the part in
 * messages. Negative errno, after saying why.
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
