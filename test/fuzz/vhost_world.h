/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device of no particular kind on lib/vhost, with the fuzzer as its front-end.
 *
 * The device empties its rings whenever it may use them. It checks what lib/vhost guarantees to a
 * device; vhost_world_close() checks that nothing leaks.
 */
#pragma once

#include "input.h"
#include "vhost/device.h"
#include "vhost/session.h"
#include "virtio/vhost_user.h"

#define WORLD_RINGS  4
#define WORLD_CONFIG 40

/* Descriptors that a front-end may send; the first are memory files. */
enum world_fd {
	WORLD_MEMORY_A, /* WORLD_MEMORY_SIZE bytes */
	WORLD_MEMORY_B,
	WORLD_MEMORY_SHORT, /* one page */
	WORLD_MEMORY_EMPTY,
	WORLD_EVENT,
	WORLD_PIPE,
	WORLD_SOCKET,
	WORLD_NULL, /* /dev/null */
	WORLD_FDS,
};

#define WORLD_MEMORY_SIZE 65536

struct vhost_world {
	struct vhost_device *dev;
	struct vhost_session *session;
	int peer;
	bool running;
	bool uses[WORLD_RINGS];
	uint8_t *config; /* the configuration space, WORLD_CONFIG bytes */
	int fd[WORLD_FDS];
	uint8_t *memory[2]; /* the front-end's mappings of the first two files */
};

void vhost_world_open(struct vhost_world *w);
void vhost_world_close(struct vhost_world *w);

/* Drop the connection, if there is one, and make a new one. */
void vhost_world_reconnect(struct vhost_world *w);

/* Send one message with copies of the descriptors that fds names; lost if the socket is full. */
void vhost_world_send(struct vhost_world *w, uint32_t request, uint32_t flags, const void *payload,
    uint32_t size, const enum world_fd fds[], unsigned n_fds);

/*
 * Let the session handle all messages, and check the replies. If the connection was dropped, make a
 * new one.
 */
void vhost_world_run(struct vhost_world *w);

/* Empty all rings that may be used now. */
void vhost_world_poll(struct vhost_world *w);
