/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * A port is made once and lives as long as the switch; front-ends connect and disconnect. Their
 * changes reach the workers in one way only: vswitch_commit() makes a new struct port for each port
 * that has changed (vport.c), and a new forwarding of all ports that are up. It returns when no
 * worker uses the old forwarding, so what is only reachable through the old one may be freed.
 *
 * Changes are collected. If a change has to be complete before something else happens, it is
 * committed at once. All other changes wait for the end of the event loop's turn, so that all
 * changes of one turn cost the workers one new forwarding.
 *
 * A ring has one reader. While a new forwarding replaces an old one, some workers still use the old
 * one. So a queue must not move from worker to worker in one step: vswitch_move() publishes a
 * forwarding in between in which no worker polls the queue. Meanwhile frames wait in the ring.
 *
 * At the end all ports go down with one change, and the workers stop. After that no forwarding
 * changes, so nothing waits for workers.
 *
 * Threads: the control thread.
 */
#include "control/vswitch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include <rte_cycles.h>

#include "base/log.h"
#include "base/util.h"
#include "bridge/forward.h"
#include "control/net_device.h"
#include "control/watchdog.h"
#include "datapath/forwarding.h"
#include "vhost/journal.h"

/* The whole address table is checked for old entries once in this many seconds. */
#define AGE_TICKS 8

int vswitch_list_polled(const struct vswitch *sw, struct vswitch_polled *ret)
{
	unsigned n = 0;

	for (unsigned p = 0; p < sw->n_ports; p++)
		n += sw->vport[p]->n_polled;
	*ret = (struct vswitch_polled){.queue = calloc(n + 1, sizeof(struct queue *))};
	for (unsigned p = 0; ret->queue && p < sw->n_ports; p++) {
		const struct vport *vp = sw->vport[p];

		for (unsigned i = 0; i < vp->n_polled; i++)
			ret->queue[ret->n++] = vp->polled[i];
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
		struct forwarding_config config = {
		    .n_ports = sw->n_ports,
		    .n_workers = workers_count(sw->workers),
		    .port = ports,
		    .n_queues = polled.n,
		    .queue = polled.queue,
		};

		for (unsigned p = 0; p < sw->n_ports; p++)
			ports[p] = sw->vport[p]->port;
		forwarding_create(&config, &fwd);
	}
	free(polled.queue);
	free(ports);
	return fwd;
}

/* Publish a forwarding, and destroy the old one when no worker uses it. */
static void publish(struct vswitch *sw, struct forwarding *fwd)
{
	sw->snapshots++;
	forwarding_destroy(workers_publish(sw->workers, fwd));
}

void vswitch_changed(struct vport *vp)
{
	struct vswitch *sw = vp->sw;

	vp->changed = true;
	if (sw->changed)
		return;
	sw->changed = true;
	/* This runs after all other events that are due in this turn. */
	event_active(sw->publish, EV_TIMEOUT, 0);
}

void vswitch_commit(struct vswitch *sw)
{
	struct forwarding *fwd;

	if (!sw->changed || !sw->workers)
		return;
	sw->changed = false;
	for (unsigned p = 0; p < sw->n_ports; p++) {
		if (sw->vport[p]->changed)
			vport_renew(sw->vport[p]);
	}
	fwd = make_forwarding(sw);
	if (!fwd)
		log_error("out of memory: all ports are down until the next change");
	publish(sw, fwd);
	for (unsigned p = 0; p < sw->n_ports; p++) {
		sw->vport[p]->changed = false;
		vport_settle(sw->vport[p]);
	}
}

static void on_publish(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	vswitch_commit(arg);
}

void vswitch_disable_kicks(const struct queue *q)
{
	/* A missing page must not keep the control thread waiting. */
	if (!vport_of(q)->device.postcopy.registered)
		vring_kick_disable(q->ring);
}

/*
 * Do frames wait in the mailboxes of these workers? They would be lost with the queue. A worker
 * empties its mailbox in its next turn, so this waits up to two turns.
 */
