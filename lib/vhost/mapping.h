/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counts and limits the mappings of each port (limits.h), by number and by bytes, and unmaps
 * without waiting. All mappings are of files that front-ends share.
 *
 * Threads: the control thread.
 */
#pragma once

#include "vhost/device.h"

/* Count a mapping that is about to be made. -ENOSPC: it would exceed a limit, which is logged. */
int vhost_mapping_claim(struct vhost_device *dev, uint64_t len);

/* The mapping was not made: do not count it. */
void vhost_mapping_disclaim(const struct vhost_device *dev, uint64_t len);

/*
 * Unmap the mapping. No thread may use it any more, and its guard must have been removed. If this
 * may take long, an errand does it. The mapping counts until it is unmapped.
 */
void vhost_mapping_release(const struct vhost_device *dev, void *base, uint64_t len);

/* How many mappings of devices with this owner (closer.h) count. */
unsigned vhost_mapping_count(unsigned owner);

/* Are too many of the port's mappings still being unmapped? Then no more should be made. */
bool vhost_mapping_flooded(const struct vhost_device *dev);
