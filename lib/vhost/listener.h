/* SPDX-License-Identifier: BSD-3-Clause */
/* A listening socket at a path, and its file. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct sockaddr_un;
struct vhost_device;
struct vhost_endpoint_config;

struct vhost_listener {
	int fd; /* non-blocking; -1: there is none */
	const char *path;
	bool by_helper; /* made by the helper */
	bool replaced;  /* a stale socket */
	bool bound;     /* to the file with this device and inode */
	dev_t dev;
	ino_t ino;
};

/*
 * Listen at path, which must outlive the listener, with the mode, owner and group of config. A
 * missing directory directly in /run is made. Errors are told as config says, and returned:
 * -EADDRINUSE: another process listens there; -EEXIST: there is a file that is not a socket;
 * -ENAMETOOLONG; -EINVAL; or the errno of a system call. Close it in any case.
 */
int listener_open(
    struct vhost_listener *l, const char *path, const struct vhost_endpoint_config *config);

/*
 * Make path free for a socket. If there is a file, it is removed if it is a socket on which no
 * process listens. 0: there was none; 1: it was removed; -EADDRINUSE: one listens; -EEXIST: it is
 * no socket; or another errno. patient: if the process that listens is ending, wait for its end.
 */
int listener_clear_path(const char *path, bool patient);

/* Close the socket. Remove the file if it is still the file that listener_open() made. */
void listener_close(struct vhost_listener *l);

/*
 * The same without waiting, for the listener of a device. Connections that were not accepted are
 * closed with the socket, and so are the descriptors in their messages, which may take any time.
 */
void listener_close_for(struct vhost_listener *l, const struct vhost_device *dev);

/*
 * A directory is made only in /run, because /run is empty after each boot. Elsewhere the path is
 * more likely to be wrong: -ENOENT.
 */
int listener_make_directory(const char *directory);

/*
 * A connected socket, or a negative errno. Connecting to a local socket does not wait. If the
 * helper has to do it, it takes up to HELPER_MS (helper.h).
 */
int socket_connect(const char *path);

/* The process that made the other end of a connection; 0: not known. */
pid_t socket_peer(int fd);

/* Make the address of a socket at path. -EINVAL: an empty path; -ENAMETOOLONG. */
int socket_address(const char *path, struct sockaddr_un *ret_address);

/*
 * Log a line about the files of a port. All such lines have one limit, because each port that comes
 * and goes can cause some. listener_log_service() is to be called about once per second.
 */
void listener_log(const char *path, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void listener_log_service(void);

/* Tell, as config says, why an endpoint cannot start. Returns error. */
int listener_refuse(const struct vhost_endpoint_config *config, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A text for an error of these functions. */
const char *socket_error_text(int error);