static bool mail_waits(const struct vswitch *sw, const struct vswitch_move moves[], unsigned n)
{
	bool waits = true;

	for (unsigned try = 0; waits && try < 3; try++) {
		if (try)
			workers_synchronize(sw->workers);
		waits = false;
		for (unsigned i = 0; i < n; i++)
			waits |= workers_mail_waits(sw->workers, moves[i].queue->worker);
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
		kicks_follow(vport_of(moves[i].queue));
}

static void give(struct queue *q, uint16_t worker)
{
	q->worker = worker;
	q->tenure++;
}

int vswitch_move(struct vswitch *sw, struct vswitch_move moves[], unsigned n)
{
	struct forwarding *without, *with;

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
	/* The old worker may have asked for kicks, to sleep. */
	for (unsigned i = 0; i < n; i++)
		vswitch_disable_kicks(moves[i].queue);
	publish(sw, with);
	return 0;
}

uint32_t vswitch_clock(void)
{
	return rte_rdtsc() / rte_get_tsc_hz();
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct vswitch *sw = arg;

	(void)fd;
	(void)what;
	fdb_age_some(sw->fdb, vswitch_clock(), fdb_buckets(sw->fdb) / AGE_TICKS + 1);
	tenants_tick(sw);
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
	sw->features = config->features;
	sw->iommu = config->iommu;
	sw->postcopy = config->postcopy;
	sw->host_notifier = config->host_notifier;
	sw->inband = config->inband;
	sw->queue_pairs = config->queue_pairs;
	sw->memory_any = config->memory_any;
	sw->record_events = config->record_events;
	sw->fdb = fdb_create(config->fdb_entries, config->fdb_age_s);
	if (!sw->fdb)
		goto fail;
	if (config->forward_bpdu)
		forward_link_local_too(sw->fdb);
	workers.fdb = sw->fdb;
	err = workers_start(&workers, &sw->workers);
	if (err)
		goto fail;
	err = tenants_create(sw, config->forget_after_s);
	if (!err)
		err = events_start(sw);
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
	if (!sw)
		return;
	stop_forwarding(sw);
	for (unsigned p = 0; p < sw->n_ports; p++) {
		vhost_endpoint_destroy(sw->vport[p]->endpoint);
		sw->vport[p]->endpoint = NULL;
	}
	for (unsigned p = 0; p < sw->n_ports; p++)
		vport_destroy(sw->vport[p]);
	watchdog_destroy(sw->watchdog);
	scheduler_destroy(sw->scheduler);
	if (sw->tick)
		event_free(sw->tick);
	tenants_destroy(sw);
	if (sw->publish)
		event_free(sw->publish);
	fdb_destroy(sw->fdb);
	free(sw);
}

/* The journal is beside the socket, so that the next process that serves the socket finds it. */
static int journal_open(struct vport *vp, const struct vhost_endpoint_config *endpoint)
{
	char *path = NULL;
	int err;

	if (endpoint->mode != VHOST_ENDPOINT_FD && asprintf(&path, "%s.rings", endpoint->path) < 0)
		return -ENOMEM;
	err = vhost_journal_open(&vp->device, path);
	free(path);
	return err;
}

static void connection_changed(struct vhost_device *dev, bool connected)
{
	struct vport *vp = dev->opaque;

	vp->unused_looks = 0;
	if (connected) {
		tenant_arrived(dev->opaque);
		return;
	}
	tenant_left(dev->opaque);
	net_control_forget(dev->opaque);
	scheduler_forget(dev->opaque);
}

int vswitch_add_port(struct vswitch *sw, const struct vhost_endpoint_config *endpoint)
{
	struct vhost_endpoint_config config = *endpoint;
	struct vport *vp;
	int err;

	if (sw->n_ports == PORTS_MAX) {
		log_error("%s: more than %u ports", endpoint->path, PORTS_MAX);
		return -ENOSPC;
	}
	vp = aligned_alloc(CACHE_LINE, sizeof(*vp));
	if (!vp)
		return -ENOMEM;
	memset(vp, 0, sizeof(*vp));
	vp->sw = sw;
	vp->index = sw->n_ports;
	vp->device.withheld = ~sw->features;
	vp->device.offer_iommu = sw->iommu;
	vp->device.offer_postcopy = sw->postcopy;
	vp->device.offer_doorbells = sw->host_notifier;
	vp->device.offer_inband = sw->inband;
	vp->device.memory_any = sw->memory_any;
	vp->device.record_events = sw->record_events;
	vp->device.owner = 1 + vp->index;
	vp->path = strdup(endpoint->path);
	scheduler_forget(vp);
	kicks_init(vp);
	config.connection_changed = connection_changed;
	err = vp->path ? vhost_device_init(&vp->device, &net_device_type, vp->path, vp) : -ENOMEM;
	if (!err)
		err = vhost_endpoint_create(sw->base, &config, &vp->device, &vp->endpoint);
	if (!err)
		err = journal_open(vp, endpoint);
	if (err) {
		vhost_endpoint_destroy(vp->endpoint);
		vport_destroy(vp);
		return err;
	}
	sw->vport[sw->n_ports++] = vp;
	return 0;
}
