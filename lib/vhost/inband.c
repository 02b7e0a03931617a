/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/inband.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/util.h"
#include "vhost/channel.h"
#include "vhost/ring.h"
#include "virtio/vhost_user.h"

#define EVENTS_MAX 32

bool vhost_inband(const struct vhost_device *dev)
{
	return VHOST_PROTOCOL_HAS(dev->state.protocol_features, INBAND_NOTIFICATIONS);
}

int vhost_inband_open(struct vhost_device *dev, unsigned index, enum vhost_inband_what what)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = index << 1 | what};
	/* syscalls: eventfd2 epoll_create1 epoll_ctl epoll_wait read close */
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (dev->inband_fd < 0)
		dev->inband_fd = epoll_create1(EPOLL_CLOEXEC);
	if (fd >= 0 && dev->inband_fd >= 0 &&
	    epoll_ctl(dev->inband_fd, EPOLL_CTL_ADD, fd, &event) == 0)
		return fd;
	vhost_complain(dev, 0, "ring %u cannot notify in-band: %s", index, error_text(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

int vhost_inband_fd(const struct vhost_device *dev)
{
	return dev->inband_fd;
}

static int tell(struct vhost_device *dev, unsigned index, enum vhost_inband_what what)
{
	const struct vhost_wire_vring_state wire = {.index = index};
	bool call = what == VHOST_INBAND_CALL;
	int fd = call ? dev->vring[index]->call_fd : dev->vring[index]->err_fd;
	eventfd_t count;
	int error;

	if (eventfd_read(fd, &count) < 0)
		return 0;
	error = vhost_channel_try(dev,
	    call ? VHOST_USER_BACKEND_VRING_CALL : VHOST_USER_BACKEND_VRING_ERR, &wire,
	    sizeof(wire));
	if (error == -EAGAIN)
		eventfd_write(fd, 1); /* the message must still be sent */
	return error;
}

int vhost_inband_service(struct vhost_device *dev)
{
	struct epoll_event event[EVENTS_MAX];
	int n = epoll_wait(dev->inband_fd, event, EVENTS_MAX, 0), error = 0;

	for (int i = 0; i < n && error != -EAGAIN; i++)
		error = tell(dev, event[i].data.u32 >> 1, event[i].data.u32 & 1);
	return error;
}

void vhost_inband_tell_again(struct vhost_device *dev)
{
	if (!vhost_inband(dev))
		return;
	for (unsigned i = 0; i < dev->n_vrings; i++) {
		if (dev->vring[i])
			dev->vring[i]->call_pending = true;
	}
	vhost_device_settle(dev);
}

void vhost_inband_forget(struct vhost_device *dev)
{
	if (dev->inband_fd >= 0)
		close(dev->inband_fd);
	dev->inband_fd = -1;
}
