/* SPDX-License-Identifier: BSD-3-Clause */
/* Device state, out to and in from a pipe of the front-end ("Migrating back-end state"). */
#pragma once

#include "vhost/device.h"

/* No state is longer. It fits into a pipe of the usual size, so that nobody waits for a reader. */
#define VHOST_DEVICE_STATE_MAX (48 * 1024)

/*
 * The process ignores SIGPIPE. Save into, or get ready to load from, the pipe fd, which is the
 * transfer's from here on, also on failure. A transfer begun before is given up. -EBUSY: rings run;
 * -EINVAL: it is no pipe; what the device type said; -EIO.
 */
int vhost_transfer_save(struct vhost_device *dev, int fd);
int vhost_transfer_load(struct vhost_device *dev, int fd);

/*
 * The front-end has finished its side: has the transfer been a success? A load reads all that is in
 * the pipe and applies it. -ENOENT: there was no transfer; -EIO; -E2BIG; what the type said.
 */
int vhost_transfer_finish(struct vhost_device *dev);

/* Give up what has not been finished. */
void vhost_transfer_forget(struct vhost_device *dev);
