/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages about live migration: the dirty log, the announcement, the device's own state. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "vhost/descriptor.h"
#include "vhost/handlers.h"
#include "vhost/log.h"
#include "vhost/notifier.h"
#include "vhost/ring.h"
#include "vhost/transfer.h"

/*
 * The specification demands a reply, but does not define its contents. QEMU checks only the id of
 * the reply. rust-vmm's front-end sets NEED_REPLY. Its older versions expect an acknowledgement.
 * Its newer versions expect the payload of the message; these versions negotiate DEVICE_STATE.
 */
int handle_set_log_base(struct vhost_device *dev, struct vhost_message *msg)
{
	const struct vhost_wire_log *log = &msg->payload.log;
	bool echo = (msg->header.flags & VHOST_NEED_REPLY) &&
	    VHOST_PROTOCOL_HAS(dev->state.protocol_features, DEVICE_STATE);
	int error;

	if (msg->header.size != sizeof(*log))
		return vhost_complain(
		    dev, -EINVAL, "a payload of %u bytes, not %zu", msg->header.size, sizeof(*log));
	error = vhost_log_replace(dev, log->size, log->offset, msg->fd[0]);
	if (error || echo)
		return error;
	msg->payload.u64 = 0;
	msg->header.size = sizeof(msg->payload.u64);
	return 0;
}

/*
 * The specification wants a write to this eventfd for every mark in the log. The switch does not
 * use the eventfd, because front-ends do not wait for it: they read the whole log from time to
 * time.
 */
int handle_set_log_fd(struct vhost_device *dev, struct vhost_message *msg)
{
	if (!vhost_is_eventfd(msg->fd[0]))
		return vhost_complain(dev, -EINVAL, "the descriptor is not an eventfd");
	return 0;
}

int handle_send_rarp(struct vhost_device *dev, struct vhost_message *msg)
{
	uint8_t *mac = dev->state.announce_mac;
	int error;

	memcpy(mac, &msg->payload.u64, sizeof(dev->state.announce_mac));
	error = dev->type->announce(dev, mac);
	dev->state.announce_pending = error == -ENETDOWN;
	dev->disturbances += RATE_ANNOUNCEMENT;
	if (error && error != -ENETDOWN)
		return vhost_complain(dev, error,
		    "%02x:%02x:%02x:%02x:%02x:%02x cannot be announced: %s", mac[0], mac[1], mac[2],
		    mac[3], mac[4], mac[5], error_text(-error));
	return 0;
}

/* A failure is told in the reply. The reply never has a descriptor. */
int handle_set_device_state_fd(struct vhost_device *dev, struct vhost_message *msg)
{
	struct vhost_wire_device_state wire = msg->payload.device_state;
	int fd, error;

	msg->header.size = sizeof(msg->payload.u64);
	if (wire.direction > VHOST_DEVICE_STATE_LOAD || wire.phase != VHOST_DEVICE_STATE_STOPPED) {
		error = vhost_complain(dev, -EINVAL, "direction %u or phase %u does not exist",
		    wire.direction, wire.phase);
	} else {
		fd = vhost_message_take_fd(msg, 0);
		error = wire.direction == VHOST_DEVICE_STATE_LOAD ? vhost_transfer_load(dev, fd)
								  : vhost_transfer_save(dev, fd);
	}
	msg->payload.u64 = VHOST_DEVICE_STATE_NOFD | (error ? 1 : 0);
	return 0;
}

int handle_check_device_state(struct vhost_device *dev, struct vhost_message *msg)
{
	msg->header.size = sizeof(msg->payload.u64);
	msg->payload.u64 = vhost_transfer_finish(dev) ? 1 : 0;
	return 0;
}
