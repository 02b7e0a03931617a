/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vhost/descriptor.h"
#include "vhost/ring.h"

/*
 * The other end of the pipe may never be read or written: this one must not wait for it. It is
 * made to hold any state there can be, so that an honest front-end need not wait either.
 */
static int check_pipe(struct vhost_device *dev, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	/* syscalls: fcntl read write close */
	if (!vhost_fd_is_pipe(fd))
		return vhost_complain(dev, -EINVAL, "the descriptor is no pipe");
	if (vhost_rings_started(dev))
		return vhost_complain(dev, -EBUSY, "the state is not to be had while rings run");
	if (fcntl(fd, F_GETPIPE_SZ) < VHOST_DEVICE_STATE_MAX &&
	    fcntl(fd, F_SETPIPE_SZ, VHOST_DEVICE_STATE_MAX) < VHOST_DEVICE_STATE_MAX)
		return vhost_complain(dev, -EINVAL, "the pipe is too small for a device state");
	if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return vhost_complain(dev, -errno, "cannot use the pipe: %s", strerror(errno));
	return 0;
}

static int save_to(struct vhost_device *dev, int fd)
{
	uint8_t *bytes = malloc(VHOST_DEVICE_STATE_MAX);
	ssize_t len, written;

	if (!bytes)
		return vhost_complain(dev, -ENOMEM, "no memory for the device state");
	len = dev->type->save(dev, bytes, VHOST_DEVICE_STATE_MAX);
	written = len < 0 ? 0 : write(fd, bytes, len);
	free(bytes);
	if (len < 0)
		return vhost_complain(dev, len, "the device state cannot be saved");
	if (written != len)
		return vhost_complain(dev, -EIO, "the pipe does not take the device state");
	return 0;
}

int vhost_transfer_save(struct vhost_device *dev, int fd)
{
	int error;

	vhost_transfer_forget(dev);
	error = check_pipe(dev, fd);
	if (!error)
		error = save_to(dev, fd);
	if (vhost_fd_is_pipe(fd))
		close(fd); /* the front-end reads to the end */
	else
		vhost_fd_close(dev, fd);
	if (!error)
		dev->transfer.step = VHOST_TRANSFER_SAVED;
	return error;
}

int vhost_transfer_load(struct vhost_device *dev, int fd)
{
	int error;

	vhost_transfer_forget(dev);
	error = check_pipe(dev, fd);
	if (error) {
		vhost_fd_close(dev, fd);
		return error;
	}
	dev->transfer = (struct vhost_transfer){.step = VHOST_TRANSFER_LOADING, .fd = fd};
	return 0;
}

/* Read to the end of the pipe. The number of bytes; -E2BIG: more than room; -EIO. */
static ssize_t read_all(int fd, uint8_t *bytes, size_t room)
{
	size_t len = 0;

	for (;;) {
		uint8_t beyond;
		ssize_t n = len < room ? read(fd, bytes + len, room - len) : read(fd, &beyond, 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -EIO; /* also when it has not been closed: there might come more */
		if (n == 0)
			return len;
		if (len == room)
			return -E2BIG;
		len += n;
	}
}

static int load_from(struct vhost_device *dev, int fd)
{
	uint8_t *bytes = malloc(VHOST_DEVICE_STATE_MAX);
	ssize_t len;
	int error;

	if (!bytes)
		return vhost_complain(dev, -ENOMEM, "no memory for the device state");
	len = read_all(fd, bytes, VHOST_DEVICE_STATE_MAX);
	error = len < 0 ? (int)len : dev->type->load(dev, bytes, len);
	free(bytes);
	if (len == -E2BIG)
		return vhost_complain(dev, error, "the device state is too long");
	if (len < 0)
		return vhost_complain(dev, error, "the device state has not been sent to its end");
	if (error)
		return vhost_complain(dev, error, "the device state makes no sense");
	return 0;
}

int vhost_transfer_finish(struct vhost_device *dev)
{
	enum vhost_transfer_step step = dev->transfer.step;
	int error = 0;

	if (step == VHOST_TRANSFER_NONE)
		return vhost_complain(dev, -ENOENT, "no device state has been transferred");
	if (step == VHOST_TRANSFER_LOADING && vhost_rings_started(dev))
		error = vhost_complain(dev, -EBUSY, "the state is not to be set while rings run");
	else if (step == VHOST_TRANSFER_LOADING)
		error = load_from(dev, dev->transfer.fd);
	vhost_transfer_forget(dev);
	return error;
}

void vhost_transfer_forget(struct vhost_device *dev)
{
	if (dev->transfer.step == VHOST_TRANSFER_LOADING)
		vhost_fd_close(dev, dev->transfer.fd);
	dev->transfer = (struct vhost_transfer){0};
}
