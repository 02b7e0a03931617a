/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One port: a vhost-user device, its endpoint (socket), and what workers see of it.
 *
 * Threads: the control thread only. Workers see struct port and struct queue.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/calls.h"
#include "control/kicks.h"
#include "control/net_control.h"
#include "control/scheduler.h"
#include "control/tenant.h"
#include "datapath/port.h"
#include "vhost/device.h"
#include "vhost/endpoint.h"

struct vswitch;

struct vport {
	struct vswitch *sw;
	uint16_t index;
	struct port_calls port_calls CACHE_ALIGNED;
	struct vhost_endpoint *endpoint;
	struct vhost_device device;
	char *path;
	bool changed;                         /* since it was published */
	bool spoilt;                          /* its memory is incomplete: drop the connection */
	bool in[VHOST_RINGS_MAX];             /* rings that workers may use */
	bool used[VHOST_RINGS_MAX];           /* deliver rings that had buffers since they are in */
	struct queue *queue[VHOST_RINGS_MAX]; /* by ring; kept over reconnects, for its counters */
	struct port *port;                    /* as published; NULL: down */
	struct port *replaced;                /* the port before, until no worker uses it */
	unsigned n_polled;                    /* receive queues that workers poll */
	struct queue *polled[PORT_QUEUES_MAX];
	struct placement place[PORT_QUEUES_MAX]; /* of the receive queues, by pair */
	struct kick kick[PORT_QUEUES_MAX];       /* of the receive queues, by pair */
	uint8_t reported[VHOST_RINGS_MAX];       /* enum vring_break already logged */
	struct call_history calls;               /* how calls to its drivers went */
	struct net_control control;
	struct tenant tenant;
	unsigned n_enabled, n_unused; /* deliver queues; how many of them had no buffers so far */
	unsigned unused_looks;        /* checks that found some of these unused, and others not */
};

static inline struct vport *vport_of(const struct queue *q)
{
	return q->vport;
}

/* The placement of the pair that q belongs to. */
static inline struct placement *place_of(const struct queue *q)
{
	return &vport_of(q)->place[q->index / 2];
}

static inline bool vport_up(const struct vport *vp)
{
	return vp->port != NULL;
}

/*
 * Take all active rings of the device into use, and update the queues of rings that are in use.
 * Workers see this when the port is published.
 */
void vport_take_rings(struct vport *vp);

/* Take a ring, or all rings, out of use. */
void vport_drop_ring(struct vport *vp, unsigned index);
void vport_drop_rings(struct vport *vp);

/*
 * Make the struct port that is to be published, from the rings in use. The old struct port stays
 * until vport_settle(), which is called when no worker uses it.
 */
void vport_renew(struct vport *vp);
void vport_settle(struct vport *vp);

/*
 * Check the deliver queues that had no buffers when the port was published. If a queue has buffers
 * now, it is used from now on. Cheap. Call this every few milliseconds.
 */
void vport_look_at_unused(struct vport *vp);

/* Destroy all but the endpoint, which must have been destroyed before. */
void vport_destroy(struct vport *vp);
