/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In-band notifications: kicks, calls and errors as messages, for a front-end that has no
 * descriptors to share (VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS).
 *
 * Offered only on demand (dev->offer_inband): QEMU acknowledges every bit it has a name for, this
 * one too, and does not know the messages.
 *
 * Workers know nothing of it. A ring's descriptors are eventfds all the same, only that they are
 * ours: a VRING_KICK writes one, and what a worker writes into the others becomes a message on the
 * back-end channel as soon as the control thread comes round to it.
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdbool.h>

#include "vhost/device.h"

enum vhost_inband_what { VHOST_INBAND_CALL, VHOST_INBAND_ERR };

/* Was it negotiated? */
bool vhost_inband(const struct vhost_device *dev);

/*
 * An eventfd whose writes are told to the front-end; it is forgotten when it is closed. -1: there
 * is none, after saying why.
 */
int vhost_inband_open(struct vhost_device *dev, unsigned index, enum vhost_inband_what what);

/* Readable when something is to be told; -1: nothing ever was asked for. */
int vhost_inband_fd(const struct vhost_device *dev);

/* Tell it. -EAGAIN: the front-end does not read, some is left. */
int vhost_inband_service(struct vhost_device *dev);

/* There is a new channel: calls may have been lost with the old one, or without any. */
void vhost_inband_tell_again(struct vhost_device *dev);

void vhost_inband_forget(struct vhost_device *dev);
