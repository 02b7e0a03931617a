/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A line of work for the control thread that must not keep other work waiting. One piece of it is
 * done, first come, first served, each time that the event loop has looked at all its events.
 *
 * Threads: the control thread, which has one event loop.
 */
#pragma once

#include <stdbool.h>
#include <sys/queue.h>

struct event_base;

/* A place in the line. Zeroed, with take and arg set: it does not wait. */
struct vhost_turn {
	TAILQ_ENTRY(vhost_turn) next;
	bool waits;
	void (*take)(void *arg); /* may wait again */
	void *arg;
};

/* Each user of the line opens it once and closes it once, also after -ENOMEM. */
int vhost_turns_open(struct event_base *base);
void vhost_turns_close(void);

/* Have take(arg) called once, soon. Nothing if it waits already. */
void vhost_turn_wait(struct vhost_turn *turn);

/* Leave the line: take() is not called. */
void vhost_turn_leave(struct vhost_turn *turn);
