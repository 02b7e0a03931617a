/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The in-flight area of a device (virtio/vring_inflight.h): one region per ring in one file. We
 * make it (GET_INFLIGHT_FD) and forget it at once: the front-end keeps it, and gives it to whoever
 * serves the device (SET_INFLIGHT_FD), before and after a crash.
 *
 * Threads: the control thread, but for what the ring's user does with its region.
 */
#pragma once

#include "vhost/device.h"

/* Use the first wire->mmap_size bytes from wire->mmap_offset on of fd (still the caller's). */
struct vhost_wire_inflight;
int vhost_inflight_set(struct vhost_device *dev, const struct vhost_wire_inflight *wire, int fd);

/*
 * Make a new area for wire->n_queues rings of wire->queue_size entries; sets the wire's size and
 * offset. Returns the file, the caller's now, sealed against changing its size; or a negative
 * errno.
 */
int vhost_inflight_make(struct vhost_device *dev, struct vhost_wire_inflight *wire);

/*
 * Ring index is about to start with config: have it tracked, if there is an area with room for it.
 * told: the front-end says where it stands, so this is not the ring as we left it; config->position
 * is put right.
 */
void vhost_inflight_start(
    struct vhost_device *dev, unsigned index, struct vring_config *config, bool told);

/* The rings must have been forgotten. */
void vhost_inflight_forget(struct vhost_device *dev);
