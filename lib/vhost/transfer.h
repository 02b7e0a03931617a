/* SPDX-License-Identifier: BSD-3-Clause */
/* Saves the device state to a pipe of the front-end, or loads it ("Migrating back-end state"). */
#pragma once

#include "base/mover.h"
#include "vhost/device.h"

/* The most bytes of a device state. */
#define VHOST_DEVICE_STATE_MAX MOVE_BYTES_MAX

/*
 * Begin a transfer: save the state to the pipe fd, or load the state from it. The transfer owns fd,
 * also on failure. The control thread does not wait for the pipe. An earlier transfer is given up.
 * -EBUSY: rings run, or the earlier transfer still blocks in its pipe. -EINVAL: fd is not a pipe.
 * Other errors are those of the device type or of move_begin_write().
 */
int vhost_transfer_save(struct vhost_device *dev, int fd);
int vhost_transfer_load(struct vhost_device *dev, int fd);

/*
 * Must this message wait? CHECK_DEVICE_STATE waits until the transfer has ended.
 * SET_DEVICE_STATE_FD gives up an earlier transfer, and waits until that transfer has ended. No
 * message waits longer than MOVE_WAIT_MS.
 */
bool vhost_transfer_delays(struct vhost_device *dev, uint32_t request);

/*
 * The front-end has finished its side of the transfer. Apply the state, if it was loaded. 0: the
 * transfer was a success. -ENOENT: there was no transfer. -ETIMEDOUT: the transfer has not ended.
 * -EIO, -E2BIG, or an error of the device type.
 */
int vhost_transfer_finish(struct vhost_device *dev);

/* Give up the transfer, if there is one that was not finished. */
void vhost_transfer_forget(struct vhost_device *dev);
