/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finds guest memory that is not shared. A front-end may pass a file that its guest does not write
 * to (QEMU: a memory backend without share=on), or no file at all. Then nothing fails, but the
 * rings stay empty for ever. The sign of it is that the driver kicks an empty ring.
 *
 * Threads: the control thread.
 */
#pragma once

#include "vhost/device.h"

/*
 * To be called several times a second; now in ms. Logs once per connection if for a second rings
 * are kicked and stay empty, or are started and have no memory.
 */
void vhost_unshared_service(struct vhost_device *dev, uint64_t now);

/* The connection ends. */
void vhost_unshared_forget(struct vhost_device *dev);
