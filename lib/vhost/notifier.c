/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/notifier.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "vhost/descriptor.h"
#include "vhost/quiesce.h"
#include "vhost/ring.h"

bool vhost_is_eventfd(int fd)
{
	return vhost_fd_is(fd, "anon_inode:[eventfd]");
}

/* True: it was blocking, and is non-blocking now. */
static bool make_nonblocking(int fd)
{
	/* syscalls: fcntl close */
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && !(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

int vhost_notifier_take(
    struct vhost_device *dev, struct vhost_message *msg, struct vhost_eventfd *ret_fresh)
{
	*ret_fresh = (struct vhost_eventfd){.fd = -1};
	if (msg->payload.u64 & VHOST_VRING_NOFD)
		return 0;
	if (msg->n_fds == 0)
		return vhost_complain(dev, -EINVAL, "the descriptor is missing");
	if (!vhost_is_eventfd(msg->fd[0])) {
		vhost_complain(dev, 0, "the descriptor is not an eventfd and is ignored");
		return 0;
	}
	ret_fresh->blocking = make_nonblocking(msg->fd[0]);
	ret_fresh->fd = vhost_message_take_fd(msg, 0);
	return 0;
}

static int *slot_of(struct vhost_vring *ring, enum vhost_notifier which)
{
	int *const slot[] = {&ring->kick_fd, &ring->call_fd, &ring->err_fd};

	return slot[which];
}

static const enum vring_event_kind event_of[] = {
    [VHOST_NOTIFIER_KICK] = VRING_EVENT_KICK_FD,
    [VHOST_NOTIFIER_CALL] = VRING_EVENT_CALL_FD,
    [VHOST_NOTIFIER_ERR] = VRING_EVENT_KINDS, /* not recorded */
};

static void give_back(const struct vhost_device *dev, int fd, bool blocking)
{
	int flags = blocking ? fcntl(fd, F_GETFL) : -1;

	if (flags >= 0)
		fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
	/*
	 * vhost_fd_close() may close the descriptor some time later. If it is an eventfd of
	 * vhost_inband_open(), it must leave the epoll set now. Otherwise a write to it would be
	 * taken for a write to the ring's new eventfd.
	 */
	if (dev->inband_fd >= 0)
		epoll_ctl(dev->inband_fd, EPOLL_CTL_DEL, fd, NULL); /* syscalls: epoll_ctl */
	vhost_fd_close(dev, fd);
}

/*
 * An eventfd was made blocking and given back. Other descriptors in use may refer to the same
 * eventfd and share its flags. So make them non-blocking again.
 */
static void make_others_nonblocking(struct vhost_device *dev)
{
	for (unsigned i = 0; i < dev->n_vrings; i++) {
		struct vhost_vring *ring = dev->vring[i];

		for (unsigned which = 0; ring && which < VHOST_NOTIFIERS; which++)
			if (*slot_of(ring, which) >= 0 && make_nonblocking(*slot_of(ring, which)))
				ring->blocking[which] = true;
	}
}

void vhost_notifier_replace(
    struct vhost_device *dev, unsigned index, enum vhost_notifier which, struct vhost_eventfd fresh)
{
	struct vhost_vring *ring = dev->vring[index];
	int *slot = slot_of(ring, which), old = *slot;
	bool blocking = ring->blocking[which];

	if (which == VHOST_NOTIFIER_CALL)
		vhost_ring_set_call(dev, index, fresh.fd);
	*slot = fresh.fd;
	if (event_of[which] != VRING_EVENT_KINDS)
		vhost_ring_note(dev, index, event_of[which], fresh.fd);
	ring->blocking[which] = fresh.blocking;
	if (old < 0)
		return;
	give_back(dev, old, blocking);
	if (blocking)
		make_others_nonblocking(dev);
}

void vhost_notifiers_close(const struct vhost_device *dev, struct vhost_vring *ring)
{
	for (unsigned which = 0; which < VHOST_NOTIFIERS; which++) {
		if (*slot_of(ring, which) >= 0)
			give_back(dev, *slot_of(ring, which), ring->blocking[which]);
	}
}
