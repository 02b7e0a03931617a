/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * This file has three parts. The first part has the operations that the switch uses on a network
 * device: its queues, its kicks, its part of the report. The second part has the callbacks of
 * struct net_host that a network device uses on the switch. The last part makes a port: a network
 * device, a socket for front-ends, and a journal. Faults of front-ends are handled in other files:
 * calls.c, address_owner.c, watchdog.c.
 *
 * Threads: the control thread.
 */
#include "control/vhost_port.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/numa.h"
#include "control/report_vhost.h"
#include "control/watchdog.h"
#include "net/net_queues.h"
#include "vhost/journal.h"

static struct vhost_port *of(const struct switch_port *sp)
{
	return CONTAINER_OF(sp, struct vhost_port, port);
}

static struct vhost_port *port_of(struct net_device *nd)
{
	return CONTAINER_OF(nd, struct vhost_port, net);
}

static struct queue *port_queue(const struct switch_port *sp, unsigned index)
{
	return of(sp)->net.queue[index];
}

static bool port_in_use(const struct switch_port *sp, unsigned index)
{
	return of(sp)->net.in[index];
}

static void describe(struct switch_port *sp, struct port *port)
{
	struct vhost_port *vp = of(sp);

	if (port)
		port->calls = &vp->port_calls;
	net_device_describe(&vp->net, port);
}

/* If the ring has a doorbell, kicks may come without the eventfd. */
static int kick_fd(const struct switch_port *sp, const struct queue *q)
{
	const struct vhost_vring *v = of(sp)->net.vhost.vring[q->index];

	return v->doorbell ? -1 : v->kick_fd;
}

static void disable_kicks(const struct queue *q)
{
	net_queues_disable_kicks(&of(q->owner)->net, q);
}

/*
 * Drivers allocate a ring and its buffers on one node. The page is in the device area, because the
 * switch writes this area.
 */
static void *page(const struct queue *q)
{
	return of(q->owner)->net.vhost.vring[q->index]->config.device;
}

static void report(const struct switch_port *sp, json_t *port)
{
	report_vhost_port(of(sp), port);
}

static void report_queue(const struct queue *q, json_t *queue)
{
	report_vhost_queue(of(q->owner), q->index, queue);
}

static const struct port_config *config(const struct switch_port *sp)
{
	return &of(sp)->config;
}

static const char *state(const struct switch_port *sp, char *text, size_t size)
{
	if (of(sp)->endpoint)
		return vhost_endpoint_state(of(sp)->endpoint, text, size);
	snprintf(text, size, "being removed");
	return text;
}

static void leave(struct switch_port *sp)
{
	struct vhost_port *vp = of(sp);

	vhost_endpoint_halt(vp->endpoint);
	vhost_journal_leave(&vp->net.vhost);
	net_device_leave(&vp->net);
	calls_forget(vp);
}

static void stop(struct switch_port *sp)
{
	vhost_endpoint_destroy(of(sp)->endpoint);
	of(sp)->endpoint = NULL;
}

static void destroy(struct switch_port *sp)
{
	struct vhost_port *vp = of(sp);

	net_device_cleanup(&vp->net);
	switch_port_cleanup(sp);
	free(vp->path);
	free(vp);
}

_Static_assert(VHOST_RINGS_MAX == SWITCH_PORT_QUEUES, "a queue for each ring");

static const struct switch_port_ops vhost_port_ops = {
    .queue = port_queue,
    .in_use = port_in_use,
    .describe = describe,
    .kick_fd = kick_fd,
    .disable_kicks = disable_kicks,
    .page = page,
    .config = config,
    .state = state,
    .report = report,
    .report_queue = report_queue,
    .leave = leave,
    .stop = stop,
    .destroy = destroy,
};

static struct vhost_port *at_index(const struct vswitch *sw, unsigned index)
{
	struct switch_port *sp = sw->port[index];

	return sp && sp->ops == &vhost_port_ops ? of(sp) : NULL;
}

struct vhost_port *vhost_port_at(const struct vswitch *sw, unsigned index)
{
	struct vhost_port *vp = at_index(sw, index);

	return vp && !switch_port_leaves(&vp->port) ? vp : NULL;
}

struct vhost_port *vhost_port_next_of_all(const struct vswitch *sw, unsigned *at)
{
	struct vhost_port *vp = NULL;

	while (!vp && *at < sw->n_ports)
		vp = at_index(sw, (*at)++);
	return vp;
}

struct vhost_port *vhost_port_next(const struct vswitch *sw, unsigned *at)
{
	struct vhost_port *vp = NULL;

	while (!vp && *at < sw->n_ports)
		vp = vhost_port_at(sw, (*at)++);
	return vp;
}

/* The journal is beside the socket, so that the next process that serves the socket finds it. */
static int journal_open(struct vhost_port *vp, const char *socket)
{
	char *path = NULL;
	int err;

	if (socket && asprintf(&path, "%s.rings", socket) < 0)
		return -ENOMEM;
	err = vhost_journal_open(&vp->net.vhost, path);
	free(path);
	return err;
}

static void connection_changed(struct vhost_device *dev, bool connected)
{
	struct vhost_port *vp = port_of(dev->opaque);

	if (connected) {
		address_owner_arrived(vp);
		return;
	}
	address_owner_left(vp);
	net_device_forget(&vp->net);
	scheduler_forget(&vp->port);
}

static void net_changed(struct net_device *nd)
{
	vswitch_changed(nd->owner);
}

