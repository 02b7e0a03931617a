/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The switch as a whole: its ports, its address table, its workers.
 *
 * Threads: the control thread only. Workers get changes in this way: if a front-end has changed a
 * port, vswitch_changed() is called. Later vswitch_commit() makes one new immutable forwarding for
 * all changes. It returns when no worker uses the old forwarding.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/log_limit.h"
#include "control/port_index.h"
#include "control/ports.h"
#include "control/scheduler.h"
#include "control/switch_port.h"
#include "control/address_owner.h"
#include "datapath/port.h"
#include "worker/worker.h"

struct event_base;
struct event;
struct fdb;

#define PORT_LISTENERS_MAX 4

struct vswitch_move;

struct vswitch {
	struct event_base *base;
	struct event *tick;
	struct event *publish; /* commits at the end of this turn of the event loop */
	bool changed;          /* some port has changed since the last commit */
	uint64_t forwardings;  /* forwardings published so far */
	struct watchdog *watchdog;
	struct fdb *fdb;    /* of the default bridge */
	unsigned n_bridges; /* 1 + the highest number that a bridge has had */
	uint64_t n_bridges_made;
	struct bridge *bridge[BRIDGES_MAX]; /* by number; NULL: none has it */
	struct bridge_table *table;         /* that an errand makes; NULL: none */
	struct workers *workers;
	struct scheduler *scheduler;
	struct port_config port_defaults;
	struct net_host host; /* the part of the switch that network devices use */
	unsigned n_slow;      /* ports for which workers make no calls */
	bool calls_left;      /* some calls could not be handed over */
	struct address_owners address_owners;
	struct port_indices indices;
	unsigned n_leaving;   /* ports that are being removed */
	unsigned n_untrimmed; /* ports whose memory was not given back to the kernel */
	struct event *leave;
	struct removed_ports {
		unsigned n;
		struct queue_stats ingress, egress; /* sums of their queues' counters */
		struct log_limit limit;             /* of the lines about them */
	} removed;
	unsigned n_listeners;
	struct port_listener {
		void (*fn)(struct switch_port *sp, enum port_event event, void *arg);
		void *arg;
	} listener[PORT_LISTENERS_MAX];
	struct move_listener {
		void (*fn)(const struct vswitch_move *move, void *arg); /* NULL: none */
		void *arg;
	} move_listener;
	unsigned n_ports;                    /* 1 + the highest index that a port has had */
	struct switch_port *port[PORTS_MAX]; /* by index; NULL: none has it */
};

struct vswitch_config {
	uint32_t fdb_entries;
	unsigned fdb_age_s;
	unsigned forget_after_s; /* see address_owner.h */
	bool idle_sleep;
	int (*enter_worker)(void);        /* called by each worker before it begins; may be NULL */
	struct port_config port_defaults; /* see vswitch_port_defaults() */
	bool forward_bpdu;                /* flood link-local frames, too */
	struct schedule_config schedule;
};

/* Needs an initialised EAL. Errors are logged. */
int vswitch_create(
    struct event_base *base, const struct vswitch_config *config, struct vswitch **ret_sw);
void vswitch_destroy(struct vswitch *sw);

/* Make an initialised port part of the switch, which destroys it at the end. */
void vswitch_attach(struct switch_port *sp);

/*
 * The first port from index *at on, also a port that is being removed. *at becomes the index after
 * it. NULL: no more.
 */
struct switch_port *vswitch_next_port(const struct vswitch *sw, unsigned *at);

/*
 * sp has changed. Workers get the change with the next commit, at the latest at the end of this
 * turn. All changes of a turn become one forwarding.
 */
void vswitch_changed(struct switch_port *sp);

/*
 * Make the workers see all changes now. Returns when no worker uses the old forwarding. Does
 * nothing if there are no changes. This is only for callers that cannot wait for the end of the
 * turn, because they free, unmap or answer next. Each caller says why.
 */
void vswitch_commit(struct vswitch *sw);

/* The same after a bridge was removed, also if no port has changed. */
void vswitch_commit_bridges(struct vswitch *sw);

struct vswitch_polled {
	unsigned n;
	struct queue **queue; /* the caller frees it */
};

/* The ingress queues of the ports that are up, in one list. -ENOMEM. */
int vswitch_list_polled(const struct vswitch *sw, struct vswitch_polled *ret);

struct vswitch_move {
	struct queue *queue; /* an ingress queue of a port that is up */
	uint16_t to;         /* the worker that polls it from now on */
	uint16_t from;       /* set by vswitch_move() */
};

/*
 * Give ingress queues to other workers while traffic runs. No frame is lost, and their order stays.
 * All queues move, or none. -EAGAIN: a frame of a queue's port still waits in the mailbox of the
 * worker that would lose the queue; -ENOMEM.
 */
int vswitch_move(struct vswitch *sw, struct vswitch_move moves[], unsigned n);

/*
 * Call fn(move, arg) after each move from now on, for as long as the switch exists. The move is
 * valid during the call. There is one such function.
 */
void vswitch_moves_listen(
    struct vswitch *sw, void (*fn)(const struct vswitch_move *move, void *arg), void *arg);
