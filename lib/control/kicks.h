/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decides which worker the kicks of a queue wake up.
 *
 * The kick eventfd of a queue is in the epoll set of the worker that polls the queue
 * (worker/idle.h), and in no other set. It is removed from the set before its descriptor may be
 * closed. Otherwise the kernel would go on reporting its kicks, because the front-end has the same
 * file.
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdint.h>

struct switch_port;

struct kick {
	int fd; /* the kick eventfd; -1: it is in no set */
	uint16_t worker;
};

void kicks_init(struct switch_port *sp);

/*
 * Put the kick eventfds of the port's queues into the sets of the workers that will poll the queues
 * in the next forwarding. Call this before that forwarding is made.
 */
void kicks_follow(struct switch_port *sp);
