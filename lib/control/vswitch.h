/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The switch as a whole: its ports, its address table, its workers.
 *
 * Threads: the control thread only. This is where the control thread and the workers meet:
 * whatever a front-end changes, vswitch_republish() turns it into a new immutable forwarding
 * and returns when no worker uses the old one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"
#include "control/calls.h"
#include "control/net_control.h"
#include "control/scheduler.h"
#include "control/tenant.h"
#include "datapath/port.h"
#include "vhost/device.h"
#include "vhost/endpoint.h"
#include "worker/worker.h"

struct event_base;
struct event;
struct fdb;

/* One port: a vhost-user device, the endpoint it is reached by, and its face to the workers. */
struct vport {
	struct vswitch *sw;
	struct vhost_endpoint *endpoint;
	struct vhost_device device;
	char *path;
	bool up;     /* in the published forwarding */
	bool spoilt; /* its memory is: to be dropped */
	struct port port;
	struct queue *queue[VHOST_RINGS_MAX]; /* by ring; kept, with its books, over reconnects */
	unsigned n_polled;                    /* receive queues that workers poll */
	struct queue *polled[PORT_QUEUES_MAX];
	struct placement place[PORT_QUEUES_MAX]; /* of the receive queues, by pair */
	uint8_t reported[VHOST_RINGS_MAX];       /* enum vring_break already logged */
	struct call_history calls;               /* how calls to its drivers went */
	struct net_control control;
	struct tenant tenant;
	bool announce_owed; /* an announcement that came while the port was down */
	uint8_t announce_mac[6];
};

static inline struct vport *vport_of(const struct queue *q)
{
	return CONTAINER_OF(q->port, struct vport, port);
}

/* Of the pair that q is one of. */
static inline struct placement *place_of(const struct queue *q)
{
	return &vport_of(q)->place[q->index / 2];
}

struct vswitch {
	struct event_base *base;
	struct event *tick;
	struct watchdog *watchdog;
	struct fdb *fdb;
	struct workers *workers;
	struct scheduler *scheduler;
	uint64_t features;
	bool iommu, postcopy, host_notifier, inband;
	unsigned n_slow; /* ports whose calls workers do not make */
	unsigned queue_pairs;
	struct tenants tenants;
	unsigned n_ports;
	struct vport *vport[PORTS_MAX];
};

struct vswitch_config {
	uint32_t fdb_entries;
	unsigned fdb_age_s;
	unsigned forget_after_s; /* see tenant.h */
	bool idle_sleep;
	int (*enter_worker)(void); /* called by each worker before it begins; may be NULL */
	uint64_t features;         /* which of NET_FEATURES are offered; control/net_features.h */
	bool iommu;                /* offer VIRTIO_F_ACCESS_PLATFORM on all ports */
	bool inband;               /* offer notifications by messages */
	bool host_notifier;        /* give guests pages to kick instead of eventfds */
	bool postcopy;             /* let guests arrive before their memory */
	unsigned queue_pairs;      /* that the configuration space tells drivers */
	bool forward_bpdu;         /* link-local frames, too, are flooded */
	struct schedule_config schedule;
};

/* Needs an initialised EAL. Errors are logged. */
int vswitch_create(
    struct event_base *base, const struct vswitch_config *config, struct vswitch **ret_sw);
void vswitch_destroy(struct vswitch *sw);

/* Add a port that is reached as `endpoint` says. Errors are logged. -ENOSPC: too many. */
int vswitch_add_port(struct vswitch *sw, const struct vhost_endpoint_config *endpoint);

/* The seconds that table entries age by. */
uint32_t vswitch_clock(void);

/* Make the workers see the ports that are up now, and no others. */
void vswitch_republish(struct vswitch *sw);

struct vswitch_polled {
	unsigned n;
	struct queue **queue; /* the caller frees it */
};

/* The receive queues of the ports that are up, in one list. -ENOMEM. */
int vswitch_list_polled(const struct vswitch *sw, struct vswitch_polled *ret);

/*
 * Of a queue that nobody polls: who will asks for kicks only when it goes to sleep. Not of a guest
 * that is still arriving.
 */
void vswitch_disable_kicks(const struct queue *q);

struct vswitch_move {
	struct queue *queue; /* a receive queue of a port that is up */
	uint16_t to;         /* the worker that polls it from now on */
	uint16_t from;       /* filled in */
};

/*
 * Give receive queues to other workers while traffic runs: nothing is lost, and order is kept.
 * -EAGAIN: a worker has still to send a frame in a port's name, so it cannot lose a queue now;
 * -ENOMEM. All queues move, or none.
 */
int vswitch_move(struct vswitch *sw, struct vswitch_move moves[], unsigned n);
