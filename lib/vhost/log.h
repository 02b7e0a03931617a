/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dirty log of a device ("Migration" in the vhost-user specification): a map that the front-end
 * shares, in which workers mark the guest pages that they have written.
 *
 * Writes to buffers are logged while LOG_ALL is negotiated, writes to a ring while
 * VHOST_VRING_F_LOG is set in its addresses. Both need a map. Rings go on running while this
 * changes.
 */
#pragma once

#include "vhost/device.h"

/*
 * Map `size` bytes at `offset` of fd as the new dirty log. The caller still owns fd. When this
 * returns, no worker uses the old map. On failure the old map stays. -EINVAL: fd is not a regular
 * file, or the file is too short. Other errors are those of a system call.
 */
int vhost_log_replace(struct vhost_device *dev, uint64_t size, uint64_t offset, int fd);

/*
 * Make all active rings log as dev->state says. When this returns, all workers do so. This is a
 * part of vhost_device_settle.
 */
void vhost_log_settle(struct vhost_device *dev);

/* Unmap the log. The workers must be paused, and the caller must forget the rings next. */
void vhost_log_forget(struct vhost_device *dev);
