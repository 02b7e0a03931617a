/* SPDX-License-Identifier: BSD-3-Clause */
/* The rings of a vhost device: makes rings that workers may use from what the front-end told. */
#pragma once

#include "vhost/device.h"
#include "virtio/vring_events.h"

/*
 * Log a fault of the front-end (its port, the current message, the text) and return error. After
 * many faults of one connection, further ones are logged at debug level only.
 */
int vhost_complain(struct vhost_device *dev, int error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Start the rings that can run as the state is now, stop those that cannot, then let the workers
 * use them. Pauses rings if need be. To be called after every change of the state or the memory.
 */
void vhost_device_settle(struct vhost_device *dev);

/*
 * The ring with this index, which a message named. It is made if it is named for the first time.
 * -EINVAL: the device has no such ring; -ENOMEM. Both are logged.
 */
int vhost_ring_find(struct vhost_device *dev, uint64_t index, struct vhost_vring **ret_ring);

/*
 * To be called before something changes that the ring was started with. The ring is paused if it is
 * in use, and vhost_device_settle starts it anew.
 */
void vhost_ring_change(struct vhost_device *dev, unsigned index);

/* The same for all rings, under one pause. */
void vhost_rings_change(struct vhost_device *dev);

/* Any ring started? */
bool vhost_rings_started(const struct vhost_device *dev);

/* Stop all rings, close their descriptors, free them. The workers must be paused. */
void vhost_rings_forget(struct vhost_device *dev);

/* The value of GET_VRING_BASE for a ring that does not run (packed: both halves). */
uint32_t vhost_ring_base(const struct vhost_device *dev, unsigned index);

/*
 * The negotiated ring format is about to change: forget the positions, which are of the old format.
 */
void vhost_rings_forget_positions(struct vhost_device *dev);

/* Record an event of a ring with its current position, if events are recorded. */
void vhost_ring_note(
    struct vhost_device *dev, unsigned index, enum vring_event_kind kind, uint32_t value);
