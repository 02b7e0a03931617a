/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * Ports come and go (ports.h), and go up and down. The kind of a port is known only to struct
 * switch_port_ops (switch_port.h). Changes reach the workers in one way only:
 * vswitch_commit() makes a new struct port for each port that has changed (switch_port.c), and a
 * new forwarding of all ports that are up. It returns when no worker uses the old forwarding. So
 * objects that are only reachable through the old forwarding may be freed.
 *
 * Changes are collected until the end of the event loop's turn. So all changes of one turn need
 * only one new forwarding. There are exceptions: some changes have to be complete before memory is
 * unmapped, a descriptor is closed or a front-end is answered. Such a change is committed at once,
 * together with all collected changes. (Answers could wait for the end of the turn, too. But then a
 * front-end would wait for the messages of all others.)
 *
 * A ring must have only one reader. While a new forwarding replaces an old one, some workers still
 * use the old one. So a queue must not move to another worker in one step. vswitch_move() publishes
 * two forwardings. In the first one no worker polls the queue. Meanwhile frames wait in the ring.
 *
 * When the switch ends, all ports go down with one change, and the workers stop. After that the
 * forwarding does not change, so the control thread does not wait for workers.
 *
 * Threads: the control thread.
 */
#include "control/vswitch.h"

#include <errno.h>
#include <stdlib.h>

#include <event2/event.h>

#include "base/closer.h"
#include "base/log.h"
#include "base/util.h"
#include "control/bridge.h"
#include "control/leaving.h"
#include "control/switch_port.h"
#include "control/watchdog.h"
#include "datapath/forwarding.h"
#include "vhost/listener.h"
#include "vhost/mapping.h"

/* The whole address table is checked for old entries once in this many seconds. */
#define AGE_TICKS 8

int vswitch_list_polled(const struct vswitch *sw, struct vswitch_polled *ret)
{
	const struct switch_port *sp;
	unsigned n = 0;

	for (unsigned p = 0; (sp = vswitch_next_port(sw, &p));)
		n += sp->n_polled;
	*ret = (struct vswitch_polled){.queue = calloc(n + 1, sizeof(struct queue *))};
	for (unsigned p = 0; ret->queue && (sp = vswitch_next_port(sw, &p));) {
		for (unsigned i = 0; i < sp->n_polled; i++)
			ret->queue[ret->n++] = sp->polled[i];
	}
	return ret->queue ? 0 : -ENOMEM;
}

/* Make a forwarding of the ports that are up and of their queues. NULL: no memory. */
static struct forwarding *make_forwarding(const struct vswitch *sw)
{
	struct port **ports = calloc(sw->n_ports + 1, sizeof(*ports));
	struct forwarding *fwd = NULL;
	struct vswitch_polled polled;

	if (vswitch_list_polled(sw, &polled) == 0 && ports) {
		struct bridge_setup bridge[BRIDGES_MAX];
		struct forwarding_config config = {
		    .n_bridges = bridges_describe(sw, bridge),
		    .bridge = bridge,
		    .n_ports = sw->n_ports,
		    .n_workers = workers_count(sw->workers),
		    .port = ports,
		    .n_queues = polled.n,
		    .queue = polled.queue,
		};

		for (unsigned p = 0; p < sw->n_ports; p++)
			ports[p] = sw->port[p] ? sw->port[p]->port : NULL;
		forwarding_create(&config, &fwd);
	}
	free(polled.queue);
	free(ports);
	return fwd;
}

/* Publish a forwarding, and destroy the old one when no worker uses it. */
static void publish(struct vswitch *sw, struct forwarding *fwd)
{
	sw->forwardings++;
	forwarding_destroy(workers_publish(sw->workers, fwd));
}

void vswitch_changed(struct switch_port *sp)
{
	struct vswitch *sw = sp->sw;

	if (switch_port_gone(sp))
		return; /* workers do not know it any more */
	sp->changed = true;
	if (sw->changed)
		return;
	sw->changed = true;
	/* This runs after all other events that are due in this turn. */
	event_active(sw->publish, EV_TIMEOUT, 0);
}

