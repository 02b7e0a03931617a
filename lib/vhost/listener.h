/* SPDX-License-Identifier: BSD-3-Clause */
/* A listening socket at a path, and its file. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct sockaddr_un;
struct vhost_endpoint_config;

struct vhost_listener {
	int fd; /* non-blocking; -1: there is none */
	const char *path;
	bool bound; /* to the file named by the next two */
	dev_t dev;
	ino_t ino;
};

/*
 * Listen at path, which must outlive the listener, with the mode, owner and group of config.
 * A missing directory right below /run is made. Errors are logged in one line and returned:
 * -EADDRINUSE: somebody listens there; -EEXIST: there is a file that is no socket; -ENAMETOOLONG;
 * -EINVAL; else what the system said. Whatever comes back, close it.
 */
int listener_open(
    struct vhost_listener *l, const char *path, const struct vhost_endpoint_config *config);

/* Close it, and remove the file if it is still ours. */
void listener_close(struct vhost_listener *l);

/* A connected socket or a negative errno. On a local socket this never takes time. */
int socket_connect(const char *path);

/* sun_path of a path that fits. -EINVAL, -ENAMETOOLONG. */
int socket_address(const char *path, struct sockaddr_un *ret_address);

/* What keeps a socket from being made, in words. */
const char *socket_error_text(int error);
