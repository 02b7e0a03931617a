/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A queue of work for the control thread that must not keep other work waiting. Each time after the
 * event loop has looked at all its events, one item of the queue is done: the item that is due
 * first.
 *
 * Work outside the queue is done at once. If this takes more than VHOST_WORK_NS, the loop is late:
 * then more work should be put into the queue, until the loop has looked at all its events again.
 *
 * Threads: the control thread, which has one event loop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#define VHOST_WORK_NS UINT64_C(2000000)

struct event_base;

/* An item of the queue. Zeroed, with take and arg set: it is not in the queue. */
struct vhost_work {
	TAILQ_ENTRY(vhost_work) next;
	bool waits;
	uint64_t due_ns;
	void (*take)(void *arg); /* may put it into the queue again */
	void *arg;
};

/* Each user of the queue opens it once and closes it once, also after -ENOMEM. */
int vhost_work_open(struct event_base *base);
void vhost_work_close(void);

/*
 * Put an item into the queue: take(arg) is called once, soon. Items that are due earlier come
 * first; among items of the same due time, the item that has waited longer. Nothing happens if the
 * item is in the queue already.
 */
void vhost_work_add(struct vhost_work *work, uint64_t due_ns);

/* Remove it from the queue: take() is not called. */
void vhost_work_remove(struct vhost_work *work);

/* Count time that the control thread spent on work, in the queue or not. */
void vhost_work_spend(uint64_t ns);

/* Did it spend more than VHOST_WORK_NS since the loop last looked at its events? */
bool vhost_work_late(void);