static void net_publish(struct net_device *nd)
{
	vswitch_commit(nd->owner->sw);
}

/*
 * Forget what was known about the old ring: the node of its memory, and the fault that was
 * reported.
 */
static void net_begins(struct net_device *nd, struct queue *q)
{
	port_of(nd)->reported[q->index] = VRING_BREAK_NONE;
	place_of(q)->node = NUMA_UNKNOWN;
}

static struct fdb *net_table(const struct net_device *nd, uint16_t *ret_domain)
{
	*ret_domain = port_settings_domain(nd->owner);
	return switch_port_fdb(nd->owner);
}

static void net_policy(const struct net_device *nd, struct port_policy *ret)
{
	port_settings_policy(nd->owner, ret);
}

static int net_send(struct net_device *nd, const uint8_t *frame, uint32_t len)
{
	const struct switch_port *sp = nd->owner;
	const struct port_id id = {.index = sp->index, .generation = sp->generation};

	for (unsigned i = 0; i < sp->n_polled; i++)
		if (sp->polled[i]->enabled)
			return workers_inject(
			    sp->sw->workers, sp->polled[i]->worker, id, frame, len);
	return -ENETDOWN;
}

/* What the devices know of the switch. */
static const struct net_host *host_of(struct vswitch *sw)
{
	sw->host = (struct net_host){
	    .base = sw->base,
	    .workers = sw->workers,
	    .miss_fd = watchdog_miss_fd(sw->watchdog),
	    .changed = net_changed,
	    .publish = net_publish,
	    .table = net_table,
	    .policy = net_policy,
	    .begins = net_begins,
	    .send = net_send,
	};
	return &sw->host;
}

static int device_init(struct vhost_port *vp, const struct net_offer *offer)
{
	struct switch_port *sp = &vp->port;

	sp->limit = &vp->net.vhost.limit;
	vp->net.host = host_of(sp->sw);
	vp->net.owner = sp;
	vp->net.index = sp->index;
	return net_device_init(&vp->net, offer, sp->name);
}

static int keep_config(struct vhost_port *vp, const struct port_config *asked)
{
	vp->config = *asked;
	vp->config.fd = -1;
	vp->config.name = vp->port.name;
	if (asked->path) {
		vp->path = strdup(asked->path);
		vp->config.path = vp->path;
	}
	return asked->path && !vp->path ? -ENOMEM : 0;
}

/*
 * Is the socket another port's, under another path? Otherwise it would count as another process's
 * socket, and the question whether that process listens would disturb the other port.
 */
static int check_socket(const struct vhost_port *vp, struct endpoint_reason *reason)
{
	const struct vhost_port *other;
	struct stat file;

	/* syscalls: lstat newfstatat */
	if (vp->config.mode != VHOST_ENDPOINT_SERVER || lstat(vp->path, &file) < 0)
		return 0;
	for (unsigned p = 0; (other = vhost_port_next(vp->port.sw, &p));) {
		if (!vhost_endpoint_is(other->endpoint, &file))
			continue;
		snprintf(reason->text, sizeof(reason->text),
		    "%.108s: the port %.100s has this path", vp->path, other->port.name);
		return -EEXIST;
	}
	return 0;
}

static int endpoint_open(struct vhost_port *vp, int fd, struct endpoint_reason *reason)
{
	const struct port_config *asked = &vp->config;
	const struct vhost_endpoint_config endpoint = {
	    .mode = asked->mode,
	    .path = asked->path ? asked->path : asked->name,
	    .fd = fd,
	    .socket_mode = asked->socket_mode,
	    .owner = asked->owner,
	    .group = asked->group,
	    .patient = asked->patient,
	    .reason = reason,
	    .connection_changed = connection_changed,
	};

	return vhost_endpoint_create(vp->port.sw->base, &endpoint, &vp->net.vhost, &vp->endpoint);
}

/* Everything before the endpoint, which owns fd from then on. */
static int prepare(struct vhost_port *vp, struct vswitch *sw, const struct port_config *asked)
{
	int err = switch_port_init(&vp->port, &vhost_port_ops, sw, asked->name);

	if (!err)
		err = keep_config(vp, asked);
	return err ? err : device_init(vp, &asked->offer);
}

static int create(struct vhost_port *vp, struct vswitch *sw, const struct port_config *asked,
    struct endpoint_reason *reason)
{
	int err = prepare(vp, sw, asked);

	if (err) {
		if (asked->mode == VHOST_ENDPOINT_FD)
			close(asked->fd);
		return err;
	}
	err = check_socket(vp, reason);
	if (!err)
		err = endpoint_open(vp, asked->fd, reason);
	return err ? err : journal_open(vp, asked->path);
}

int vhost_port_create(struct vswitch *sw, const struct port_config *asked,
    struct switch_port **ret_port, char *reason, size_t size)
{
	struct vhost_port *vp = aligned_alloc(CACHE_LINE, sizeof(*vp));
	struct endpoint_reason why = {0};
	int err;

	if (!vp) {
		if (asked->mode == VHOST_ENDPOINT_FD)
			close(asked->fd);
		return -ENOMEM;
	}
	memset(vp, 0, sizeof(*vp));
	err = create(vp, sw, asked, &why);
	if (err) {
		stop(&vp->port);
		destroy(&vp->port);
		snprintf(reason, size, "%s", why.text);
		return err;
	}
	*ret_port = &vp->port;
	return 0;
}
