/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keep workers from rings, one or all, and let them at them again. What each promises is what
 * struct vhost_device_type asks of a device; a type that can stop all rings only is served, too.
 */
#pragma once

#include "vhost/device.h"

/* Stop the workers until vhost_device_settle; nothing if they are stopped. */
void vhost_device_pause(struct vhost_device *dev);

/* The same for one ring; the others go on if the type can do that. */
void vhost_ring_pause(struct vhost_device *dev, unsigned index);

/*
 * Before something changes that workers read of this ring and that needs no stop: they are told by
 * vhost_device_settle. A type that cannot be told so is paused.
 */
void vhost_ring_tell(struct vhost_device *dev, unsigned index);

/* Before the first use of a ring: a type that cannot be told of it is paused. */
void vhost_ring_prepare(struct vhost_device *dev);

/*
 * Let workers at all rings that are active, and tell them what there is to tell. They know it when
 * vhost_device_commit has returned, or a little later. Nothing if they know already.
 */
void vhost_device_resume(struct vhost_device *dev);

/* Return when workers know all that they were told. Before a front-end is answered. */
void vhost_device_commit(struct vhost_device *dev);

/* Return when no worker is still in a call that it began before, without stopping any. */
void vhost_device_synchronize(struct vhost_device *dev);

/* Workers call the driver of this ring by fd (-1: not) from now on, by the one before no more. */
void vhost_ring_set_call(struct vhost_device *dev, unsigned index, int fd);
