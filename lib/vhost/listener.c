/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * A socket file outlives the process that made it. To find out whether a socket at our path is in
 * use, we connect to it. If the connection is refused, no process listens. Only then is the file
 * replaced. At the end the file is removed only if it is the one that we made.
 *
 * The directory may belong to another user, who can put a link in the place of our file at any
 * time. So mode and owner are changed through a descriptor of the file, not through its name.
 *
 * What this process may not do itself, it leaves to the helper (helper.h), if there is one.
 */
#include "vhost/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log_limit.h"
#include "base/util.h"
#include "vhost/descriptor.h"
#include "vhost/endpoint.h"
#include "vhost/helper.h"

#define BACKLOG        16
#define ENDING_WAIT_MS 500
#define ENDING_TRIES   8 /* a listener may close each connection and not end */

int socket_address(const char *path, struct sockaddr_un *ret_address)
{
	size_t n = strlen(path);

	*ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (n == 0)
		return -EINVAL;
	if (n >= sizeof(ret_address->sun_path))
		return -ENAMETOOLONG;
	memcpy(ret_address->sun_path, path, n + 1);
	return 0;
}

static int create_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

int socket_connect(const char *path)
{
	struct sockaddr_un address;
	int error = socket_address(path, &address);
	int fd = error ? error : create_socket();

	if (fd < 0)
		return fd;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		error = -errno;
		close(fd);
		return error == -EACCES && helper_running() ? helper_connect(path) : error;
	}
	return fd;
}

pid_t socket_peer(int fd)
{
	struct ucred peer = {0};
	socklen_t len = sizeof(peer);

	/* syscalls: getsockopt */
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 ? peer.pid : 0;
}

/*
 * Does the process end that accepted this connection? It may be a switch that is just ending:
 * closers (closer.h) close its sockets a moment later. Then the connection is closed, too.
 */
static bool listener_ends(int fd)
{
	struct pollfd wait = {.fd = fd, .events = POLLRDHUP};

	return poll(&wait, 1, ENDING_WAIT_MS) == 1; /* syscalls: poll */
}

int listener_clear_path(const char *path, bool patient)
{
	struct stat st;
	unsigned tries = ENDING_TRIES;
	bool ends;
	int fd;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	do {
		fd = socket_connect(path);
		ends = fd >= 0 && patient && listener_ends(fd);
		if (fd >= 0)
			close(fd);
	} while (ends && --tries);
	/* The backlog is full, or it is a socket of another type: it is in use. */
	if (fd >= 0 || fd == -EAGAIN || fd == -EPROTOTYPE)
		return -EADDRINUSE;
	if (fd == -ENOENT)
		return 0;
	if (fd != -ECONNREFUSED)
		return fd;
	if (unlink(path) < 0)
		return errno == ENOENT ? 0 : -errno;
	return 1;
}

int listener_make_directory(const char *directory)
{
	static const char run[] = "/run/";
	size_t n = strlen(run);

	if (strncmp(directory, run, n) != 0 || strchr(directory + n, '/'))
		return -ENOENT;
	if (mkdir(directory, 0755) < 0)
		return -errno;
	log_info("made the directory %s", directory);
	return 0;
}

static struct log_limit limit;

void listener_log(const char *path, const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	log_limited(&limit, LOG_INFO, path, "%s", text);
}

void listener_log_service(void)
{
	log_limit_service(&limit, "files of ports");
}

int listener_refuse(const struct vhost_endpoint_config *config, int error, const char *format, ...)
{
	struct endpoint_reason reason;
	va_list args;

	va_start(args, format);
	vsnprintf(reason.text, sizeof(reason.text), format, args);
	va_end(args);
	if (config->reason)
		*config->reason = reason;
	else
		log_error("%s", reason.text);
	return error;
}

/* Make the socket's directory if it is missing. */
static int provide_directory(const char *path, const struct vhost_endpoint_config *config)
{
	char *directory = strdup(path), *slash = directory ? strrchr(directory, '/') : NULL;
	struct stat st;
	int error = 0;

	if (slash)
		*slash = '\0';
	if (slash && slash != directory && stat(directory, &st) < 0 && errno == ENOENT)
		error = listener_make_directory(directory);
	if (error == -ENOENT)
		listener_refuse(
		    config, error, "%s: cannot listen: there is no directory %s", path, directory);
	else if (error)
		listener_refuse(config, error,
		    "%s: cannot listen: there is no directory %s, and it cannot be made: %s", path,
		    directory, error_text(-error));
	free(directory);
	return error;
}

