/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stop the workers' use of one ring or all rings, and resume it. The callbacks that do this are in
 * struct vhost_device_type, with what they promise. A type that can only stop all rings works, too.
 */
#pragma once

#include "vhost/device.h"

/* Stop the workers until vhost_device_settle. Nothing happens if they are stopped already. */
void vhost_device_pause(struct vhost_device *dev);

/* The same for one ring; the others go on if the type can do that. */
void vhost_ring_pause(struct vhost_device *dev, unsigned index);

/*
 * To be called before a change of something that workers read of this ring, if the ring can keep
 * running. vhost_device_settle tells the workers. A type that has no pause_ring is paused instead.
 */
void vhost_ring_tell(struct vhost_device *dev, unsigned index);

/* To be called before a ring starts: a type that has no pause_ring is paused. */
void vhost_ring_prepare(struct vhost_device *dev);

/*
 * Let workers use all active rings, and tell them what has changed. They know it when
 * vhost_device_commit returns; without it, a little later. Nothing happens if there is nothing to
 * tell.
 */
void vhost_device_resume(struct vhost_device *dev);

/* Return when workers know all that they were told. To be called before a front-end is answered. */
void vhost_device_commit(struct vhost_device *dev);

/*
 * Return when all ring functions that workers have entered by now have returned. Stops the workers
 * only if the type has no synchronize.
 */
void vhost_device_synchronize(struct vhost_device *dev);

/*
 * From now on workers call the driver of this ring with fd (-1: not at all), and no longer with the
 * old descriptor.
 */
void vhost_ring_set_call(struct vhost_device *dev, unsigned index, int fd);
