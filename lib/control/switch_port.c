/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/switch_port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log_limit.h"
#include "control/vswitch.h"

int switch_port_init(
    struct switch_port *sp, const struct switch_port_ops *ops, struct vswitch *sw, const char *name)
{
	struct port_id id;
	int err = port_index_take(&sw->indices, &id);

	if (err)
		return err;
	*sp = (struct switch_port){.ops = ops,
	    .sw = sw,
	    .index = id.index,
	    .generation = id.generation,
	    .name = strdup(name)};
	scheduler_forget(sp);
	kicks_init(sp);
	return sp->name ? 0 : -ENOMEM;
}

void switch_port_cleanup(struct switch_port *sp)
{
	if (sp->sw)
		port_settings_drop(sp);
	if (sp->sw)
		port_index_give_back(&sp->sw->indices, sp->index);
	free(sp->port);
	free(sp->name);
}

static bool any_in_use(const struct switch_port *sp)
{
	for (unsigned i = 0; i < SWITCH_PORT_QUEUES; i++) {
		if (sp->ops->in_use(sp, i))
			return true;
	}
	return false;
}

/* A port and its policy, in one allocation. */
struct described {
	struct port port;
	struct port_policy policy CACHE_ALIGNED;
};

_Static_assert(offsetof(struct described, port) == 0, "free() gets the port");

static struct port *port_create(struct switch_port *sp)
{
	struct described *d = aligned_alloc(CACHE_LINE, sizeof(*d));

	if (!d) {
		log_limited(sp->limit, LOG_ERROR, sp->name,
		    "out of memory: the port is down until its next change");
		return NULL;
	}
	d->port = (struct port){
	    .index = sp->index,
	    .bridge = sp->bridge->number,
	    .generation = sp->generation,
	    .policy = &d->policy,
	};
	port_settings_policy(sp, &d->policy);
	return &d->port;
}

void switch_port_renew(struct switch_port *sp)
{
	sp->replaced = sp->port;
	sp->n_polled = 0;
	sp->port = any_in_use(sp) ? port_create(sp) : NULL;
	sp->ops->describe(sp, sp->port);
	for (unsigned i = 0; sp->port && i < SWITCH_PORT_QUEUES; i++) {
		struct queue *q = sp->ops->queue(sp, i);

		if (q)
			__atomic_store_n(&q->port, sp->port, __ATOMIC_RELEASE);
		if (i % 2 && sp->ops->in_use(sp, i))
			sp->polled[sp->n_polled++] = q;
	}
	scheduler_place(sp->sw->scheduler, sp);
	kicks_follow(sp);
}

void switch_port_settle(struct switch_port *sp)
{
	free(sp->replaced);
	sp->replaced = NULL;
}
