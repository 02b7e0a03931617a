/* SPDX-License-Identifier: BSD-3-Clause */
/* One connection with a front-end: reads messages, calls their handlers, answers. */
#pragma once

#include "vhost/device.h"

struct vhost_session;

#define SESSION_RESTS   1
#define SESSION_REST_MS 10

/*
 * Serve dev on fd, a connected stream socket. The session owns fd, also on failure. -ENOMEM, or the
 * errno of making the socket non-blocking.
 */
int session_create(int fd, struct vhost_device *dev, struct vhost_session **ret_session);

/* Close the connection. The device keeps its state; the caller must call vhost_device_reset. */
void session_destroy(struct vhost_session *session);

/*
 * Handle messages that have arrived: a limited number, for a limited time, without blocking. To be
 * called when the socket is readable. 0: call again when the socket is readable. SESSION_RESTS: the
 * next message must wait; call again after SESSION_REST_MS, even if no more bytes arrive. Negative:
 * the caller must destroy the session. -EPIPE: the front-end closed the connection after a complete
 * message, or while its next message had to wait. Any other error is a fault, which was logged.
 */
int session_receive(struct vhost_session *session);

/* Has a whole message arrived? */
bool session_has_spoken(const struct vhost_session *session);
