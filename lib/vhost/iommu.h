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
 * Call this before dev gets these features. If the features need a table of translations, and there
 * is none, an empty table is made. If they need no table, an old table is dropped. In both cases
 * the caller must have stopped the rings before (vhost_rings_change). -ENOMEM, which is logged.
 */
int vhost_iommu_negotiate(struct vhost_device *dev, uint64_t features);

/* Drop everything. The workers must be paused. */
void vhost_iommu_forget(struct vhost_device *dev);

/* The memory table has changed: give rings in use a view with the new host addresses. */
void vhost_iommu_remap(struct vhost_device *dev);

/*
 * Ask the front-end for the translations that rings miss, and deny misses that were not answered in
 * time. The owner calls this when a ring has new misses (`news` in struct vring_translation), and
 * regularly. now_ms: any clock that does not jump.
 */
void vhost_iommu_service(struct vhost_device *dev, uint64_t now_ms);

/* There is a new channel: repeat the questions that were sent on the old channel. */
void vhost_iommu_ask_again(struct vhost_device *dev);

/* If there is an IOMMU, fill in its fields of the config. The caller is about to start the ring. */
void vhost_iommu_attach(struct vhost_device *dev, unsigned ring, struct vring_config *config);

/*
 * A ring has started, and no worker uses it yet. Note the misses of the receive buffers in the
 * ring, because a frame is lost if its buffer is not translated.
 */
void vhost_iommu_ring_started(struct vhost_device *dev, unsigned ring);

/*
 * For a device behind an IOMMU: the host address of area number `area` (0 to 2) of the ring. iova:
 * the address of the area that the front-end told. perm: IOTLB_*. NULL: the area is not contiguous
 * in host memory, or a part of it is not translated. In the second case *ret_waits is set to true,
 * and the front-end will be asked for the translation. (Without an IOMMU use
 * guest_memory_from_uaddr.)
 */
void *vhost_iommu_area(struct vhost_device *dev, unsigned ring, unsigned area, uint64_t iova,
    uint64_t len, unsigned perm, bool *ret_waits);
