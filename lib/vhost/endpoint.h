/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where front-ends come from: a listening socket (server), a socket we connect to again and
 * again (client), or a descriptor we were started with. One endpoint serves one device and one
 * front-end at a time; a second one waits in the listen backlog until the first has gone. That is
 * said in the log; a first that has said nothing for five seconds must make room for it.
 *
 * Front-ends share the control thread: those that have had much of its time (allowance.h) stand in
 * line, and one of them is served each time that the loop has looked for all others.
 *
 * Threads: the control thread only. Nothing blocks.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "vhost/device.h"

struct event_base;
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
	/* Server: applied to the socket file before anyone can connect. -1: leave as is. */
	int socket_mode; /* permission bits */
	uid_t owner;
	gid_t group;
	/* Told after a front-end connected and after it has gone (device already reset). May be
	 * NULL. */
	void (*connection_changed)(struct vhost_device *dev, bool connected);
};

/*
 * Start serving the device on base. Errors are logged in one line and returned:
 * -EADDRINUSE: somebody listens at path; -EEXIST: path is not a socket; -ENAMETOOLONG;
 * -EINVAL; else what the system said. A stale socket file is replaced, a missing directory
 * right below /run is made. The umask is not changed.
 */
int vhost_endpoint_create(struct event_base *base, const struct vhost_endpoint_config *config,
    struct vhost_device *dev, struct vhost_endpoint **ret_endpoint);

/* Close, reset the device, remove the socket file if it is still ours. */
void vhost_endpoint_destroy(struct vhost_endpoint *endpoint);

bool vhost_endpoint_connected(const struct vhost_endpoint *endpoint);

struct vhost_endpoint_peer {
	pid_t pid;   /* of who made the other end of the connection; 0: not known */
	uint64_t ms; /* since it connected */
};

/* False: nobody is connected. */
bool vhost_endpoint_peer(
    const struct vhost_endpoint *endpoint, struct vhost_endpoint_peer *ret_peer);

/* Drop the connection, if there is one, and wait for the next. The caller has said why. */
void vhost_endpoint_drop(struct vhost_endpoint *endpoint);

/* The same, and let nobody connect for so long. */
void vhost_endpoint_drop_for(struct vhost_endpoint *endpoint, unsigned ms);
