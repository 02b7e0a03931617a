/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The eventfds of a ring: kick, call and error.
 *
 * The front-end owns them and shares their flags. Nothing here may block, so an eventfd is made
 * non-blocking when it comes. If it was blocking, it is made blocking again when it is given back:
 * when its ring stops, when another eventfd replaces it, or when the front-end disconnects.
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
 * Take the descriptor of SET_VRING_KICK, CALL or ERR; fd is -1 if the message says that there is
 * none. A descriptor that is not an eventfd stays in the message, and fd is -1. -EINVAL: it is
 * missing.
 */
int vhost_notifier_take(
    struct vhost_device *dev, struct vhost_message *msg, struct vhost_eventfd *ret_fresh);

/* Is this descriptor, passed by a front-end, an eventfd? */
bool vhost_is_eventfd(int fd);

/*
 * Give the ring another eventfd, and give back the old one. Workers may use the ring, except while
 * its kick eventfd is replaced.
 */
void vhost_notifier_replace(struct vhost_device *dev, unsigned index, enum vhost_notifier which,
    struct vhost_eventfd fresh);

/* Give back all three. No worker uses the ring any more. */
void vhost_notifiers_close(const struct vhost_device *dev, struct vhost_vring *ring);
