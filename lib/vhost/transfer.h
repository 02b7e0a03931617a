/* SPDX-License-Identifier: BSD-3-Clause */
/* Saves the device state to a pipe of the front-end, or loads it ("Migrating back-end state"). */
#pragma once

#include "base/mover.h"
#include "vhost/device.h"

/* The most bytes of a device state. */
#define VHOST_DEVICE_STATE_MAX MOVE_BYTES_MAX

/*
 * Begin to save to, or to load from, the pipe fd. The transfer owns fd, also on failure. Nothing
 * waits for the pipe. A transfer that was begun before is given up. -EBUSY: rings run, or the
 * transfer that was given up still hangs in its pipe; -EINVAL: fd is not a pipe; or an error of the
 * device type or of move_begin_write().
 */
int vhost_transfer_save(struct vhost_device *dev, int fd);
int vhost_transfer_load(struct vhost_device *dev, int fd);

/*
 * Must this message wait for a transfer? CHECK_DEVICE_STATE waits for the transfer to end.
 * SET_DEVICE_STATE_FD gives up the transfer before it, and waits for the end of that one. Neither
 * waits longer than MOVE_WAIT_MS.
 */
bool vhost_transfer_delays(struct vhost_device *dev, uint32_t request);

/*
 * The front-end has done its part: was the transfer a success? A loaded state is applied. -ENOENT:
 * there was no transfer; -ETIMEDOUT: it has not ended; -EIO; -E2BIG; or an error of the device
 * type.
 */
int vhost_transfer_finish(struct vhost_device *dev);

/* Give up a transfer that has not been finished. */
void vhost_transfer_forget(struct vhost_device *dev);
