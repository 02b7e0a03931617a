/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory that is not shared. A front-end may pass a file that its guest does not write to
 * (QEMU: a memory backend without share=on), or no file at all. Nothing fails then: the rings stay
 * empty for ever. What tells is that the driver kicks all the same.
 *
 * Threads: the control thread.
 */
#pragma once

#include "vhost/device.h"

/*
 * To be called several times a second; now in ms. Says once per connection that rings are kicked
 * and stay empty, or that they wait for memory, for a second.
 */
void vhost_unshared_service(struct vhost_device *dev, uint64_t now);

/* The connection ends. */
void vhost_unshared_forget(struct vhost_device *dev);
