/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The switch as a whole: its ports, its address table, its workers.
 *
 * Threads: the control thread only. This is where the control thread and the workers meet:
 * whatever a front-end changes is told to vswitch_changed(), and vswitch_commit() turns all that
 * has changed into one new immutable forwarding and returns when no worker uses the old one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/calls.h"
#include "control/scheduler.h"
#include "control/tenant.h"
#include "control/vport.h"
#include "datapath/port.h"
#include "vhost/endpoint.h"
#include "worker/worker.h"

struct event_base;
struct event;
struct fdb;

struct vswitch {
	struct event_base *base;
	struct event *tick;
	struct event *publish; /* at the end of this turn of the loop */
	bool changed;          /* some port, since it was published */
	uint64_t snapshots;    /* forwardings published so far */
	struct watchdog *watchdog;
	struct fdb *fdb;
	struct workers *workers;
	struct scheduler *scheduler;
	uint64_t features;
	bool iommu, postcopy, host_notifier, inband, memory_any, record_events;
	unsigned n_slow; /* ports whose calls workers do not make */
	bool calls_left; /* some could not be handed over */
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
	bool memory_any;           /* map any file of a front-end, not only memory */
	bool record_events;        /* of every ring; see virtio/vring_events.h */
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

/* Workers are to see vp as it is now: at the next commit, at the end of this turn at the latest. */
void vswitch_changed(struct vport *vp);

/*
 * Make the workers see all that has changed. Returns when no worker uses what it has replaced.
 * Costs nothing if nothing has changed.
 */
void vswitch_commit(struct vswitch *sw);

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
