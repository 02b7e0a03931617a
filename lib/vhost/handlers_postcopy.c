/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages of a postcopy migration; see postcopy.h. */
#include "vhost/handlers.h"
#include "vhost/postcopy.h"

int handle_postcopy_advise(struct vhost_device *dev, struct vhost_message *msg)
{
	int error = vhost_postcopy_advise(dev, &msg->reply_fd);

	msg->has_reply_fd = !error;
	msg->header.size = 0;
	return error;
}

int handle_postcopy_listen(struct vhost_device *dev, struct vhost_message *msg)
{
	(void)msg;
	return vhost_postcopy_listen(dev);
}

int handle_postcopy_end(struct vhost_device *dev, struct vhost_message *msg)
{
	vhost_postcopy_end(dev);
	msg->payload.u64 = 0;
	msg->header.size = sizeof(msg->payload.u64);
	return 0;
}
