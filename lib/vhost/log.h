/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dirty log of a device ("Migration" in the vhost-user specification): a map shared by the
 * front-end, in which the workers note the guest pages they have written.
 *
 * Data is logged while LOG_ALL is negotiated, a ring while VHOST_VRING_F_LOG is set in its
 * addresses; both need a map. Rings run on while that changes.
 */
#pragma once

#include "vhost/device.h"

/*
 * Map size bytes at offset of fd (still the caller's) and log there from now on instead of where
 * it was logged before. No worker uses the old map when this returns. On failure it stays.
 * -EINVAL: no regular file, or one that ends before size bytes are there; else what the system
 * said.
 */
int vhost_log_replace(struct vhost_device *dev, uint64_t size, uint64_t offset, int fd);

/*
 * Let all active rings log what the state says. When this returns, nothing is logged any more, or
 * written without being logged, against the state. Part of vhost_device_settle.
 */
void vhost_log_settle(struct vhost_device *dev);

/* Unmap. The workers must be paused, and the rings are forgotten next. */
void vhost_log_forget(struct vhost_device *dev);