void vswitch_commit(struct vswitch *sw)
{
	struct forwarding *fwd;
	struct switch_port *sp;

	if (!sw->changed || !sw->workers)
		return;
	sw->changed = false;
	for (unsigned p = 0; (sp = vswitch_next_port(sw, &p));) {
		if (sp->changed)
			switch_port_renew(sp);
	}
	fwd = make_forwarding(sw);
	if (!fwd)
		log_error("out of memory: all ports are down until the next change");
	publish(sw, fwd);
	for (unsigned p = 0; (sp = vswitch_next_port(sw, &p));) {
		bool was_up = sp->changed ? sp->replaced != NULL : switch_port_up(sp);

		sp->changed = false;
		switch_port_settle(sp);
		port_settings_committed(sp);
		if (was_up != switch_port_up(sp) && !switch_port_leaves(sp))
			vswitch_tell(sp, was_up ? PORT_DOWN : PORT_UP);
	}
}

void vswitch_commit_bridges(struct vswitch *sw)
{
	sw->changed = true;
	vswitch_commit(sw);
}

static void on_publish(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	vswitch_commit(arg);
}

/* The worker that will poll the queue asks for kicks only when it goes to sleep. */
static void disable_kicks(const struct queue *q)
{
	q->owner->ops->disable_kicks(q);
}

/*
 * Do frames of these queues' ports wait in the mailboxes of their workers? They would be lost with
 * the queue. A worker sends one frame in each round of the shares, and this waits up to two turns.
 */
static bool mail_waits(const struct vswitch *sw, const struct vswitch_move moves[], unsigned n)
{
	bool waits = true;

	for (unsigned try = 0; waits && try < 3; try++) {
		if (try)
			workers_synchronize(sw->workers);
		waits = false;
		for (unsigned i = 0; i < n; i++) {
			const struct queue *q = moves[i].queue;
			const struct port_id id = {
			    .index = q->owner->index, .generation = q->owner->generation};

			waits |= workers_mail_waits(sw->workers, q->worker, id);
		}
	}
	return waits;
}

/*
 * Move the kick eventfds to the new workers. The old worker gets no more kicks, because it is about
 * to lose the queue. If it keeps the queue after all, epoll reports missed kicks when the eventfd
 * is added again.
 */
static void follow_moved(const struct vswitch_move moves[], unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		kicks_follow(moves[i].queue->owner);
}

static void give(struct queue *q, uint16_t worker)
{
	q->worker = worker;
	q->tenure++;
}

static void tell_moved(const struct vswitch *sw, const struct vswitch_move moves[], unsigned n)
{
	for (unsigned i = 0; i < n && sw->move_listener.fn; i++)
		if (moves[i].from != moves[i].to)
			sw->move_listener.fn(&moves[i], sw->move_listener.arg);
}

int vswitch_move(struct vswitch *sw, struct vswitch_move moves[], unsigned n)
{
	struct forwarding *without, *with;

	/* Commit now, because the move must begin with the forwarding that contains all changes. */
	vswitch_commit(sw);
	if (mail_waits(sw, moves, n))
		return -EAGAIN;
	for (unsigned i = 0; i < n; i++) {
		moves[i].from = moves[i].queue->worker;
		moves[i].queue->worker = WORKER_NONE;
	}
	without = make_forwarding(sw);
	for (unsigned i = 0; i < n; i++)
		give(moves[i].queue, moves[i].to);
	follow_moved(moves, n);
	with = make_forwarding(sw);
	if (!without || !with) {
		for (unsigned i = n; i-- > 0;)
			give(moves[i].queue, moves[i].from);
		follow_moved(moves, n);
		forwarding_destroy(without);
		forwarding_destroy(with);
		return -ENOMEM;
	}
	publish(sw, without);
	/* The old worker may have asked for kicks before it slept. */
	for (unsigned i = 0; i < n; i++)
		disable_kicks(moves[i].queue);
	publish(sw, with);
	tell_moved(sw, moves, n);
	return 0;
}

