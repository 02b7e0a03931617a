/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose kicks wake which worker.
 *
 * The kicks of a queue are in the set of the worker that polls it (worker/idle.h), and in no other.
 * They leave the set before their descriptor may be closed: the front-end has the same file, so the
 * kernel would report them for ever.
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdint.h>

struct vport;

struct kick {
	int fd; /* -1: in no set */
	uint16_t worker;
};

void kicks_init(struct vport *vp);

/*
 * Make it so for all queues of the port as they are to be polled by the next forwarding, which has
 * to be made after that.
 */
void kicks_follow(struct vport *vp);
