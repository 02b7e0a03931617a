/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Part of a front-end's file, mapped: the dirty log, what is in flight. Only a regular file that is
 * long enough is mapped, and guarded (guard.h) against becoming shorter.
 *
 * Threads: the control thread maps and unmaps; whoever uses what is mapped has to have gone.
 */
#pragma once

#include "vhost/device.h"

/*
 * Map size bytes from offset on of the file fd (still the caller's); what it is, for messages.
 * Negative errno, after saying why.
 */
int vhost_area_map(struct vhost_device *dev, const char *what, uint64_t size, uint64_t offset,
    int fd, struct vhost_area *ret_area);

/* One that is all zero is fine; afterwards it is. */
void vhost_area_unmap(const struct vhost_device *dev, struct vhost_area *area);

/* Was it lost? */
bool vhost_area_lost(const struct vhost_area *area);
