/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The process is forked before the sandbox closes, and before any thread exists. It has its own
 * table of descriptors, and closes all but one: its end of a socket pair that keeps messages apart.
 * A request is one struct, an answer is one struct and perhaps a descriptor. Nothing in a request
 * is trusted, because the switch might have been taken over: a request of another size is answered
 * with an error, and a path ends with a zero in any case.
 *
 * The owner of a directory may change links at any time. So the helper first goes to the directory
 * of a path, looks where it has arrived, and then uses only the last part of the path. If that part
 * is a link, it is not followed.
 *
 * A request has a number. If an answer comes too late, its number shows that it belongs to an older
 * request, and its descriptor is closed.
 *
 * The helper ends when the switch has ended, and removes the sockets that it made and the switch
 * did not remove.
 */
#include "vhost/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "vhost/endpoint.h"
#include "vhost/listener.h"

#define DIRECTORIES_MAX 1200
#define SOCKETS_MAX     1100
#define PATH_SIZE       sizeof(((struct sockaddr_un *)0)->sun_path)

enum kind { HELPER_LISTEN, HELPER_CONNECT, HELPER_REMOVE };

struct request {
	uint32_t number;
	uint32_t kind;
	int32_t mode;
	uint32_t owner, group;
	char path[PATH_SIZE];
};

struct answer {
	uint32_t number;
	int32_t error;                 /* 0 or a negative errno */
	bool made_directory, replaced; /* also if there is an error */
	uint64_t dev, ino;
	struct endpoint_reason reason;
};

/* In the switch. */
static int helper_fd = -1;
static pid_t helper_pid;

/* In the helper. */
static char *directories[DIRECTORIES_MAX];
static unsigned n_directories;
static int home;            /* the directory in which the switch was started */
static bool made_directory; /* for this request */
static struct made {
	char path[PATH_SIZE]; /* empty: this place is free */
	dev_t dev;
	ino_t ino;
} made[SOCKETS_MAX];

/* The directory of path, without links; as it is if it does not exist: it may be made, in /run. */
static void real_directory(const char *path, char real[PATH_MAX])
{
	char name[PATH_MAX], *slash;

	snprintf(name, sizeof(name), "%s", path);
	slash = strrchr(name, '/');
	if (slash)
		slash[slash == name] = '\0';
	else
		snprintf(name, sizeof(name), ".");
	if (!realpath(name, real))
		snprintf(real, PATH_MAX, "%s", name);
}

static bool is_allowed(const char *real)
{
	for (unsigned i = 0; i < n_directories; i++) {
		if (strcmp(real, directories[i]) == 0)
			return true;
	}
	return false;
}

/* A missing directory that is allowed may be made. */
static bool change_directory(const char *name)
{
	/* syscalls(helper): chdir mkdir fchdir getcwd */
	if (chdir(name) == 0)
		return true;
	if (errno != ENOENT || !is_allowed(name) || listener_make_directory(name) < 0)
		return false;
	made_directory = true;
	return chdir(name) == 0;
}

/*
 * Has the helper arrived in a directory that is allowed? glibc's getcwd() goes another way if the
 * name is too long or unknown. It opens directories then, which the helper may not do. Such a
 * directory cannot be allowed, because no name of it would fit.
 */
static bool is_here_allowed(void)
{
	char here[PATH_MAX];

	return syscall(SYS_getcwd, here, sizeof(here)) > 0 && *here == '/' && is_allowed(here);
}

/*
 * Go to the directory of path. Returns the rest of path. NULL: errno says why; EACCES: the helper
 * may not work there.
 */
static const char *go_to(const char *path)
{
	const char *slash = strrchr(path, '/');
	int n = slash ? MAX(1, (int)(slash - path)) : 0;
	char name[PATH_SIZE];

	snprintf(name, sizeof(name), "%.*s", n, path);
	if (fchdir(home) < 0 || (slash && !change_directory(name)))
		return NULL;
	if (!is_here_allowed()) {
		errno = EACCES;
		return NULL;
	}
	return slash ? slash + 1 : path;
}

