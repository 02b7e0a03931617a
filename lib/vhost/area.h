/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A part of a front-end's file that is mapped: the dirty log, or the in-flight area. Only a regular
 * file that is long enough is mapped. A guard (guard.h) is set, because the file may become
 * shorter.
 *
 * Threads: the control thread maps and unmaps. No other thread may use the area while it is
 * unmapped.
 */
#pragma once

#include "vhost/device.h"

/*
 * Map size bytes at offset of the file fd, which stays the caller's. what: a name for log lines.
 * Negative errno, which is logged.
 */
int vhost_area_map(struct vhost_device *dev, const char *what, uint64_t size, uint64_t offset,
    int fd, struct vhost_area *ret_area);

/* Unmap the area and set it to zero. An area that is zero already stays so. */
void vhost_area_unmap(const struct vhost_device *dev, struct vhost_area *area);

/* Was the mapping lost (guard.h)? */
bool vhost_area_lost(const struct vhost_area *area);
