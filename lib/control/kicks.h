/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which queues' kicks wake which worker.
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
 * Put the kicks of the port's queues into the sets of the workers that are to poll them in the next
 * forwarding. Call it before that forwarding is made.
 */
void kicks_follow(struct vport *vp);
