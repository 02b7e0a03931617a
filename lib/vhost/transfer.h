/* SPDX-License-Identifier: BSD-3-Clause */
/* Device state, out to and in from a pipe of the front-end ("Migrating back-end state"). */
#pragma once

#include "base/mover.h"
#include "vhost/device.h"

/* No state is longer. */
#define VHOST_DEVICE_STATE_MAX MOVE_BYTES_MAX

/*
 * Begin to save into, or to load from, the pipe fd, which is the transfer's from here on, also on
 * failure. Nothing waits for the pipe. A transfer begun before is given up. -EBUSY: rings run, or
 * that other one has not let go of its pipe; -EINVAL: it is no pipe; what the device type said;
 * what move_begin_write() says.
 */
int vhost_transfer_save(struct vhost_device *dev, int fd);
int vhost_transfer_load(struct vhost_device *dev, int fd);

/*
 * Has this message to wait for a transfer? Not for longer than MOVE_WAIT_MS. CHECK_DEVICE_STATE
 * waits for the transfer, SET_DEVICE_STATE_FD for the one that it gives up.
 */
bool vhost_transfer_delays(struct vhost_device *dev, uint32_t request);

/*
 * The front-end has finished its side: has the transfer been a success? What was loaded is applied.
 * -ENOENT: there was no transfer; -ETIMEDOUT: it has not ended; -EIO; -E2BIG; what the type said.
 */
int vhost_transfer_finish(struct vhost_device *dev);

/* Give up what has not been finished. */
void vhost_transfer_forget(struct vhost_device *dev);
