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

/* The most translations of a device, and how long a ring waits for one. */
#define VHOST_IOMMU_ENTRIES_MAX 2048
#define VHOST_IOMMU_TIMEOUT_MS  3000

/*
 * Call this before the features change to these. It makes an empty table if these features need
 * one; otherwise it drops the table. If this changes anything, the rings must have been stopped
 * (vhost_rings_change). -ENOMEM, which is logged.
 */
int vhost_iommu_negotiate(struct vhost_device *dev, uint64_t features);

/* Drop everything. The workers must be paused. */
void vhost_iommu_forget(struct vhost_device *dev);

/* The memory table has changed: give rings in use a view of the new one. */
void vhost_iommu_remap(struct vhost_device *dev);

/*
 * Ask for what rings miss, and deny what was not answered in time. The owner calls this when a ring
 * has news (see struct vring_translation), and regularly. now_ms: any clock that does not jump.
 */
void vhost_iommu_service(struct vhost_device *dev, uint64_t now_ms);

/* There is a new channel: ask again for what was asked for on the old one. */
void vhost_iommu_ask_again(struct vhost_device *dev);

/* Add to the config of a ring that is about to start what concerns the IOMMU, if there is one. */
void vhost_iommu_attach(struct vhost_device *dev, unsigned ring, struct vring_config *config);

/*
 * A ring has started and no worker uses it yet: note the misses of the receive buffers that wait in
 * it. A frame would be lost if its buffer were not translated.
 */
void vhost_iommu_ring_started(struct vhost_device *dev, unsigned ring);

/*
 * Behind an IOMMU: the host address of area number `area` (0 to 2) of the ring, which the front-end
 * told as an IOVA. perm: IOTLB_*. NULL: the area is not contiguous in host memory, or a part of it
 * is not translated. In the second case *ret_waits is set to true, and the translation will be
 * asked for. (Without an IOMMU see guest_memory_from_uaddr.)
 */
void *vhost_iommu_area(struct vhost_device *dev, unsigned ring, unsigned area, uint64_t iova,
    uint64_t len, unsigned perm, bool *ret_waits);
