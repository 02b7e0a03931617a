/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/work_queue.h"

#include <errno.h>
#include <stddef.h>

#include <event2/event.h>

static TAILQ_HEAD(, vhost_work) line = TAILQ_HEAD_INITIALIZER(line);
static struct event *next_work;
static unsigned users;
static bool scheduled;
static uint64_t spent_ns; /* work since the event loop last polled its events */

/* A timer of 0 is due after the event loop has polled its descriptors once more. */
static void schedule(void)
{
	const struct timeval at_once = {0};

	if (!scheduled && next_work)
		scheduled = event_add(next_work, &at_once) == 0;
}

static struct vhost_work *find_due(void)
{
	struct vhost_work *work, *first = TAILQ_FIRST(&line);

	for (work = first; work; work = TAILQ_NEXT(work, next)) {
		if (work->due_ns < first->due_ns)
			first = work;
	}
	return first;
}

static void on_work(evutil_socket_t fd, short what, void *arg)
{
	struct vhost_work *work = find_due();

	(void)fd;
	(void)what;
	(void)arg;
	scheduled = false;
	spent_ns = 0;
	if (!work)
		return;
	vhost_work_remove(work);
	if (!TAILQ_EMPTY(&line))
		schedule();
	work->take(work->arg);
}

int vhost_work_open(struct event_base *base)
{
	if (users++ == 0)
		next_work = evtimer_new(base, on_work, NULL);
	return next_work ? 0 : -ENOMEM;
}

void vhost_work_close(void)
{
	if (--users)
		return;
	if (next_work)
		event_free(next_work);
	next_work = NULL;
	scheduled = false;
	spent_ns = 0;
}

void vhost_work_add(struct vhost_work *work, uint64_t due_ns)
{
	if (work->waits)
		return;
	work->waits = true;
	work->due_ns = due_ns;
	TAILQ_INSERT_TAIL(&line, work, next);
	schedule();
}

void vhost_work_remove(struct vhost_work *work)
{
	if (work->waits)
		TAILQ_REMOVE(&line, work, next);
	work->waits = false;
}

void vhost_work_spend(uint64_t ns)
{
	spent_ns += ns;
	schedule();
}

bool vhost_work_late(void)
{
	return spent_ns > VHOST_WORK_NS;
}
