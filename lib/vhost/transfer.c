/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/transfer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "vhost/descriptor.h"
#include "vhost/ring.h"
#include "virtio/vhost_user.h"

static int check(struct vhost_device *dev, int fd)
{
	if (!vhost_fd_is_pipe(fd))
		return vhost_complain(dev, -EINVAL, "the descriptor is no pipe");
	if (vhost_rings_started(dev))
		return vhost_complain(dev, -EBUSY, "no transfer is possible while rings run");
	return 0;
}

static int complain_begin(struct vhost_device *dev, int error)
{
	if (error == -EBUSY)
		return vhost_complain(dev, error,
		    "the transfer before has not ended: its pipe hangs; another one can begin when "
		    "no process holds up that pipe");
	return vhost_complain(dev, error, "the transfer cannot begin: %s", error_text(-error));
}

static int save_to(struct vhost_device *dev, int fd)
{
	uint8_t *bytes = malloc(VHOST_DEVICE_STATE_MAX);
	ssize_t len;
	int error;

	if (!bytes)
		return vhost_complain(dev, -ENOMEM, "no memory for the device state");
	len = dev->type->save(dev, bytes, VHOST_DEVICE_STATE_MAX);
	if (len < 0) {
		error = vhost_complain(dev, (int)len, "the device state cannot be saved");
	} else {
		error = move_begin_write(dev->owner, fd, bytes, len, &dev->transfer.move);
		if (error)
			complain_begin(dev, error);
	}
	free(bytes);
	return error;
}

static int load_from(struct vhost_device *dev, int fd)
{
	int error = move_begin_read(dev->owner, fd, &dev->transfer.move);

	return error ? complain_begin(dev, error) : 0;
}

static int begin(struct vhost_device *dev, int fd, enum vhost_transfer_step step)
{
	int error;

	vhost_transfer_forget(dev);
	error = check(dev, fd);
	if (!error)
		error = step == VHOST_TRANSFER_LOADING ? load_from(dev, fd) : save_to(dev, fd);
	if (error)
		vhost_fd_close(dev, fd);
	else
		dev->transfer.step = step;
	return error;
}

int vhost_transfer_save(struct vhost_device *dev, int fd)
{
	return begin(dev, fd, VHOST_TRANSFER_SAVING);
}

int vhost_transfer_load(struct vhost_device *dev, int fd)
{
	return begin(dev, fd, VHOST_TRANSFER_LOADING);
}

bool vhost_transfer_delays(struct vhost_device *dev, uint32_t request)
{
	switch (request) {
	case VHOST_USER_SET_DEVICE_STATE_FD:
		vhost_transfer_forget(dev);
		return move_hinders(dev->owner);
	case VHOST_USER_CHECK_DEVICE_STATE:
		return dev->transfer.step != VHOST_TRANSFER_NONE && move_waits(dev->transfer.move);
	default:
		return false;
	}
}

static int apply(struct vhost_device *dev, const uint8_t *bytes, size_t len)
{
	int error;

	if (vhost_rings_started(dev))
		return vhost_complain(dev, -EBUSY, "the state cannot be set while rings run");
	error = dev->type->load(dev, bytes, len);
	return error ? vhost_complain(dev, error, "the device state is not valid") : 0;
}

int vhost_transfer_finish(struct vhost_device *dev)
{
	enum vhost_transfer_step step = dev->transfer.step;
	const uint8_t *bytes;
	ssize_t len;
	int error = 0;

	if (step == VHOST_TRANSFER_NONE)
		return vhost_complain(dev, -ENOENT, "no device state has been transferred");
	len = move_result(dev->transfer.move, &bytes);
	if (len == -ETIMEDOUT)
		error = vhost_complain(dev, (int)len, "the pipe hangs: some process holds it up");
	else if (len == -E2BIG)
		error = vhost_complain(dev, (int)len, "the device state is too long");
	else if (len < 0 && step == VHOST_TRANSFER_LOADING)
		error =
		    vhost_complain(dev, (int)len, "the device state has not been sent to its end");
	else if (len < 0)
		error = vhost_complain(dev, (int)len, "the pipe does not take the device state");
	else if (step == VHOST_TRANSFER_LOADING)
		error = apply(dev, bytes, len);
	vhost_transfer_forget(dev);
	return error;
}

void vhost_transfer_forget(struct vhost_device *dev)
{
	if (dev->transfer.step != VHOST_TRANSFER_NONE)
		move_forget(dev->transfer.move);
	dev->transfer = (struct vhost_transfer){0};
}