/* Returns a descriptor of the file that was bound, for nothing but its mode and owner. */
static int open_file(struct vhost_listener *l)
{
	/* syscalls: openat fstat newfstatat close */
	int fd = open(l->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int error = fd < 0 ? -errno : 0;
	struct stat st;

	if (!error && fstat(fd, &st) < 0)
		error = -errno;
	/* With another name (hard link) it is not the file that was just made. */
	if (!error && (!S_ISSOCK(st.st_mode) || st.st_nlink != 1))
		error = -EEXIST;
	if (error) {
		if (fd >= 0)
			close(fd);
		return error;
	}
	l->bound = true;
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	return fd;
}

/* Returns a descriptor of the socket's file. */
static int bind_socket(struct vhost_listener *l, bool patient)
{
	struct sockaddr_un address;
	int error = socket_address(l->path, &address);

	if (!error)
		error = listener_clear_path(l->path, patient);
	if (error < 0)
		return error;
	l->replaced = error > 0;
	if (l->replaced)
		listener_log(l->path, "removed a stale socket");
	l->fd = create_socket();
	if (l->fd < 0)
		return l->fd;
	/* syscalls: bind listen chmod fchownat mkdir unlink */
	if (bind(l->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	error = open_file(l);
	/* -EEXIST: another file has taken the place of ours. */
	if (error < 0 && error != -EEXIST)
		unlink(l->path);
	return error;
}

static int set_owner(int file, const char *path, const struct vhost_endpoint_config *config)
{
	const uid_t no_owner = -1, owner = config->owner;
	const gid_t no_group = -1, group = config->group;
	char ids[64];
	int error;

	if ((owner == no_owner && group == no_group) ||
	    fchownat(file, "", owner, group, AT_EMPTY_PATH) == 0)
		return 0;
	error = -errno;
	if (owner == no_owner)
		snprintf(ids, sizeof(ids), "group to %u", group);
	else if (group == no_group)
		snprintf(ids, sizeof(ids), "owner to %u", owner);
	else
		snprintf(ids, sizeof(ids), "owner and group to %u:%u", owner, group);
	return listener_refuse(config, error, "%s: cannot change the socket's %s: %s; %s", path,
	    ids, error_text(-error),
	    owner == no_owner ? "the user that starts the switch must be in that group, or root"
			      : "only root can");
}

const char *socket_error_text(int error)
{
	switch (error) {
	case -EADDRINUSE:
		return "another process is listening there";
	case -EEXIST:
		return "there is a file that is not a socket";
	case -ENAMETOOLONG:
		return "the path is too long for a socket";
	default:
		return error_text(-error);
	}
}

static int cannot_listen(
    const struct vhost_listener *l, const struct vhost_endpoint_config *config, int error)
{
	return listener_refuse(
	    config, error, "%s: cannot listen: %s", l->path, socket_error_text(error));
}

/* This is done before listen(), so that no front-end can connect earlier. */
static int set_rights(
    const struct vhost_listener *l, int file, const struct vhost_endpoint_config *config)
{
	int error = set_owner(file, l->path, config);
	char name[32];

	if (error || config->socket_mode < 0)
		return error;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", file);
	return chmod(name, config->socket_mode) < 0 ? cannot_listen(l, config, -errno) : 0;
}

static int open_here(
    struct vhost_listener *l, const char *path, const struct vhost_endpoint_config *config)
{
	int error, file;

	*l = (struct vhost_listener){.fd = -1, .path = path};
	error = provide_directory(path, config);
	if (error)
		return error;
	file = bind_socket(l, config->patient);
	if (file < 0)
		return cannot_listen(l, config, file);
	error = set_rights(l, file, config);
	close(file);
	if (error)
		return error;
	return listen(l->fd, BACKLOG) < 0 ? cannot_listen(l, config, -errno) : 0;
}

int listener_open(
    struct vhost_listener *l, const char *path, const struct vhost_endpoint_config *config)
{
	struct vhost_endpoint_config here = *config;
	struct endpoint_reason reason;
	int error;

	here.reason = &reason;
	error = open_here(l, path, &here);
	if ((error == -EACCES || error == -EPERM) && helper_running()) {
		listener_close(l);
		return helper_listen(l, path, config);
	}
	return error ? listener_refuse(config, error, "%s", reason.text) : 0;
}

/* The file may be in a directory of another user. */
static void remove_file(const struct vhost_listener *l)
{
	struct stat st;
	int error;

	/* What the helper has made, it removes, and forgets. */
	if (l->by_helper && helper_remove(l->path) != -EPIPE)
		return;
	/* syscalls: lstat newfstatat unlink close */
	error = lstat(l->path, &st) < 0 ? errno : 0;
	if (!error && (st.st_dev != l->dev || st.st_ino != l->ino))
		return; /* another process has taken the path */
	if (!error && unlink(l->path) < 0)
		error = errno;
	if ((error == EACCES || error == EPERM) && helper_running())
		helper_remove(l->path);
}

void listener_close(struct vhost_listener *l)
{
	/* The helper looks whether a process listens, so the socket is closed first. */
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	if (l->bound)
		remove_file(l);
	l->bound = false;
}

void listener_close_for(struct vhost_listener *l, const struct vhost_device *dev)
{
	/* It may be closed late, but refuses connections at once. */
	if (l->fd >= 0 && l->bound)
		vhost_fd_hang_up(dev, l->fd);
	else if (l->fd >= 0)
		vhost_fd_close(dev, l->fd); /* other processes may have it, too */
	l->fd = -1;
	listener_close(l);
}
