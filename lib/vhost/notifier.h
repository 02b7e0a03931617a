/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The eventfds of a ring: kick, call and error.
 *
 * They are the front-end's, who shares their flags. Nothing here may block, so they are made
 * non-blocking when they come. One that had been blocking is made so again when it is given back:
 * its ring stops, another one takes its place, or the front-end goes.
 *
 * Threads: the control thread.
 */
#pragma once

#include "vhost/message.h"

enum vhost_notifier {
	VHOST_NOTIFIER_KICK,
	VHOST_NOTIFIER_CALL,
	VHOST_NOTIFIER_ERR,
	VHOST_NOTIFIERS,
};

struct vhost_eventfd {
	int fd;        /* -1: there is none */
	bool blocking; /* before it was made non-blocking */
};

/*
 * The descriptor of SET_VRING_KICK, CALL or ERR; fd -1 when there is none by intent. Anything but
 * an eventfd is left to the message and taken for none. -EINVAL: it is missing.
 */
int vhost_notifier_take(
    struct vhost_device *dev, struct vhost_message *msg, struct vhost_eventfd *ret_fresh);

/* Is this descriptor, passed by a front-end, an eventfd? */
bool vhost_is_eventfd(int fd);

/* Give the ring another one and the one before back. Workers may use the ring, but for its kick. */
void vhost_notifier_replace(struct vhost_device *dev, unsigned index, enum vhost_notifier which,
    struct vhost_eventfd fresh);

/* Give all three back. Nobody uses the ring any more. */
void vhost_notifiers_close(const struct vhost_device *dev, struct vhost_vring *ring);
