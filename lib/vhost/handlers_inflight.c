/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages about the in-flight area. */
#include "vhost/handlers.h"
#include "vhost/inflight.h"

/* A size of 0 and no descriptor tell the front-end of a failure. */
int handle_get_inflight_fd(struct vhost_device *dev, struct vhost_message *msg)
{
	struct vhost_wire_inflight *wire = &msg->payload.inflight;
	int fd = vhost_inflight_make(dev, wire);

	if (fd < 0) {
		wire->mmap_size = wire->mmap_offset = 0;
		return 0;
	}
	msg->has_reply_fd = msg->close_reply_fd = true;
	msg->reply_fd = fd;
	return 0;
}

int handle_set_inflight_fd(struct vhost_device *dev, struct vhost_message *msg)
{
	return vhost_inflight_set(dev, &msg->payload.inflight, msg->fd[0]);
}
