/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The switch as a whole: its ports, its address table, its workers.
 *
 * Threads: the control thread only. The workers get all changes from here: whatever a front-end
 * changes is reported to vswitch_changed(), and vswitch_commit() makes one new immutable forwarding
 * of all changes, and returns when no worker uses the old one.
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
	struct event *publish; /* commits at the end of this turn of the event loop */
	bool changed;          /* some port has changed since the last commit */
	uint64_t snapshots;    /* forwardings published so far */
	struct watchdog *watchdog;
	struct fdb *fdb;
	struct workers *workers;
	struct scheduler *scheduler;
	uint64_t features;
	bool iommu, postcopy, host_notifier, inband, memory_any, record_events;
	unsigned n_slow; /* ports for which workers make no calls */
	bool calls_left; /* some calls could not be handed over */
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
	bool record_events;        /* record events of every ring; see virtio/vring_events.h */
	bool iommu;                /* offer VIRTIO_F_ACCESS_PLATFORM on all ports */
	bool inband;               /* offer notifications by messages */
	bool host_notifier;        /* give guests pages to kick instead of eventfds */
	bool postcopy; /* allow postcopy migration: a guest runs before its memory has come */
	unsigned queue_pairs; /* how many the configuration space tells drivers */
	bool forward_bpdu;    /* flood link-local frames, too */
	struct schedule_config schedule;
};

/* Needs an initialised EAL. Errors are logged. */
int vswitch_create(
    struct event_base *base, const struct vswitch_config *config, struct vswitch **ret_sw);
void vswitch_destroy(struct vswitch *sw);

/* Add a port with this endpoint. Errors are logged. -ENOSPC: there are too many ports. */
int vswitch_add_port(struct vswitch *sw, const struct vhost_endpoint_config *endpoint);

/* The time in seconds, for the age of table entries. */
uint32_t vswitch_clock(void);

/* vp has changed: workers get it with the next commit, at the end of this turn at the latest. */
void vswitch_changed(struct vport *vp);

/*
 * Make the workers see all changes. Returns when no worker uses the old forwarding. Costs nothing
 * if nothing has changed.
 */
void vswitch_commit(struct vswitch *sw);

struct vswitch_polled {
	unsigned n;
	struct queue **queue; /* the caller frees it */
};

/* The receive queues of the ports that are up, in one list. -ENOMEM. */
int vswitch_list_polled(const struct vswitch *sw, struct vswitch_polled *ret);

/*
 * Ask the driver of a queue that no worker polls not to kick: the worker that will poll it asks for
 * kicks only when it goes to sleep. Does nothing if the guest still arrives (postcopy).
 */
void vswitch_disable_kicks(const struct queue *q);

struct vswitch_move {
	struct queue *queue; /* a receive queue of a port that is up */
	uint16_t to;         /* the worker that polls it from now on */
	uint16_t from;       /* set by vswitch_move() */
};

/*
 * Give receive queues to other workers while traffic runs. No frame is lost, and their order stays.
 * All queues move, or none. -EAGAIN: a frame still waits in the mailbox of a worker that would lose
 * a queue; -ENOMEM.
 */
int vswitch_move(struct vswitch *sw, struct vswitch_move moves[], unsigned n);
