/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A port of the switch, as the control thread sees it. struct switch_port has the fields that every
 * kind of port has. Kinds of ports differ in their operations (struct switch_port_ops). Each kind
 * has a structure of its own that contains a struct switch_port (for example vhost_port.h).
 *
 * Threads: the control thread only. Workers see struct port and struct queue.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/bridge.h"
#include "control/kicks.h"
#include "control/port_settings.h"
#include "control/scheduler.h"
#include "datapath/port.h"

/* Queues have the numbers of virtqueues: odd queues are polled, even queues take frames. */
#define SWITCH_PORT_QUEUES (2 * PORT_QUEUES_MAX)

struct log_limit;
struct port_config;
struct switch_port;
struct vswitch;

/* What a kind of port does. All pointers are set. */
struct switch_port_ops {
	/* The queue with this number. It is kept for its counters. NULL: it was never in use. */
	struct queue *(*queue)(const struct switch_port *sp, unsigned index);
	/* Will workers use this queue after the port is published? */
	bool (*in_use)(const struct switch_port *sp, unsigned index);
	/*
	 * Fill in the fields of *port that depend on the kind, and the queues that take frames.
	 * port NULL: the port is down from now on.
	 */
	void (*describe)(struct switch_port *sp, struct port *port);
	/* The eventfd that is written when a polled queue has something; -1: there is none. */
	int (*kick_fd)(const struct switch_port *sp, const struct queue *q);
	/*
	 * Ask the driver not to kick a queue that no worker polls. The driver may kick
	 * nevertheless.
	 */
	void (*disable_kicks)(const struct queue *q);
	/* A page on the node of the queue's memory. The switch writes the page. */
	void *(*page)(const struct queue *q);
	/* How it was added, and how far its front-end is, in words: see ports.h. */
	const struct port_config *(*config)(const struct switch_port *sp);
	const char *(*state)(const struct switch_port *sp, char *text, size_t size);
	/*
	 * Add the values that only this kind has to the report's object of the port, or of the
	 * queue.
	 */
	void (*report)(const struct switch_port *sp, json_t *port);
	void (*report_queue)(const struct queue *q, json_t *queue);
	/* The port is being removed: when it is published again, workers use none of its queues. */
	void (*leave)(struct switch_port *sp);
	/*
	 * Disconnect the port, after leave, or because the switch ends. Then all ports are stopped
	 * before one is destroyed.
	 */
	void (*stop)(struct switch_port *sp);
	/* Free the port, after stop. It calls switch_port_cleanup(). */
	void (*destroy)(struct switch_port *sp);
};

struct switch_port {
	const struct switch_port_ops *ops;
	struct vswitch *sw;
	char *name; /* for log lines and reports */
	uint16_t index;
	uint32_t generation; /* of the index; see port_index.h */
	bool changed;        /* since it was published */
	enum {
		PORT_STAYS,
		PORT_LEAVES_WORKERS,   /* waits for a forwarding without it */
		PORT_LEAVES_ADDRESSES, /* waits until the address table has none of its entries */
	} stage;
	void (*removed)(void *arg); /* called at the end of its removal; or NULL */
	void *removed_arg;
	struct port_settings settings;
	struct bridge *bridge;             /* NULL: its settings are not in effect yet */
	uint64_t forget[BRIDGES_MAX / 64]; /* bridges whose tables forget the port's addresses */
	struct storm_count storm_count;
	struct log_limit *limit; /* of log lines; belongs to the kind */
	struct port *port;       /* as published; NULL: down */
	struct port *replaced;   /* the port before, until no worker uses it */
	unsigned n_polled;       /* queues that workers poll */
	struct queue *polled[PORT_QUEUES_MAX];
	struct placement place[PORT_QUEUES_MAX]; /* of the polled queues, by pair */
	struct kick kick[PORT_QUEUES_MAX];       /* of the polled queues, by pair */
};

/* The placement of the pair that q belongs to. */
static inline struct placement *place_of(const struct queue *q)
{
	return &q->owner->place[q->index / 2];
}

/* Is it being removed? */
static inline bool switch_port_leaves(const struct switch_port *sp)
{
	return sp->stage != PORT_STAYS;
}

/* Is it being removed, and has been published as down for ever? */
static inline bool switch_port_gone(const struct switch_port *sp)
{
	return sp->stage == PORT_LEAVES_ADDRESSES;
}

static inline bool switch_port_up(const struct switch_port *sp)
{
	return sp->port != NULL;
}

/*
 * Initialise a port that has no queues yet. The name is copied. -ENOSPC: too many ports; -ENOMEM.
 */
int switch_port_init(struct switch_port *sp, const struct switch_port_ops *ops, struct vswitch *sw,
    const char *name);

/*
 * Free what the port owns, and give its index back. No worker may use the port, and the address
 * table must have no entry for it. If sp is all zeros, because switch_port_init() was not called or
 * has failed, nothing happens.
 */
void switch_port_cleanup(struct switch_port *sp);

/* The table of the port's bridge. */
static inline struct fdb *switch_port_fdb(const struct switch_port *sp)
{
	return sp->bridge->fdb;
}

/* The new settings have been committed: begin to forget addresses that were learned before. */
void port_settings_committed(struct switch_port *sp);

/* The port is being removed: its static addresses are free at once, as its name is. */
void port_settings_leave(struct switch_port *sp);

/* The port is about to be destroyed: it leaves its bridge. */
void port_settings_drop(struct switch_port *sp);

/* The policy that the settings ask for. */
void port_settings_policy(struct switch_port *sp, struct port_policy *ret);

/* The domain of frames without a tag; VLAN_NONE: they are not taken. */
uint16_t port_settings_domain(const struct switch_port *sp);

/*
 * Make the struct port that is to be published, from the queues in use. The old struct port stays
 * until switch_port_settle(), which is called when no worker uses it.
 */
void switch_port_renew(struct switch_port *sp);
void switch_port_settle(struct switch_port *sp);