void vswitch_moves_listen(
    struct vswitch *sw, void (*fn)(const struct vswitch_move *move, void *arg), void *arg)
{
	sw->move_listener = (struct move_listener){.fn = fn, .arg = arg};
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct vswitch *sw = arg;

	(void)fd;
	(void)what;
	bridges_age(sw, AGE_TICKS);
	address_owners_tick(sw);
	leaving_tick(sw);
	log_limit_service(&sw->removed.limit, "ports that were removed");
	listener_log_service();
}

static int events_start(struct vswitch *sw)
{
	const struct timeval second = {.tv_sec = 1};

	sw->tick = event_new(sw->base, -1, EV_PERSIST, on_tick, sw);
	sw->publish = event_new(sw->base, -1, 0, on_publish, sw);
	if (!sw->tick || !sw->publish || event_add(sw->tick, &second) < 0)
		return -ENOMEM;
	return 0;
}

/* Descriptors and mappings of the last ports with this index that are still there. */
static unsigned left_with_index(uint16_t index)
{
	unsigned owner = net_device_closer(index);

	return closer_waiting(owner) + vhost_mapping_count(owner);
}

int vswitch_create(
    struct event_base *base, const struct vswitch_config *config, struct vswitch **ret_sw)
{
	struct vswitch *sw = calloc(1, sizeof(*sw));
	struct workers_config workers = {.idle_sleep = config->idle_sleep,
	    .enter = config->enter_worker,
	    .stuck = watchdog_free_workers,
	    .stuck_arg = sw};
	int err = -ENOMEM;

	if (!sw)
		goto fail;
	sw->base = base;
	sw->port_defaults = config->port_defaults;
	sw->indices.left = left_with_index;
	err = bridges_create(sw,
	    &(struct bridge_config){
		.name = BRIDGE_DEFAULT,
		.fdb_entries = config->fdb_entries,
		.fdb_age_s = config->fdb_age_s,
		.forward_bpdu = config->forward_bpdu,
	    });
	if (err)
		goto fail;
	err = workers_start(&workers, &sw->workers);
	if (err)
		goto fail;
	err = address_owners_create(sw, config->forget_after_s);
	if (!err)
		err = events_start(sw);
	if (!err)
		err = leaving_create(sw);
	if (!err)
		err = watchdog_create(sw, &sw->watchdog);
	if (!err)
		err = scheduler_create(sw, &config->schedule, &sw->scheduler);
	if (err)
		goto fail;
	*ret_sw = sw;
	return 0;
fail:
	log_error("cannot set up the switch: %s", error_text(-err));
	vswitch_destroy(sw);
	return err;
}

/* Stop the workers. After that no worker uses a ring, guest memory or an eventfd. */
static void stop_forwarding(struct vswitch *sw)
{
	if (!sw->workers)
		return;
	forwarding_destroy(workers_publish(sw->workers, NULL));
	workers_stop(sw->workers);
	sw->workers = NULL;
}

void vswitch_destroy(struct vswitch *sw)
{
	struct switch_port *sp;

	if (!sw)
		return;
	stop_forwarding(sw);
	for (unsigned p = 0; (sp = vswitch_next_port(sw, &p));)
		sp->ops->stop(sp);
	for (unsigned p = 0; (sp = vswitch_next_port(sw, &p));) {
		sw->port[sp->index] = NULL;
		sp->ops->destroy(sp);
	}
	watchdog_destroy(sw->watchdog);
	scheduler_destroy(sw->scheduler);
	if (sw->tick)
		event_free(sw->tick);
	address_owners_destroy(sw);
	leaving_destroy(sw);
	if (sw->publish)
		event_free(sw->publish);
	bridges_destroy(sw);
	free(sw);
}

void vswitch_attach(struct switch_port *sp)
{
	struct vswitch *sw = sp->sw;

	sw->port[sp->index] = sp;
	sw->n_ports = MAX(sw->n_ports, sp->index + 1U);
}

struct switch_port *vswitch_next_port(const struct vswitch *sw, unsigned *at)
{
	struct switch_port *sp = NULL;

	while (!sp && *at < sw->n_ports)
		sp = sw->port[(*at)++];
	return sp;
}
