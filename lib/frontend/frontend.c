/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sockets and messages are here; guest memory is in frontend_memory.c. Every wait uses wait_for(),
 * which has a time-out, so no test hangs because of a silent peer. Sending does not wait for ever,
 * either, because sockets are non-blocking.
 */
#include "frontend/frontend.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"

#define TIMEOUT_MS 2000

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

void frontend_init(struct frontend *fe)
{
	memset(fe, 0, sizeof(*fe));
	fe->fd = fe->channel_fd = -1;
	fe->timeout_ms = TIMEOUT_MS;
}

void frontend_disconnect(struct frontend *fe)
{
	if (fe->fd >= 0)
		close(fe->fd);
	fe->fd = -1;
	frontend_close_channel(fe);
}

void frontend_cleanup(struct frontend *fe)
{
	frontend_disconnect(fe);
	for (unsigned i = 0; i < fe->n_regions; i++)
		frontend_region_destroy(fe, i);
	fe->n_regions = 0;
}

static int wait_for(int fd, short events, int64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = events};
	int n;

	do {
		n = poll(&p, 1, MAX(deadline - now_ms(), 0));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n ? 0 : -ETIMEDOUT;
}

static int make_address(struct sockaddr_un *sa, const char *path)
{
	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(sa->sun_path))
		return -ENAMETOOLONG;
	memcpy(sa->sun_path, path, strlen(path) + 1);
	return 0;
}

static int connect_once(const struct sockaddr_un *sa)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd < 0 ? -errno : fd;
}

int frontend_connect(struct frontend *fe, const char *path)
{
	int64_t deadline = now_ms() + fe->timeout_ms;
	struct sockaddr_un sa;
	int fd = make_address(&sa, path);

	if (fd < 0)
		return fd;
	for (;;) {
		fd = connect_once(&sa);
		if (fd >= 0)
			break;
		if (now_ms() >= deadline)
			return fd;
		usleep(10000);
	}
	frontend_disconnect(fe);
	fe->fd = fd;
	return 0;
}

int frontend_listen(const char *path)
{
	struct sockaddr_un sa;
	int err = make_address(&sa, path), fd;

	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	unlink(path);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 8) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

int frontend_accept(struct frontend *fe, int listen_fd)
{
	int err = wait_for(listen_fd, POLLIN, now_ms() + fe->timeout_ms), fd;

	if (err)
		return err;
	fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return -errno;
	frontend_disconnect(fe);
	fe->fd = fd;
	return 0;
}

/* Send all of iov. The descriptors are sent with the first byte. */
static int send_all(struct frontend *fe, struct iovec iov, const int *fds, unsigned n_fds)
{
	int64_t deadline = now_ms() + fe->timeout_ms;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(64 * sizeof(int))];
	} control;

	if (n_fds > 64)
		return -EINVAL;
	while (iov.iov_len) {
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
		ssize_t n;

		if (n_fds) {
			msg.msg_control = &control;
			msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
			memset(&control, 0, sizeof(control));
			control.align.cmsg_level = SOL_SOCKET;
			control.align.cmsg_type = SCM_RIGHTS;
			control.align.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
			memcpy(CMSG_DATA(&control.align), fds, n_fds * sizeof(int));
		}
		n = sendmsg(fe->fd, &msg, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN) {
			int err = wait_for(fe->fd, POLLOUT, deadline);

			if (err)
				return err;
			continue;
		}
		if (n < 0)
			return errno == EPIPE ? -ECONNRESET : -errno;
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= n;
		n_fds = 0;
	}
	return 0;
}

int frontend_send_bytes(struct frontend *fe, const void *bytes, size_t size)
{
	return send_all(fe, (struct iovec){.iov_base = (void *)bytes, .iov_len = size}, NULL, 0);
}

int frontend_send(struct frontend *fe, uint32_t id, uint32_t flags, const void *payload,
    uint32_t size, const int *fds, unsigned n_fds)
{
	struct {
		struct vhost_header header;
		uint8_t payload[4096];
	} message = {.header = {.request = id, .flags = flags, .size = size}};

	if (size > sizeof(message.payload))
		return -EMSGSIZE;
	if (size)
		memcpy(message.payload, payload, size);
	return send_all(fe,
	    (struct iovec){.iov_base = &message, .iov_len = sizeof(message.header) + size}, fds,
	    n_fds);
}

/* Keep the first descriptor, close the others. */
static void take_fds(struct msghdr *msg, int *fd)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		unsigned n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (unsigned i = 0; c->cmsg_type == SCM_RIGHTS && i < n; i++) {
			int got;

			memcpy(&got, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (*fd < 0)
				*fd = got;
			else
				close(got);
		}
	}
}

static int receive_all(struct frontend *fe, void *buf, size_t size, int64_t deadline, int *fd)
{
	struct iovec iov = {.iov_base = buf, .iov_len = size};

	while (iov.iov_len) {
		union {
			struct cmsghdr align;
			char bytes[CMSG_SPACE(8 * sizeof(int))];
		} control;
		struct msghdr msg = {.msg_iov = &iov,
		    .msg_iovlen = 1,
		    .msg_control = &control,
		    .msg_controllen = sizeof(control)};
		int err = wait_for(fe->fd, POLLIN, deadline);
		ssize_t n;

		if (err)
			return err;
		n = recvmsg(fe->fd, &msg, MSG_CMSG_CLOEXEC);
		if (n < 0 && errno == EAGAIN)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ECONNRESET;
		take_fds(&msg, fd);
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= n;
	}
	return 0;
}

static int receive_message(struct frontend *fe, uint32_t id, void *payload, uint32_t room, int *fd)
{
	int64_t deadline = now_ms() + fe->timeout_ms;
	struct vhost_header header;
	uint8_t bytes[4096];
	int err = receive_all(fe, &header, sizeof(header), deadline, fd);

	if (err)
		return err;
	if (header.request != id || header.flags != VHOST_REPLY_FLAGS ||
	    header.size > sizeof(bytes))
		return -EPROTO;
	err = receive_all(fe, bytes, header.size, deadline, fd);
	if (err)
		return err;
	memcpy(payload, bytes, MIN(room, header.size));
	return header.size;
}

int frontend_receive_reply(
    struct frontend *fe, uint32_t id, void *payload, uint32_t room, int *ret_fd)
{
	int fd = -1;
	int size = receive_message(fe, id, payload, room, &fd);

	if (ret_fd)
		*ret_fd = fd;
	else if (fd >= 0)
		close(fd);
	return size;
}
