/* SPDX-License-Identifier: BSD-3-Clause */
/* The rings of a vhost device: makes rings for workers from the values that the front-end told. */
#pragma once

#include "vhost/device.h"
#include "virtio/vring_events.h"

/*
 * Log a fault of the front-end, with the port, the current message and this text. Returns error.
 * After many faults of one connection, further faults are logged at debug level only.
 */
int vhost_complain(struct vhost_device *dev, int error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Start all rings that can run with the present state, stop all rings that cannot, and let workers
 * use the running rings. Rings are paused if necessary. To be called after every change of the
 * state or of guest memory.
 */
void vhost_device_settle(struct vhost_device *dev);

/*
 * Find the ring with the index that is in a message. The ring is made if this is the first message
 * about it. -EINVAL: the device has no such ring; -ENOMEM. Both are logged.
 */
int vhost_ring_find(struct vhost_device *dev, uint64_t index, struct vhost_vring **ret_ring);

/*
 * To be called before a value changes with which the ring was started. The ring is paused if it is
 * in use. vhost_device_settle starts it anew.
 */
void vhost_ring_change(struct vhost_device *dev, unsigned index);

/* The same for all rings, with a single pause. */
void vhost_rings_change(struct vhost_device *dev);

/* Is a ring started? */
bool vhost_rings_started(const struct vhost_device *dev);

/* Stop all rings, close their descriptors, free them. The workers must be paused. */
void vhost_rings_forget(struct vhost_device *dev);

/* The value of GET_VRING_BASE for a ring that does not run (packed: both halves). */
uint32_t vhost_ring_base(const struct vhost_device *dev, unsigned index);

/*
 * The negotiated ring format is about to change. Forget the positions at which rings stopped,
 * because they have the old format. A position that the front-end has set for a ring that has not
 * started since then is kept. It is decoded when the ring starts.
 */
void vhost_rings_forget_positions(struct vhost_device *dev);

/* Record an event of a ring with its current position, if events are recorded. */
void vhost_ring_note(
    struct vhost_device *dev, unsigned index, enum vring_event_kind kind, uint32_t value);
