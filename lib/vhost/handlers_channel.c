/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages about the back-end channel, and about the configuration space. */
#include <errno.h>
#include <string.h>

#include "vhost/channel.h"
#include "vhost/handlers.h"
#include "vhost/inband.h"
#include "vhost/iommu.h"
#include "vhost/ring.h"

int handle_set_backend_req_fd(struct vhost_device *dev, struct vhost_message *msg)
{
	int error = vhost_channel_set(dev, vhost_message_take_fd(msg, 0));

	if (error)
		return error;
	vhost_iommu_ask_again(dev);
	vhost_inband_tell_again(dev);
	return 0;
}

/* Does the part of the configuration space that a message names exist? -EINVAL: no. */
static int check_config(struct vhost_device *dev, const struct vhost_message *msg)
{
	const struct vhost_wire_config *wire = &msg->payload.config;

	if (!dev->type->get_config || wire->size > VHOST_WIRE_CONFIG_MAX ||
	    msg->header.size != VHOST_WIRE_CONFIG_HEADER + wire->size ||
	    (uint64_t)wire->offset + wire->size > dev->type->config_size)
		return vhost_complain(dev, -EINVAL,
		    "configuration bytes %u to %llu in a message of %u bytes: only 0 to %u exist",
		    wire->offset, (unsigned long long)wire->offset + wire->size, msg->header.size,
		    dev->type->config_size);
	return 0;
}

/* By the specification, an answer without payload says that the request failed. */
int handle_get_config(struct vhost_device *dev, struct vhost_message *msg)
{
	struct vhost_wire_config *wire = &msg->payload.config;
	uint8_t space[VHOST_WIRE_CONFIG_MAX] = {0};

	if (check_config(dev, msg) < 0) {
		msg->header.size = 0;
		return 0;
	}
	dev->type->get_config(dev, space);
	memcpy(wire->bytes, space + wire->offset, wire->size);
	return 0;
}

int handle_set_config(struct vhost_device *dev, struct vhost_message *msg)
{
	const struct vhost_wire_config *wire = &msg->payload.config;
	int error = check_config(dev, msg);

	if (error)
		return error;
	if (!dev->type->set_config)
		return vhost_complain(dev, -EPERM, "its configuration cannot be written");
	return dev->type->set_config(dev, wire->offset, wire->bytes, wire->size);
}

int vhost_device_config_changed(struct vhost_device *dev)
{
	if (!VHOST_PROTOCOL_HAS(dev->state.protocol_features, CONFIG))
		return -EOPNOTSUPP;
	return vhost_channel_send(dev, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, NULL, 0, -1, false);
}
