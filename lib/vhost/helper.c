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
 * The helper ends when the switch has ended, and removes the sockets that it made and the switch
 * did not remove.
 */
#include "vhost/helper_protocol.h"

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
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "vhost/endpoint.h"
#include "vhost/helper.h"
#include "vhost/listener.h"

#define DIRECTORIES_MAX 1200
#define SOCKETS_MAX     1100

static struct directory {
	char *path;
	bool connect; /* also to sockets that others have made */
} directories[DIRECTORIES_MAX];
static unsigned n_directories;
static const struct directory *here; /* where the helper is */
static struct helper_rights rights;
static int home;            /* the directory in which the switch was started */
static bool made_directory; /* for this request */
static struct made {
	char path[HELPER_PATH_SIZE]; /* empty: this place is free */
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

static struct directory *find_directory(const char *real)
{
	for (unsigned i = 0; i < n_directories; i++) {
		if (strcmp(real, directories[i].path) == 0)
			return &directories[i];
	}
	return NULL;
}

/* A missing directory that is allowed may be made. */
static bool change_directory(const char *name)
{
	/* syscalls(helper): chdir mkdir fchdir getcwd */
	if (chdir(name) == 0)
		return true;
	if (errno != ENOENT || !find_directory(name) || listener_make_directory(name) < 0)
		return false;
	made_directory = true;
	return chdir(name) == 0;
}

/*
 * The allowed directory in which the helper has arrived. glibc's getcwd() goes another way if the
 * name is too long or unknown. It opens directories then, which the helper may not do. Such a
 * directory cannot be allowed, because no name of it would fit.
 */
static const struct directory *look_where(void)
{
	char name[PATH_MAX];
	bool known = syscall(SYS_getcwd, name, sizeof(name)) > 0 && *name == '/';

	return known ? find_directory(name) : NULL;
}

/*
 * Go to the directory of path. Returns the rest of path. NULL: errno says why; EACCES: the helper
 * may not work there.
 */
static const char *go_to(const char *path)
{
	const char *slash = strrchr(path, '/');
	int n = slash ? MAX(1, (int)(slash - path)) : 0;
	char name[HELPER_PATH_SIZE];

	snprintf(name, sizeof(name), "%.*s", n, path);
	if (fchdir(home) < 0 || (slash && !change_directory(name)))
		return NULL;
	here = look_where();
	if (!here) {
		errno = EACCES;
		return NULL;
	}
	return slash ? slash + 1 : path;
}

static int allow(const char *socket, bool connect)
{
	char real[PATH_MAX];
	struct directory *d;

	real_directory(socket, real);
	d = find_directory(real);
	if (!d && n_directories == DIRECTORIES_MAX)
		return -E2BIG;
	if (!d) {
		d = &directories[n_directories];
		d->path = strdup(real);
		if (!d->path)
			return -ENOMEM;
		n_directories++;
	}
	d->connect |= connect;
	return 0;
}

int helper_allow_beside(const char *socket)
{
	return allow(socket, false);
}

int helper_allow(const char *directory)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/", directory) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	return allow(path, true);
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

/* The owner and the group stay as they are, or become those of the start. */
static bool may_give(const struct helper_request *r)
{
	const uid_t no_owner = -1;
	const gid_t no_group = -1;

	return (r->owner == no_owner || r->owner == rights.owner) &&
	    (r->group == no_group || r->group == rights.group);
}

static int serve_listen(const struct helper_request *r, const char *name, struct helper_answer *a)
{
	struct endpoint_reason reason;
	const struct vhost_endpoint_config config = {
	    .socket_mode = r->mode < 0 ? -1 : r->mode & 0777,
	    .owner = r->owner,
	    .group = r->group,
	    .reason = &reason};
	struct made *place = find_made(r->path);
	struct vhost_listener l;

	if (!may_give(r))
		return -EPERM;
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
static int serve_remove(const struct helper_request *r, const char *name)
{
	struct made *m = find_made(r->path);

	if (!m)
		return MIN(listener_clear_path(name, false), 0);
	remove_made(m);
	return 0;
}

/* *ret_fd: the descriptor to be passed; negative: none. */
static int serve(const struct helper_request *r, struct helper_answer *a, int *ret_fd)
{
	const char *name = go_to(r->path);
	int error = name ? -EINVAL : -errno;

	*ret_fd = error;
	if (name && r->kind == HELPER_REMOVE)
		return serve_remove(r, name);
	if (name && r->kind == HELPER_LISTEN)
		*ret_fd = serve_listen(r, name, a);
	else if (name && r->kind == HELPER_CONNECT)
		*ret_fd = here->connect || rights.connect ? serve_connect(name) : -EACCES;
	else if (error == -EACCES)
		snprintf(a->reason.text, sizeof(a->reason.text),
		    "%s: the switch may not use this directory; --socket-directory allows it",
		    r->path);
	return MIN(*ret_fd, 0);
}

/* fd negative: no descriptor is passed. */
static void send_answer(int to, struct helper_answer *a, int fd)
{
	struct iovec iov = {.iov_base = a, .iov_len = sizeof(*a)};
	union helper_fd_message control = {.bytes = ""};
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
		struct helper_request r;
		struct helper_answer a = {.error = -EBADMSG};
		ssize_t n = recv(fd, &r, sizeof(r), 0);
		int passed = -1;

		if (n < 0 && errno == EINTR)
			continue; /* a signal */
		if (n <= 0)
			end();
		if (n == sizeof(r)) {
			r.path[sizeof(r.path) - 1] = '\0';
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

_Noreturn void helper_run(int fd, const struct helper_rights *given, int (*enter)(void))
{
	static const int ignored[] = {
	    SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE, SIGTSTP};

	/* A terminal sends signals to this process, too, but it must outlive the switch. */
	for (unsigned i = 0; i < ARRAY_SIZE(ignored); i++)
		signal(ignored[i], SIG_IGN);
	prctl(PR_SET_NAME, "vswitchd-help");
	rights = *given;
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