int helper_allow_beside(const char *socket)
{
	char real[PATH_MAX];

	real_directory(socket, real);
	if (is_allowed(real))
		return 0;
	if (n_directories == DIRECTORIES_MAX)
		return -E2BIG;
	directories[n_directories] = strdup(real);
	return directories[n_directories++] ? 0 : -ENOMEM;
}

int helper_allow(const char *directory)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/", directory) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	return helper_allow_beside(path);
}

static struct made *find_made(const char *path)
{
	for (unsigned i = 0; i < SOCKETS_MAX; i++) {
		if (strcmp(made[i].path, path) == 0)
			return &made[i];
	}
	return NULL;
}

static void remove_made(struct made *m)
{
	const char *name = go_to(m->path);
	struct stat st;

	/* syscalls(helper): lstat newfstatat unlink */
	if (name && lstat(name, &st) == 0 && st.st_dev == m->dev && st.st_ino == m->ino)
		unlink(name);
	*m = (struct made){.path = ""};
}

static int serve_listen(const struct request *r, const char *name, struct answer *a)
{
	struct endpoint_reason reason;
	const struct vhost_endpoint_config config = {
	    .socket_mode = r->mode, .owner = r->owner, .group = r->group, .reason = &reason};
	struct made *place = find_made(r->path);
	struct vhost_listener l;

	if (!place)
		place = find_made("");
	if (!place)
		return -ENOSPC;
	/* syscalls(helper): socket bind listen connect openat chmod fchownat stat unlink close */
	a->error = listener_open(&l, name, &config);
	a->replaced = l.replaced;
	if (a->error) {
		listener_close(&l);
		snprintf(a->reason.text, sizeof(a->reason.text), "%.*s%.140s",
		    (int)(name - r->path), r->path, reason.text);
		return a->error;
	}
	snprintf(place->path, sizeof(place->path), "%s", r->path);
	a->dev = place->dev = l.dev;
	a->ino = place->ino = l.ino;
	return l.fd;
}

/* The name may be that of a link to a socket that the switch must not reach. */
static int serve_connect(const char *name)
{
	int file = open(name, O_PATH | O_NOFOLLOW | O_CLOEXEC), fd = -ENOTSOCK;
	struct stat st;
	char itself[32];

	if (file < 0)
		return -errno;
	snprintf(itself, sizeof(itself), "/proc/self/fd/%d", file);
	if (fstat(file, &st) == 0 && S_ISSOCK(st.st_mode))
		fd = socket_connect(itself);
	close(file);
	return fd;
}

/* The switch may have made the socket before it gave up its privileges. */
static int serve_remove(const struct request *r, const char *name)
{
	struct made *m = find_made(r->path);

	if (!m)
		return MIN(listener_clear_path(name, false), 0);
	remove_made(m);
	return 0;
}

/* *ret_fd: the descriptor to be passed; negative: none. */
static int serve(const struct request *r, struct answer *a, int *ret_fd)
{
	const char *name = go_to(r->path);
	int error = name ? -EINVAL : -errno;

	*ret_fd = error;
	if (name && r->kind == HELPER_REMOVE)
		return serve_remove(r, name);
	if (name && r->kind == HELPER_LISTEN)
		*ret_fd = serve_listen(r, name, a);
	else if (name && r->kind == HELPER_CONNECT)
		*ret_fd = serve_connect(name);
	else if (error == -EACCES)
		snprintf(a->reason.text, sizeof(a->reason.text),
		    "%s: the switch may not use this directory; --socket-directory allows it",
		    r->path);
	return MIN(*ret_fd, 0);
}

