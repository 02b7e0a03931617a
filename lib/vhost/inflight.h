/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The in-flight area of a device (virtio/vring_inflight.h): a file with one region per ring. We
 * make the file (GET_INFLIGHT_FD) and do not keep it. The front-end keeps it, and passes it to the
 * process that serves the device (SET_INFLIGHT_FD), before and after a crash.
 *
 * Threads: the control thread. Only the region of a ring is used by the ring's user.
 */
#pragma once

#include "vhost/device.h"

/* Use wire->mmap_size bytes at wire->mmap_offset of fd, which stays the caller's. */
struct vhost_wire_inflight;
int vhost_inflight_set(struct vhost_device *dev, const struct vhost_wire_inflight *wire, int fd);

/*
 * Make a new area for wire->n_queues rings of wire->queue_size entries; sets the wire's size and
 * offset. Returns the file, which is the caller's and cannot change its size (sealed); or a
 * negative errno.
 */
int vhost_inflight_make(struct vhost_device *dev, struct vhost_wire_inflight *wire);

/*
 * Ring index is about to start with config. Track it, if there is an area with room for it. told:
 * the front-end has told the position, so the ring may have changed since it last ran here;
 * config->position is corrected by what the area says.
 */
void vhost_inflight_start(
    struct vhost_device *dev, unsigned index, struct vring_config *config, bool told);

/* Unmap the area. The rings must have been forgotten. */
void vhost_inflight_forget(struct vhost_device *dev);
