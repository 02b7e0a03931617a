/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The eventfds of a ring: kick, call and error.
 *
 * The front-end owns the eventfds and shares their flags. No thread of the switch may block, so an
 * eventfd is made non-blocking when the switch gets it. If it was blocking before, it is made
 * blocking again when the switch no longer uses it: when its ring stops, when another eventfd
 * replaces it, or when the front-end disconnects. The eventfd is then "given back".
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
 * Take the descriptor of SET_VRING_KICK, CALL or ERR out of the message. fd becomes -1 if the
 * message says that there is no descriptor. fd also becomes -1 if the descriptor is not an eventfd;
 * then it stays in the message. -EINVAL: the descriptor is missing.
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

/* Give back all three eventfds. No worker uses the ring any more. */
void vhost_notifiers_close(const struct vhost_device *dev, struct vhost_vring *ring);
