/* SPDX-License-Identifier: BSD-3-Clause */
/* One connection with a front-end: reads messages, has them handled, answers. */
#pragma once

#include "vhost/device.h"

struct vhost_session;

#define SESSION_RESTS   1
#define SESSION_REST_MS 10

/*
 * Serve dev on fd, a connected stream socket, which the session owns from here on, also on
 * failure. -ENOMEM, or what the system said when the socket was made non-blocking.
 */
int session_create(int fd, struct vhost_device *dev, struct vhost_session **ret_session);

/* Close the connection. The device keeps what it was told: vhost_device_reset is the caller's. */
void session_destroy(struct vhost_session *session);

/*
 * Handle what has arrived: at most a bounded number of messages, for a bounded time, never
 * blocking. Call when the socket is readable. 0: go on. SESSION_RESTS: the front-end asks for too
 * much, or too early; call again after SESSION_REST_MS, even if nothing more has arrived. Negative:
 * the connection is of no use any more, destroy it: -EPIPE: the front-end closed it between two
 * messages; else a fault, already logged.
 */
int session_receive(struct vhost_session *session);

/* Has a whole message arrived? */
bool session_has_spoken(const struct vhost_session *session);
