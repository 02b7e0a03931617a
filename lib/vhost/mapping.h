/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What ports map of their front-ends' files, in bytes and pieces: counted, limited (limits.h), and
 * given back without waiting.
 *
 * Threads: the control thread.
 */
#pragma once

#include "vhost/device.h"

/* Account for a piece that is about to be mapped. -ENOSPC: there is too much, said why. */
int vhost_mapping_claim(struct vhost_device *dev, uint64_t len);

/* It could not be mapped. */
void vhost_mapping_disclaim(const struct vhost_device *dev, uint64_t len);

/*
 * Unmap it; nobody uses it any more, and its guard is gone. Where that may take long, an errand
 * does it: until then it counts.
 */
void vhost_mapping_release(const struct vhost_device *dev, void *base, uint64_t len);
