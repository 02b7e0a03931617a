/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The control thread sends requests itself. A send on a local stream socket takes no lock that the
 * front-end can hold. A read takes such a lock. The front-end has the same socket, so it can hold
 * the lock for ever. So a mover (base/mover.h) reads the answer, after its first bytes have come.
 */
#include "vhost/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mover.h"
#include "vhost/descriptor.h"
#include "vhost/ring.h"
#include "virtio/vhost_user.h"

/*
 * A send takes less CPU time than this, unless the front-end has made the socket slow. But if a
 * hypervisor takes the CPU away during a send, this may count as CPU time. So a single slow send is
 * no fault; a second one within SLOW_AGAIN_MS is.
 */
#define SLOW_NS       INT64_C(5000000)
#define SLOW_AGAIN_MS 60000

int vhost_channel_set(struct vhost_device *dev, int fd)
{
	int domain = 0, type = 0, listening = 0;
	socklen_t len = sizeof(int);
	/* syscalls: getsockopt sendmsg fcntl */
	bool good = getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0;

	if (!good || domain != AF_UNIX || type != SOCK_STREAM || listening) {
		vhost_fd_close(dev, fd);
		return vhost_complain(
		    dev, -EINVAL, "the back-end channel is not a local stream socket");
	}
	vhost_channel_forget(dev);
	dev->channel.fd = fd;
	return 0;
}

void vhost_channel_forget(struct vhost_device *dev)
{
	if (dev->channel.answer)
		move_forget(dev->channel.answer);
	if (dev->channel.fd >= 0)
		vhost_fd_hang_up(dev, dev->channel.fd);
	dev->channel = (struct vhost_channel){.fd = -1};
}

static const char slow[] = "two requests within a minute took more than 5 ms each to send";

/* Close the channel, because its next bytes could not be understood. */
static int give_up(struct vhost_device *dev, const char *why)
{
	vhost_channel_forget(dev);
	return vhost_complain(dev, -EIO, "the back-end channel is closed: %s", why);
}

static int check_send(const struct vhost_device *dev, int fd, bool ask)
{
	uint64_t features = dev->state.protocol_features;

	if (dev->channel.fd < 0)
		return -ENOTCONN;
	if (!vhost_rings_started(dev))
		return -ESHUTDOWN;
	if (fd >= 0 && !VHOST_PROTOCOL_HAS(features, BACKEND_SEND_FD))
		return -EOPNOTSUPP;
	if (ask && !VHOST_PROTOCOL_HAS(features, REPLY_ACK))
		return -EOPNOTSUPP;
	return ask && dev->channel.asked ? -EBUSY : 0;
}

static bool slow_again(struct vhost_channel *channel)
{
	int64_t last = channel->slow_ms;

	channel->slow_ms = clock_ms();
	return last && channel->slow_ms - last < SLOW_AGAIN_MS;
}

/*
 * Send the whole message or nothing. -EAGAIN: no room; -ETIME: sends took too much CPU time again;
 * -EIO.
 */
static int transmit(
    struct vhost_device *dev, const struct vhost_header *header, const void *payload, int fd)
{
	struct iovec iov[2] = {{(void *)(uintptr_t)header, sizeof(*header)},
	    {(void *)(uintptr_t)payload, header->size}};
	union {
		struct cmsghdr cmsg;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.bytes = ""};
	struct msghdr mh = {.msg_iov = iov, .msg_iovlen = 2};
	int64_t start = clock_read(CLOCK_THREAD_CPUTIME_ID); /* syscalls: clock_gettime */
	ssize_t n;

	if (fd >= 0) {
		mh.msg_control = &control;
		mh.msg_controllen = sizeof(control);
		control.cmsg.cmsg_level = SOL_SOCKET;
		control.cmsg.cmsg_type = SCM_RIGHTS;
		control.cmsg.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.cmsg), &fd, sizeof(fd));
	}
	n = sendmsg(dev->channel.fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (clock_read(CLOCK_THREAD_CPUTIME_ID) - start > SLOW_NS && slow_again(&dev->channel))
		return -ETIME;
	if (n == (ssize_t)(sizeof(*header) + header->size))
		return 0;
	return n < 0 && errno == EAGAIN ? -EAGAIN : -EIO;
}

int vhost_channel_send(struct vhost_device *dev, uint32_t request, const void *payload,
    uint32_t size, int fd, bool ask)
{
	struct vhost_header header = {request, VHOST_VERSION | (ask ? VHOST_NEED_REPLY : 0), size};
	int error = check_send(dev, fd, ask);

	if (error)
		return error;
	error = transmit(dev, &header, payload, fd);
	if (error)
		return give_up(
		    dev, error == -ETIME ? slow : "the front-end does not take a request");
	if (ask)
		dev->channel.asked = request;
	return 0;
}

int vhost_channel_try(
    struct vhost_device *dev, uint32_t request, const void *payload, uint32_t size)
{
	struct vhost_header header = {request, VHOST_VERSION, size};
	struct pollfd room = {.fd = dev->channel.fd, .events = POLLOUT};
	int error = check_send(dev, -1, false);

	if (error)
		return error;
	/* A local socket is writable while it is less than a quarter full. */
	if (poll(&room, 1, 0) == 1) /* syscalls: poll */
		error = transmit(dev, &header, payload, -1);
	else
		error = -EAGAIN;
	if (error == -ETIME)
		return give_up(dev, slow);
	return error == -EIO ? give_up(dev, "the front-end has closed it") : error;
}

struct answer {
	struct vhost_header header;
	uint64_t value;
} __attribute__((packed));

/* If bytes have come, or the other end was closed, begin to read the answer. */
static int begin_answer(struct vhost_device *dev)
{
	struct vhost_channel *channel = &dev->channel;
	struct pollfd news = {.fd = channel->fd, .events = POLLIN};
	int copy, error;

	if (poll(&news, 1, 0) != 1)
		return 0;
	copy = fcntl(channel->fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return 0;
	error = move_begin_read_some(dev->owner, copy, sizeof(struct answer), &channel->answer);
	if (error) {
		close(copy); /* no mover is free: try again later */
		return 0;
	}
	channel->until_ms = clock_ms() + MOVE_WAIT_MS;
	return 0;
}

int vhost_channel_answer(struct vhost_device *dev, uint64_t *ret_value)
{
	struct vhost_channel *channel = &dev->channel;
	struct answer answer = {.value = 0};
	const uint8_t *bytes;
	ssize_t n;

	if (!channel->asked)
		return 0;
	if (!channel->answer)
		return begin_answer(dev);
	if (!move_has_ended(channel->answer))
		return clock_ms() < channel->until_ms
		    ? 0
		    : give_up(dev, "its answer could not be read within 2 seconds");
	n = move_result(channel->answer, &bytes);
	if (n == sizeof(answer))
		memcpy(&answer, bytes, sizeof(answer));
	move_forget(channel->answer);
	channel->answer = NULL;
	if (n != sizeof(answer))
		return give_up(dev, "the front-end has closed it");
	if (answer.header.request != channel->asked || answer.header.flags != VHOST_REPLY_FLAGS ||
	    answer.header.size != sizeof(answer.value))
		return give_up(dev, "the front-end sent something that is not the answer");
	channel->asked = 0;
	*ret_value = answer.value;
	return 1;
}
