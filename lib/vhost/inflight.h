/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The in-flight area of a device (virtio/vring_inflight.h): a file with one region per ring. The
 * switch makes the file (GET_INFLIGHT_FD), and the front-end keeps it. The front-end passes the
 * file to each process that serves the device (SET_INFLIGHT_FD), before and after a crash.
 *
 * Threads: the control thread. While a ring runs, the ring's user writes to the region of the ring.
 */
#pragma once

#include "vhost/device.h"

/* Use wire->mmap_size bytes at wire->mmap_offset of fd as the area. The caller still owns fd. */
struct vhost_wire_inflight;
int vhost_inflight_set(struct vhost_device *dev, const struct vhost_wire_inflight *wire, int fd);

/*
 * Make a new area for wire->n_queues rings of wire->queue_size entries. Sets wire->mmap_size and
 * wire->mmap_offset. Returns the descriptor of the file, which the caller owns, or a negative
 * errno. The file is sealed, so its size cannot change.
 */
int vhost_inflight_make(struct vhost_device *dev, struct vhost_wire_inflight *wire);

/*
 * To be called before ring index starts with config. Tracks the ring, if there is an area with a
 * region for it. told: the front-end has told the position, so the ring may have changed since it
 * last ran here; then config->position is corrected if the area shows another position.
 */
void vhost_inflight_start(
    struct vhost_device *dev, unsigned index, struct vring_config *config, bool told);

/* Unmap the area. The rings must have been forgotten. */
void vhost_inflight_forget(struct vhost_device *dev);
