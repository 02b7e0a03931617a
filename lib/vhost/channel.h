/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The back-end channel: a second socket, which SET_BACKEND_REQ_FD brings. On it the back-end sends
 * requests to the front-end ("Back-end message types").
 *
 * Nothing here waits. If the front-end does not read, or closes its end, the channel is closed and
 * what depends on it ends, but the port goes on. An answer is asked for only if it is needed, and
 * only one at a time. Nothing is sent while no ring is started: a suspended device must be silent.
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vhost/device.h"

/*
 * Use fd as the channel from now on. The channel owns fd, also on failure. -EINVAL: it is not a
 * connected local stream socket; this is logged.
 */
int vhost_channel_set(struct vhost_device *dev, int fd);

/* Close the channel, if there is one. */
void vhost_channel_forget(struct vhost_device *dev);

/*
 * Send a request. fd (-1: none) stays the caller's; it can be sent only if BACKEND_SEND_FD was
 * negotiated. ask: ask for an answer, which vhost_channel_answer reads.
 * -ENOTCONN: no channel; -ESHUTDOWN: no ring is started; -EBUSY: an answer is still outstanding;
 * -EOPNOTSUPP: descriptors or answers were not negotiated; -EIO: the front-end does not read or has
 * gone, and the channel was closed.
 */
int vhost_channel_send(struct vhost_device *dev, uint32_t request, const void *payload,
    uint32_t size, int fd, bool ask);

/*
 * The same for a request that can also be sent later. -EAGAIN: the front-end does not read; the
 * channel stays open. Part of the socket's buffer is left free for requests that cannot be sent
 * later.
 */
int vhost_channel_try(
    struct vhost_device *dev, uint32_t request, const void *payload, uint32_t size);

/*
 * Has the answer come? 1: yes, *ret_value is 0 for success; 0: not yet, or nothing was asked;
 * -EIO: something else came, or the channel has ended: it was closed.
 */
int vhost_channel_answer(struct vhost_device *dev, uint64_t *ret_value);
