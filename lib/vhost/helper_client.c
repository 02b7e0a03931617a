/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * If an answer does not come in time, the switch asks nothing more until it has come. So a helper
 * that hangs, perhaps in a directory on another host, stops the control thread once. The late
 * answer is dropped: its descriptor is closed, and a socket that was made is removed. Removals are
 * kept until the helper answers again.
 *
 * helper.c describes the helper's side.
 */
#include "vhost/helper.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/closer.h"
#include "base/errand.h"
#include "base/log.h"
#include "base/util.h"
#include "vhost/endpoint.h"
#include "vhost/helper_protocol.h"
#include "vhost/listener.h"

#define REMOVALS_MAX 1100
#define CATCH_UP_MS  5

static int helper_fd = -1;
static pid_t helper_pid;            /* 0: there is none */
static struct helper_request asked; /* the last request */
static bool late; /* the answer to it has not come in time, and has not come yet */
static char removals[REMOVALS_MAX][HELPER_PATH_SIZE]; /* to be asked for later */
static unsigned n_removals;

int helper_start(const struct helper_rights *rights, int (*enter)(void))
{
	int pair[2], error;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	helper_pid = fork();
	if (helper_pid == 0)
		helper_run(pair[1], rights, enter);
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
	helper_pid = 0;
	late = false;
	n_removals = 0;
}

bool helper_running(void)
{
	return helper_fd >= 0;
}

static void reap(void)
{
	/* syscalls: wait4 */
	if (helper_pid > 0 && waitpid(helper_pid, NULL, WNOHANG) == helper_pid)
		helper_pid = 0;
}

static void helper_lost(void)
{
	log_error("the helper process, vswitchd-help, has ended: ports that need its privileges "
		  "cannot be added until vswitchd is restarted");
	close(helper_fd);
	helper_fd = -1;
	late = false;
	n_removals = 0;
	reap();
}

/*
 * Receive one answer. Its descriptor or -1 is in *ret_fd. 0; -EAGAIN: there is none; -EPIPE: the
 * helper has ended.
 */
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
		return errno == EAGAIN || errno == EINTR ? -EAGAIN : -EPIPE;
	cmsg = CMSG_FIRSTHDR(&mh);
	if (cmsg && cmsg->cmsg_type == SCM_RIGHTS)
		memcpy(ret_fd, CMSG_DATA(cmsg), sizeof(*ret_fd));
	if (n == sizeof(*a))
		return 0;
	if (*ret_fd >= 0)
		close(*ret_fd);
	*ret_fd = -1;
	return -EPIPE;
}

/* The socket may have a backlog, and so descriptors of front-ends: it may take long to close. */
static void close_unused(int fd)
{
	if (fd < 0)
		return;
	/* syscalls: shutdown close */
	shutdown(fd, SHUT_RDWR);
	if (closer_running())
		errand_close(fd);
	else
		close(fd);
}

static void forget_removal(const char *path)
{
	for (unsigned i = 0; i < n_removals; i++) {
		if (strcmp(removals[i], path) == 0)
			memmove(removals[i--], removals[--n_removals], HELPER_PATH_SIZE);
	}
}

static void remove_later(const char *path)
{
	forget_removal(path);
	if (n_removals == REMOVALS_MAX)
		log_warn("%s: this socket file stays: the helper process does not answer", path);
	else
		snprintf(removals[n_removals++], HELPER_PATH_SIZE, "%s", path);
}

/* Take the late answer, if it has come. */
static void drop_late_answer(void)
{
	struct helper_answer a;
	int fd, error;

	if (!late)
		return;
	error = receive(&a, &fd);
	if (error == -EPIPE)
		helper_lost();
	if (error)
		return;
	close_unused(fd);
	late = false;
	if (asked.kind == HELPER_LISTEN && a.error == 0)
		remove_later(asked.path);
}

static int wait_for_answer(struct helper_answer *a, int *ret_fd)
{
	int64_t until = clock_ms() + HELPER_MS;
	int error;

	do {
		struct pollfd wait = {.fd = helper_fd, .events = POLLIN};
		int64_t left = until - clock_ms();

		if (left <= 0 || poll(&wait, 1, (int)left) == 0)
			return -ETIMEDOUT;
		error = receive(a, ret_fd);
	} while (error == -EAGAIN); /* poll() was interrupted */
	return error;
}

/* The helper itself logs nothing. */
static void tell_what_it_did(const char *path, const struct helper_answer *a)
{
	if (a->made_directory)
		log_info("made the directory %.*s", (int)(strrchr(path, '/') - path), path);
	if (a->replaced)
		listener_log(path, "removed a stale socket");
}

/* Send `asked`, and wait for the answer. */
static int exchange(struct helper_answer *a, int *ret_fd)
{
	int error;

	if (send(helper_fd, &asked, sizeof(asked), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		error = errno == EPIPE || errno == ECONNRESET ? -EPIPE : -EBUSY;
	else
		error = wait_for_answer(a, ret_fd);
	late = error == -ETIMEDOUT;
	if (error == -EPIPE)
		helper_lost();
	return error;
}

/* The descriptor that came with the answer, or -1, is in *ret_fd. 0, or a negative errno. */
static int ask(
    const struct helper_request *r, const char *path, struct helper_answer *a, int *ret_fd)
{
	int error;

	*a = (struct helper_answer){0};
	*ret_fd = -1;
	if (strlen(path) >= sizeof(r->path))
		return -ENAMETOOLONG;
	drop_late_answer();
	if (helper_fd < 0)
		return -EPIPE;
	if (late)
		return -EBUSY;
	asked = *r;
	memcpy(asked.path, path, strlen(path) + 1);
	error = exchange(a, ret_fd);
	if (error)
		return error;
	tell_what_it_did(path, a);
	if (a->error) {
		close_unused(*ret_fd);
		*ret_fd = -1;
	}
	return a->error;
}

/* The same for requests whose answer has a descriptor. Returns it. */
static int ask_for_fd(const struct helper_request *r, const char *path, struct helper_answer *a)
{
	int fd, error = ask(r, path, a, &fd);

	if (!error && fd < 0)
		error = -EMFILE; /* it was lost on its way */
	return error ? error : fd;
}

static const char *helper_error_text(int error)
{
	switch (error) {
	case -EBUSY:
	case -ETIMEDOUT:
		return "it does not answer";
	case -EPIPE:
		return "it has ended";
	default:
		return error_text(-error);
	}
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

	if (fd >= 0)
		forget_removal(path); /* it would remove this socket */
	else if (a.error == 0 && fd == -EMFILE)
		remove_later(path);
	if (fd < 0 && *a.reason.text)
		return listener_refuse(
		    config, fd, "%.*s", (int)sizeof(a.reason.text) - 1, a.reason.text);
	if (fd < 0)
		return listener_refuse(config, fd, "%s: cannot listen: the helper process: %s",
		    path, helper_error_text(fd));
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
	int fd, error = ask(&r, path, &a, &fd);

	close_unused(fd);
	if (error == -EBUSY)
		remove_later(path);
	return error;
}

void helper_check(void)
{
	int64_t until = clock_ms() + CATCH_UP_MS;
	char path[HELPER_PATH_SIZE];

	drop_late_answer();
	while (helper_fd >= 0 && !late && n_removals && clock_ms() < until) {
		memcpy(path, removals[--n_removals], sizeof(path));
		helper_remove(path);
	}
	reap();
	if (helper_pid == 0 && helper_fd >= 0)
		helper_lost();
}
