/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finds guest memory that is not shared. A front-end may pass a file that its guest does not write
 * to (QEMU: a memory backend without share=on), or no file at all. Then no error occurs, but the
 * rings stay empty for ever. A driver that kicks an empty ring is the sign of such memory.
 *
 * Threads: the control thread.
 */
#pragma once

#include "vhost/device.h"

/*
 * To be called several times a second. now is in ms. Logs one line per connection in two cases:
 * rings are kicked for a second and stay empty, or rings are started for a second and there is no
 * memory.
 */
void vhost_unshared_service(struct vhost_device *dev, uint64_t now);

/* The connection ends. */
void vhost_unshared_forget(struct vhost_device *dev);
