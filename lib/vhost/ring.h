/* SPDX-License-Identifier: BSD-3-Clause */
/* Rings of a vhost device: from what the front-end told to rings that workers may use. */
#pragma once

#include "vhost/device.h"
#include "virtio/vring_events.h"

/*
 * Log a fault of the front-end (its port, the message at hand, the text) and return error.
 * A front-end that goes on and on is logged at debug level only.
 */
int vhost_complain(struct vhost_device *dev, int error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Bring the rings into line with the state: start those that can run now, stop those that
 * cannot, then let the workers at them. Pauses rings by itself if need be. To be called after
 * every change of the state or the memory.
 */
void vhost_device_settle(struct vhost_device *dev);

/*
 * The ring of an index that a message named, made if this is the first time.
 * -EINVAL: the device has no such ring; -ENOMEM. Both are logged.
 */
int vhost_ring_find(struct vhost_device *dev, uint64_t index, struct vhost_vring **ret_ring);

/* Before changing something the ring was started with: pause it if it is in use, start it anew. */
void vhost_ring_change(struct vhost_device *dev, unsigned index);

/* The same for all rings, under one pause. */
void vhost_rings_change(struct vhost_device *dev);

/* Any ring started? */
bool vhost_rings_started(const struct vhost_device *dev);

/* Stop all rings, close their descriptors, free them. The workers must be paused. */
void vhost_rings_forget(struct vhost_device *dev);

/* The value of GET_VRING_BASE for a ring that does not run (packed: both halves). */
uint32_t vhost_ring_base(const struct vhost_device *dev, unsigned index);

/* The negotiated ring format is about to change: positions of the old one mean nothing. */
void vhost_rings_forget_positions(struct vhost_device *dev);

/* Note an event of a ring at the position that it has reached, if that is recorded. */
void vhost_ring_note(
    struct vhost_device *dev, unsigned index, enum vring_event_kind kind, uint32_t value);
