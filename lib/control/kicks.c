/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/kicks.h"

#include "control/vswitch.h"

void kicks_init(struct vport *vp)
{
	for (unsigned i = 0; i < PORT_QUEUES_MAX; i++)
		vp->kick[i].fd = -1;
}

/* The eventfd to be watched; -1: no worker polls the queue, or its driver does not use one. */
static int wanted_fd(const struct vport *vp, unsigned index)
{
	const struct vhost_vring *v = vp->device.vring[index];

	return vp->port && vp->in[index] && !v->doorbell ? v->kick_fd : -1;
}

static void follow(struct vport *vp, struct queue *q)
{
	struct kick *kick = &vp->kick[q->index / 2];
	int fd = wanted_fd(vp, q->index);

	if (kick->fd == fd && (fd < 0 || kick->worker == q->worker))
		return;
	if (kick->fd >= 0)
		workers_unwatch(vp->sw->workers, kick->worker, kick->fd);
	if (fd >= 0 && workers_watch(vp->sw->workers, q->worker, fd, poll_key(q)) < 0)
		fd = -1; /* the worker naps instead of sleeping */
	*kick = (struct kick){.fd = fd, .worker = q->worker};
	q->kicks = fd >= 0;
}

void kicks_follow(struct vport *vp)
{
	for (unsigned i = 1; i < VHOST_RINGS_MAX; i += 2)
		if (vp->queue[i])
			follow(vp, vp->queue[i]);
}
