/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/kicks.h"

#include "control/vswitch.h"

void kicks_init(struct switch_port *sp)
{
	for (unsigned i = 0; i < PORT_QUEUES_MAX; i++)
		sp->kick[i].fd = -1;
}

/*
 * The eventfd that must be in a set. -1: none, because no worker polls the queue, or because its
 * driver kicks without an eventfd.
 */
static int wanted_fd(const struct switch_port *sp, const struct queue *q)
{
	return sp->port && sp->ops->in_use(sp, q->index) ? sp->ops->kick_fd(sp, q) : -1;
}

static void follow(struct switch_port *sp, struct queue *q)
{
	struct kick *kick = &sp->kick[q->index / 2];
	int fd = wanted_fd(sp, q);

	if (kick->fd == fd && (fd < 0 || kick->worker == q->worker))
		return;
	if (kick->fd >= 0)
		workers_unwatch(sp->sw->workers, kick->worker, kick->fd);
	if (fd >= 0 && workers_watch(sp->sw->workers, q->worker, fd, poll_key(q)) < 0)
		fd = -1; /* the worker naps instead of sleeping */
	*kick = (struct kick){.fd = fd, .worker = q->worker};
	q->kicks = fd >= 0;
}

void kicks_follow(struct switch_port *sp)
{
	for (unsigned i = 1; i < SWITCH_PORT_QUEUES; i += 2) {
		struct queue *q = sp->ops->queue(sp, i);

		if (q)
			follow(sp, q);
	}
}
