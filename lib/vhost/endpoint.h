/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Gets the front-ends of a device: from a listening socket (server), from a socket to which the
 * switch connects again and again (client), or from a descriptor that the switch was started with.
 * An endpoint serves one device, and one front-end at a time. A second front-end waits in the
 * listen backlog until the first front-end has disconnected. The waiting is logged. If the first
 * front-end has sent no message for five seconds, it is disconnected, so that the second one can be
 * served.
 *
 * Front-ends share the control thread. Front-ends that used much of its time (allowance.h) wait in
 * a queue. The event loop serves all other front-ends first, then one of the queue, and so on.
 *
 * Threads: the control thread only. Nothing blocks, but a socket for which the helper is needed
 * takes up to HELPER_MS (helper.h), and file names may lead into a file system that hangs.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "vhost/device.h"

struct event_base;
struct stat;
struct vhost_endpoint;

enum vhost_endpoint_mode {
	VHOST_ENDPOINT_SERVER, /* bind and listen at path */
	VHOST_ENDPOINT_CLIENT, /* connect to path; retry with back-off, 100 ms doubling to 2 s */
	VHOST_ENDPOINT_FD,     /* fd is a connected (or, if listening, a listening) socket */
};

struct vhost_endpoint_config {
	enum vhost_endpoint_mode mode;
	const char *path; /* copied; for FD a name for log lines */
	int fd;           /* FD mode: owned by the endpoint from create on */
	/* Server: applied to the socket file before front-ends can connect. -1: leave as is. */
	int socket_mode; /* permission bits */
	uid_t owner;
	gid_t group;
	/*
	 * Server: if a process listens at path, wait up to some seconds for its end. After a
	 * restart it may be the switch before, whose sockets are being closed.
	 */
	bool patient;
	/* Where the reason of an error is written; NULL: it is logged. */
	struct endpoint_reason {
		char text[256];
	} * reason;
	/*
	 * Called with true after a front-end has connected. Called with false after it has
	 * disconnected and the device has been reset. May be NULL.
	 */
	void (*connection_changed)(struct vhost_device *dev, bool connected);
};

/*
 * Begin to serve the device. Its events are on base. Errors are told in one line, see `reason`, and
 * returned:
 * -EADDRINUSE: another process listens at path; -EEXIST: path is not a socket; -ENAMETOOLONG;
 * -EINVAL; or the errno of a system call. A stale socket file is replaced. A missing directory
 * directly in /run is made. The umask is not changed.
 */
int vhost_endpoint_create(struct event_base *base, const struct vhost_endpoint_config *config,
    struct vhost_device *dev, struct vhost_endpoint **ret_endpoint);

/* Close, reset the device, remove the socket file if it is still ours. */
void vhost_endpoint_destroy(struct vhost_endpoint *endpoint);

/*
 * Serve nothing any more: the path is free, the connected front-end's messages are not read, and no
 * front-end can connect. What the device has stays as it is until the endpoint is destroyed, which
 * is all that may be done with it now.
 */
void vhost_endpoint_halt(struct vhost_endpoint *endpoint);

/* Is this file the socket on which it listens? Paths may differ. */
bool vhost_endpoint_is(const struct vhost_endpoint *endpoint, const struct stat *file);

bool vhost_endpoint_connected(const struct vhost_endpoint *endpoint);

struct vhost_endpoint_peer {
	pid_t pid;   /* of the process that made the connection; 0: not known */
	uint64_t ms; /* since the front-end connected */
};

/* False: no front-end is connected. */
bool vhost_endpoint_peer(
    const struct vhost_endpoint *endpoint, struct vhost_endpoint_peer *ret_peer);

/*
 * What the endpoint waits for, and since when, in words, such as "connected; waiting for
 * SET_MEM_TABLE for 12 s". Returns text.
 */
const char *vhost_endpoint_state(const struct vhost_endpoint *endpoint, char *text, size_t size);

/* Drop the connection, if there is one, and wait for the next. The caller logs why. */
void vhost_endpoint_drop(struct vhost_endpoint *endpoint);

/* The same, and let no front-end connect for so many ms. */
void vhost_endpoint_drop_for(struct vhost_endpoint *endpoint, unsigned ms);
