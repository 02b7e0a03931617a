/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The back-end channel: a second socket, given by SET_BACKEND_REQ_FD, on which requests go the
 * other way ("Back-end message types").
 *
 * Nothing here waits. A front-end that does not read, or closes its end, loses the channel and
 * what rides on it, not the port. Answers are asked for only where they matter, one at a time.
 * Nothing is sent while no ring is started: a suspended device is silent.
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vhost/device.h"

/*
 * Use fd from now on, which is the channel's from here, also on failure. -EINVAL: it is not a
 * connected local stream socket; said with vhost_complain.
 */
int vhost_channel_set(struct vhost_device *dev, int fd);

/* Close the channel, if there is one. */
void vhost_channel_forget(struct vhost_device *dev);

/*
 * Send a request; fd (-1: none) stays the caller's and goes along only if BACKEND_SEND_FD was
 * negotiated. ask: demand an answer, for vhost_channel_answer.
 * -ENOTCONN: no channel; -ESHUTDOWN: no ring is started; -EBUSY: an answer is still outstanding;
 * -EOPNOTSUPP: the front-end does not take descriptors, or does not answer; -EIO: it does not
 * read, or has gone: the channel is closed.
 */
int vhost_channel_send(struct vhost_device *dev, uint32_t request, const void *payload,
    uint32_t size, int fd, bool ask);

/*
 * The same for what can be told later as well: -EAGAIN, and the channel stays, if the front-end
 * does not read. Room is left for what cannot.
 */
int vhost_channel_try(
    struct vhost_device *dev, uint32_t request, const void *payload, uint32_t size);

/*
 * Has the answer come? 1: yes, in *ret_value (0 is good); 0: not yet, or none was asked for; -EIO:
 * no answer of ours: the channel is closed.
 */
int vhost_channel_answer(struct vhost_device *dev, uint64_t *ret_value);
