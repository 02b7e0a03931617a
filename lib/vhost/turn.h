/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A queue of work for the control thread that must not keep other work waiting. Each time after the
 * event loop has looked at all its events, the first item of the queue is done.
 *
 * Threads: the control thread, which has one event loop.
 */
#pragma once

#include <stdbool.h>
#include <sys/queue.h>

struct event_base;

/* An item of the queue. Zeroed, with take and arg set: it is not in the queue. */
struct vhost_turn {
	TAILQ_ENTRY(vhost_turn) next;
	bool waits;
	void (*take)(void *arg); /* may put it into the queue again */
	void *arg;
};

/* Each user of the queue opens it once and closes it once, also after -ENOMEM. */
int vhost_turns_open(struct event_base *base);
void vhost_turns_close(void);

/* Put it into the queue: take(arg) is called once, soon. Nothing happens if it is in it already. */
void vhost_turn_wait(struct vhost_turn *turn);

/* Remove it from the queue: take() is not called. */
void vhost_turn_leave(struct vhost_turn *turn);