union fd_message {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

/* fd negative: no descriptor is passed. */
static void send_answer(int to, struct answer *a, int fd)
{
	struct iovec iov = {.iov_base = a, .iov_len = sizeof(*a)};
	union fd_message control = {.bytes = ""};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		mh.msg_control = &control;
		mh.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	/* syscalls(helper): sendmsg recvfrom */
	while (sendmsg(to, &mh, MSG_NOSIGNAL) < 0 && errno == EINTR)
		; /* a signal */
	if (fd >= 0)
		close(fd);
}

static _Noreturn void end(void)
{
	for (unsigned i = 0; i < SOCKETS_MAX; i++) {
		if (*made[i].path)
			remove_made(&made[i]);
	}
	_exit(0);
}

static _Noreturn void serve_all(int fd)
{
	for (;;) {
		struct request r;
		struct answer a = {.error = -EBADMSG};
		ssize_t n = recv(fd, &r, sizeof(r), 0);
		int passed = -1;

		if (n < 0 && errno == EINTR)
			continue; /* a signal */
		if (n <= 0)
			end();
		if (n == sizeof(r)) {
			r.path[sizeof(r.path) - 1] = '\0';
			a.number = r.number;
			made_directory = false;
			a.error = serve(&r, &a, &passed);
			a.made_directory = made_directory;
		}
		send_answer(fd, &a, passed);
	}
}

/* Only the socket, stdin, stdout and stderr stay open. */
static int keep_only(int fd)
{
	if (dup2(fd, 3) < 0)
		return -errno;
	return syscall(SYS_close_range, 4, ~0U, 0) < 0 ? -errno : 3;
}

static _Noreturn void run(int fd, int (*enter)(void))
{
	static const int ignored[] = {
	    SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE, SIGTSTP};

	/* A terminal sends signals to this process, too, but it must outlive the switch. */
	for (unsigned i = 0; i < ARRAY_SIZE(ignored); i++)
		signal(ignored[i], SIG_IGN);
	prctl(PR_SET_NAME, "vswitchd-help");
	fd = keep_only(fd);
	home = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || home < 0 || (enter && enter() < 0))
		_exit(1);
	/* Nobody may read stderr: the switch tells what happens here. */
	log_silence();
	/* syscalls(helper): write brk mmap munmap madvise futex fcntl fstat exit_group */
	/* syscalls(helper): gettid getpid tgkill rt_sigaction rt_sigreturn rt_sigprocmask */
	/* syscalls(helper): restart_syscall clock_gettime */
	serve_all(fd);
}

int helper_start(int (*enter)(void))
{
	int pair[2], error;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	helper_pid = fork();
	if (helper_pid == 0)
		run(pair[1], enter);
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
static int receive(struct answer *a, int *ret_fd)
{
	struct iovec iov = {.iov_base = a, .iov_len = sizeof(*a)};
	union fd_message control;
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
	struct answer late;
	int fd;

	while (receive(&late, &fd) == 0)
		if (fd >= 0)
			close(fd);
}

static int wait_for_answer(uint32_t number, struct answer *a, int *ret_fd)
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
static void tell_what_it_did(const char *path, const struct answer *a)
{
	if (a->made_directory)
		log_info("made the directory %.*s", (int)(strrchr(path, '/') - path), path);
	if (a->replaced)
		log_info("%s: removed a stale socket", path);
}

/* The descriptor that came with the answer, or -1, is in *ret_fd. 0, or a negative errno. */
static int ask(struct request *r, const char *path, struct answer *a, int *ret_fd)
{
	static uint32_t number;
	int error;

	*a = (struct answer){0};
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
static int ask_for_fd(struct request *r, const char *path, struct answer *a)
{
	int fd, error = ask(r, path, a, &fd);

	if (!error && fd < 0)
		error = -EPIPE;
	return error ? error : fd;
}

int helper_listen(
    struct vhost_listener *l, const char *path, const struct vhost_endpoint_config *config)
{
	struct request r = {.kind = HELPER_LISTEN,
	    .mode = config->socket_mode,
	    .owner = config->owner,
	    .group = config->group};
	struct answer a;
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
	struct request r = {.kind = HELPER_CONNECT};
	struct answer a;

	return ask_for_fd(&r, path, &a);
}

int helper_remove(const char *path)
{
	struct request r = {.kind = HELPER_REMOVE};
	struct answer a;
	int fd;

	return ask(&r, path, &a, &fd);
}
