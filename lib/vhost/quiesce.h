/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keeps workers from using one ring or all rings, and lets them use the rings again. This is done
 * by the callbacks in struct vhost_device_type (device.h), where their promises are described. A
 * type need not be able to stop a single ring: then all rings are stopped.
 */
#pragma once

#include "vhost/device.h"

/* Stop the workers until vhost_device_settle. Nothing happens if they are stopped already. */
void vhost_device_pause(struct vhost_device *dev);

/* The same for one ring. The other rings go on if the type can stop a single ring. */
void vhost_ring_pause(struct vhost_device *dev, unsigned index);

/*
 * To be called before a field of the ring changes that workers read, if the ring can go on.
 * vhost_device_settle tells the workers the new value. If the type has no pause_ring, the device is
 * paused instead.
 */
void vhost_ring_tell(struct vhost_device *dev, unsigned index);

/* To be called before a ring starts. If the type has no pause_ring, the device is paused. */
void vhost_ring_prepare(struct vhost_device *dev);

/*
 * Let workers use all active rings, and tell them what has changed. Workers know the changes when
 * vhost_device_commit returns. Without vhost_device_commit they get to know them a little later.
 * Nothing happens if nothing has changed.
 */
void vhost_device_resume(struct vhost_device *dev);

/* Return when workers know all changes. To be called before a front-end is answered. */
void vhost_device_commit(struct vhost_device *dev);

/*
 * Some workers may be inside a ring function now. Return when they have left it. Workers are
 * stopped only if the type has no synchronize.
 */
void vhost_device_synchronize(struct vhost_device *dev);

/*
 * Workers use fd for calls to the driver of this ring from now on. -1: they make no calls. When
 * this returns, no worker uses the old descriptor.
 */
void vhost_ring_set_call(struct vhost_device *dev, unsigned index, int fd);
