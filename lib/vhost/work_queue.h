/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A queue of work for the control thread. Work in the queue must not delay other work. So after the
 * event loop has handled all its events, it does one item of the queue: the item that is due first.
 * Then it polls its events again.
 *
 * Other work is done at once, when its event comes. If such work took more than VHOST_WORK_NS since
 * the last poll, the event loop is late. Then further work should be put into the queue, until the
 * loop has polled its events again.
 *
 * Threads: the control thread, which has one event loop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#define VHOST_WORK_NS UINT64_C(2000000)

struct event_base;

/* An item of the queue. Before its first use it must be zero, except take and arg. */
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
 * Put an item into the queue: take(arg) will be called once, soon. Items that are due earlier come
 * first. Among items of the same due time, the item that has waited longest comes first. Nothing
 * happens if the item is already in the queue.
 */
void vhost_work_add(struct vhost_work *work, uint64_t due_ns);

/* Remove it from the queue: take() is not called. */
void vhost_work_remove(struct vhost_work *work);

/* Count time that the control thread spent on work, in the queue or not. */
void vhost_work_spend(uint64_t ns);

/* Did the control thread spend more than VHOST_WORK_NS on work since the last poll? */
bool vhost_work_late(void);
