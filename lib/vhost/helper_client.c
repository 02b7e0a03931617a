/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * A request has a number. If an answer comes too late, its number shows that it belongs to an older
 * request, and its descriptor is closed.
 *
 * helper.c describes the helper's side.
 */
#include "vhost/helper.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "vhost/endpoint.h"
#include "vhost/helper_protocol.h"
#include "vhost/listener.h"

static int helper_fd = -1;
static pid_t helper_pid;

int helper_start(int (*enter)(void))
{
	int pair[2], error;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	helper_pid = fork();
	if (helper_pid == 0)
		helper_run(pair[1], enter);
	error = helper_pid < 0 ? -errno : 0;
	close(pair[1]);
	if (error)
		close(pair[0]);
	else
		helper_fd = pair[0];
	return error;
}

void helper_stop(void)
{
	if (helper_fd < 0)
		return;
	close(helper_fd);
	helper_fd = -1;
	waitpid(helper_pid, NULL, 0);
}

bool helper_running(void)
{
	return helper_fd >= 0;
}

static void helper_lost(void)
{
	log_error("the helper process, vswitchd-help, has ended: ports that need its privileges "
		  "cannot be added until vswitchd is restarted");
	close(helper_fd);
	helper_fd = -1;
}

/* Receive one answer. Its descriptor or -1 is in *ret_fd. 0, or a negative errno. */
static int receive(struct helper_answer *a, int *ret_fd)
{
	struct iovec iov = {.iov_base = a, .iov_len = sizeof(*a)};
	union helper_fd_message control;
	struct msghdr mh = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof(control)};
	const struct cmsghdr *cmsg;
	/* syscalls: sendto recvmsg poll close */
	ssize_t n = recvmsg(helper_fd, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	*ret_fd = -1;
	if (n < 0)
		return -errno;
	if (mh.msg_flags & MSG_CTRUNC)
		return -EMFILE; /* the descriptor is lost */
	cmsg = CMSG_FIRSTHDR(&mh);
	if (cmsg && cmsg->cmsg_type == SCM_RIGHTS)
		memcpy(ret_fd, CMSG_DATA(cmsg), sizeof(*ret_fd));
	return n == sizeof(*a) ? 0 : -EPIPE;
}

/*
 * An answer that came too late may hold the only descriptor of a socket that listens. It would be
 * in the way if the same path is asked for again.
 */
static void drop_late_answers(void)
{
	struct helper_answer late;
	int fd;

	while (receive(&late, &fd) == 0)
		if (fd >= 0)
			close(fd);
}

static int wait_for_answer(uint32_t number, struct helper_answer *a, int *ret_fd)
{
	int64_t until = clock_ms() + HELPER_MS;

	for (;;) {
		struct pollfd wait = {.fd = helper_fd, .events = POLLIN};
		int64_t left = until - clock_ms();
		int error;

		if (left <= 0 || poll(&wait, 1, (int)left) == 0)
			return -ETIMEDOUT;
		error = receive(a, ret_fd);
		if (error == -EAGAIN || error == -EINTR)
			continue; /* poll() was interrupted */
		if (error || a->number == number)
			return error;
		if (*ret_fd >= 0)
			close(*ret_fd); /* the answer to an older request */
	}
}

/* The helper itself logs nothing. */
static void tell_what_it_did(const char *path, const struct helper_answer *a)
{
	if (a->made_directory)
		log_info("made the directory %.*s", (int)(strrchr(path, '/') - path), path);
	if (a->replaced)
		log_info("%s: removed a stale socket", path);
}

/* The descriptor that came with the answer, or -1, is in *ret_fd. 0, or a negative errno. */
static int ask(struct helper_request *r, const char *path, struct helper_answer *a, int *ret_fd)
{
	static uint32_t number;
	int error;

	*a = (struct helper_answer){0};
	*ret_fd = -1;
	if (helper_fd < 0)
		return -EPIPE;
	if (strlen(path) >= sizeof(r->path))
		return -ENAMETOOLONG;
	memcpy(r->path, path, strlen(path) + 1);
	drop_late_answers();
	r->number = ++number;
	if (send(helper_fd, r, sizeof(*r), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		error = -EPIPE;
	else
		error = wait_for_answer(r->number, a, ret_fd);
	if (error == -EPIPE)
		helper_lost();
	if (!error)
		tell_what_it_did(path, a);
	return error ? error : a->error;
}

/* The same for requests whose answer has a descriptor. Returns it. */
static int ask_for_fd(struct helper_request *r, const char *path, struct helper_answer *a)
{
	int fd, error = ask(r, path, a, &fd);

	if (!error && fd < 0)
		error = -EPIPE;
	return error ? error : fd;
}

int helper_listen(
    struct vhost_listener *l, const char *path, const struct vhost_endpoint_config *config)
{
	struct helper_request r = {.kind = HELPER_LISTEN,
	    .mode = config->socket_mode,
	    .owner = config->owner,
	    .group = config->group};
	struct helper_answer a;
	int fd = ask_for_fd(&r, path, &a);

	if (fd < 0 && *a.reason.text)
		return listener_refuse(
		    config, fd, "%.*s", (int)sizeof(a.reason.text) - 1, a.reason.text);
	if (fd < 0)
		return listener_refuse(
		    config, fd, "%s: cannot listen: the helper process: %s", path, error_text(-fd));
	*l = (struct vhost_listener){
	    .fd = fd, .path = path, .by_helper = true, .bound = true, .dev = a.dev, .ino = a.ino};
	return 0;
}

int helper_connect(const char *path)
{
	struct helper_request r = {.kind = HELPER_CONNECT};
	struct helper_answer a;

	return ask_for_fd(&r, path, &a);
}

int helper_remove(const char *path)
{
	struct helper_request r = {.kind = HELPER_REMOVE};
	struct helper_answer a;
	int fd;

	return ask(&r, path, &a, &fd);
}
