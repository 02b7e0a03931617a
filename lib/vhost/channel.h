/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The back-end channel: a second socket, which the front-end passes with SET_BACKEND_REQ_FD. The
 * back-end sends requests to the front-end on this socket ("Back-end message types").
 *
 * No function here waits. If the front-end does not read, or closes its end, the channel is closed.
 * Everything that needs the channel then ends, but the port goes on. The back-end asks for an
 * answer only if it needs one, and for one answer at a time. It sends nothing while no ring is
 * started, because a suspended device must be silent.
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
 * Send a request. fd: a descriptor to send along, which the caller still owns; -1: none. It can be
 * sent only if BACKEND_SEND_FD was negotiated. ask: ask for an answer; vhost_channel_answer reads
 * it.
 * -ENOTCONN: no channel; -ESHUTDOWN: no ring is started; -EBUSY: an answer is still outstanding;
 * -EOPNOTSUPP: descriptors or answers were not negotiated; -EIO: the front-end does not read or has
 * gone, and the channel was closed.
 */
int vhost_channel_send(struct vhost_device *dev, uint32_t request, const void *payload,
    uint32_t size, int fd, bool ask);

/*
 * The same for a request that can also be sent later. -EAGAIN: the socket's buffer is nearly full,
 * because the front-end does not read. The channel stays open. The rest of the buffer is for
 * requests that cannot be sent later.
 */
int vhost_channel_try(
    struct vhost_device *dev, uint32_t request, const void *payload, uint32_t size);

/*
 * Has the answer come? 1: yes; *ret_value is 0 for success. 0: not yet, or no answer was asked for.
 * -EIO: a wrong answer came, or the other end was closed; now the channel is closed.
 */
int vhost_channel_answer(struct vhost_device *dev, uint64_t *ret_value);
