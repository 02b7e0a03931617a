/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In-band notifications: kicks, calls and errors as messages, for a front-end that has no
 * descriptors to share (VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS).
 *
 * They are offered only if dev->offer_inband is set. QEMU acknowledges this feature, as it
 * acknowledges every protocol feature whose name it knows, but it does not know the messages.
 *
 * Workers see no difference. A ring has eventfds as usual, but the switch has made them. For
 * VRING_KICK the control thread writes to the kick eventfd. After a write to the call or the error
 * eventfd, the control thread sends a message on the back-end channel.
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
 * Make an eventfd. Until it is closed, writes to it become messages to the front-end. -1: a
 * failure, which was logged.
 */
int vhost_inband_open(struct vhost_device *dev, unsigned index, enum vhost_inband_what what);

/*
 * A descriptor that is readable if there are messages to send. -1: vhost_inband_open was never
 * called.
 */
int vhost_inband_fd(const struct vhost_device *dev);

/* Send these messages. -EAGAIN: the front-end does not read, and some messages were not sent. */
int vhost_inband_service(struct vhost_device *dev);

/*
 * To be called if there is a new channel. Sends one call for each ring, because calls may have been
 * lost with the old channel, or before there was a channel.
 */
void vhost_inband_tell_again(struct vhost_device *dev);

void vhost_inband_forget(struct vhost_device *dev);
