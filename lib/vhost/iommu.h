/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device behind an IOMMU (VIRTIO_F_ACCESS_PLATFORM; vhost-user "IOMMU support").
 *
 * Threads: the control thread. Rings share only what virtio/vring_iommu.h describes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vhost/device.h"

/* What is kept of each device; a ring waits this long for a translation. */
#define VHOST_IOMMU_ENTRIES_MAX 2048
#define VHOST_IOMMU_PATIENCE_MS 3000

/*
 * Features are about to be these: begin with an empty table, or drop it. If anything changes the
 * rings must have been stopped (vhost_rings_change). -ENOMEM, logged.
 */
int vhost_iommu_negotiate(struct vhost_device *dev, uint64_t features);

/* Drop everything. The workers must be paused. */
void vhost_iommu_forget(struct vhost_device *dev);

/* The memory table has changed: what rings are in use goes on in the new one. */
void vhost_iommu_remap(struct vhost_device *dev);

/*
 * Ask for what rings miss, and give up what was not answered in time. For the owner to call
 * when a ring has news (see vring_translation), and every now and then. now_ms: any clock that
 * does not jump.
 */
void vhost_iommu_service(struct vhost_device *dev, uint64_t now_ms);

/* There is a new channel: what was asked for on the old one may be lost. */
void vhost_iommu_ask_again(struct vhost_device *dev);

/* Tell a ring that is about to start what it needs to know of the IOMMU, if there is one. */
void vhost_iommu_attach(struct vhost_device *dev, unsigned ring, struct vring_config *config);

/*
 * A ring has started and no worker uses it yet: ask for the receive buffers that wait in it. A
 * frame that finds them untranslated would be lost.
 */
void vhost_iommu_ring_started(struct vhost_device *dev, unsigned ring);

/*
 * The host address of a ring's area, like guest_memory_from_uaddr without an IOMMU. perm: IOTLB_*.
 * NULL: not all of it is translated, and it will be asked for: *ret_waits is true; or it is not
 * in one piece.
 */
void *vhost_iommu_area(struct vhost_device *dev, unsigned ring, unsigned area, uint64_t iova,
    uint64_t len, unsigned perm, bool *ret_waits);
