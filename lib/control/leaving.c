/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/leaving.h"

#include <errno.h>
#include <malloc.h>

#include <event2/event.h>

#include "base/clock.h"
#include "control/bridge.h"
#include "control/switch_port.h"
#include "control/vswitch.h"

/*
 * To disconnect a front-end takes long, because the control thread itself unmaps small mappings
 * (vhost/mapping.c). So no step of a removal but the first begins after this time of a turn.
 */
#define TURN_NS UINT64_C(2000000)
/* After so many removals, memory is given back to the kernel. A port takes some 50 KB. */
#define TRIM_PORTS 8
/* How often to look whether addresses are forgotten. */
#define LOOK_US 1000

_Static_assert(sizeof(struct queue_stats) % sizeof(uint64_t) == 0, "counters only");

static void add_counters(struct queue_stats *sum, const struct queue_stats *stats)
{
	const uint64_t *from = (const uint64_t *)(const void *)stats;
	uint64_t *to = (uint64_t *)(void *)sum;

	for (unsigned i = 0; i < sizeof(*sum) / sizeof(*to); i++)
		to[i] += from[i];
}

/* Workers do not use the queues any more. */
static void keep_counters(struct switch_port *sp)
{
	struct removed_ports *removed = &sp->sw->removed;

	removed->n++;
	for (unsigned i = 0; i < SWITCH_PORT_QUEUES; i++) {
		const struct queue *q = sp->ops->queue(sp, i);

		if (q)
			add_counters(i % 2 ? &removed->ingress : &removed->egress, &q->stats);
	}
}

/* No worker knows the port: disconnect its front-end, and forget its addresses. */
static void release(struct switch_port *sp)
{
	sp->stage = PORT_LEAVES_ADDRESSES;
	keep_counters(sp);
	sp->ops->stop(sp);
	address_owner_remove(sp);
}

static void finish(struct switch_port *sp)
{
	struct vswitch *sw = sp->sw;
	void (*removed)(void *arg) = sp->removed;
	void *arg = sp->removed_arg;

	sw->port[sp->index] = NULL;
	sw->n_leaving--;
	sw->n_untrimmed++;
	sp->ops->destroy(sp);
	if (removed)
		removed(arg);
}

static void look_again(struct vswitch *sw, bool soon)
{
	const struct timeval wait = {.tv_usec = soon ? 0 : LOOK_US};

	event_add(sw->leave, &wait);
}

/* Do the next step of the port's removal, unless it has to wait. */
static void go_on(struct switch_port *sp)
{
	switch (sp->stage) {
	case PORT_STAYS:
		break;
	case PORT_LEAVES_WORKERS:
		/* If it changed since the commit, it has just begun to leave. */
		if (!sp->changed)
			release(sp);
		break;
	case PORT_LEAVES_ADDRESSES:
		if (!bridges_flush_pending(sp->sw, sp->index))
			finish(sp);
		break;
	}
}

static void on_leave(evutil_socket_t fd, short what, void *arg)
{
	struct vswitch *sw = arg;
	struct switch_port *sp;
	bool late = false;
	uint64_t until;

	(void)fd;
	(void)what;
	/* The end of the turn has done it, in most cases. */
	vswitch_commit(sw);
	/* The commit may have waited for a worker: that is no step. */
	until = clock_ns() + TURN_NS;
	for (unsigned p = 0; !late && (sp = vswitch_next_port(sw, &p));) {
		if (!switch_port_leaves(sp))
			continue; /* it stays */
		go_on(sp);
		late = (uint64_t)clock_ns() >= until;
	}
	if (sw->n_leaving)
		look_again(sw, late);
}

void leaving_begin(struct switch_port *sp)
{
	struct vswitch *sw = sp->sw;

	sp->ops->leave(sp);
	port_settings_leave(sp);
	vswitch_changed(sp);
	sp->stage = PORT_LEAVES_WORKERS;
	if (sw->n_leaving++ == 0)
		look_again(sw, true);
}

/* Not at once, because what a port had is freed when workers have seen that it is gone. */
void leaving_tick(struct vswitch *sw)
{
	if (sw->n_untrimmed < TRIM_PORTS)
		return;
	sw->n_untrimmed = 0;
	malloc_trim(0); /* small blocks may lie behind what is free */
}

int leaving_create(struct vswitch *sw)
{
	sw->leave = evtimer_new(sw->base, on_leave, sw);
	return sw->leave ? 0 : -ENOMEM;
}

void leaving_destroy(struct vswitch *sw)
{
	if (sw->leave)
		event_free(sw->leave);
	sw->leave = NULL;
}
