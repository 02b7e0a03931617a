/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The addresses that were learned behind a port belong to one guest: the guest that is connected,
 * or the last guest that was connected. If the front-end of that guest does not come back in time,
 * or another front-end connects, the addresses are forgotten. Otherwise frames to them would go to
 * no guest or to the wrong guest.
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct event;
struct switch_port;
struct vhost_port;
struct vswitch;

/* The last front-end of a port. */
struct address_owner {
	pid_t pid;        /* 0: not known */
	uint64_t started; /* in clock ticks since boot; 0: not known */
	bool gone;        /* it has disconnected, and its addresses are still there */
	uint64_t gone_ms; /* when it disconnected */
};

struct address_owners {
	unsigned forget_after_s; /* if a front-end comes back within this time, addresses stay */
	struct event *flush;     /* drops addresses from the table in slices */
};

int address_owners_create(struct vswitch *sw, unsigned forget_after_s);
void address_owners_destroy(struct vswitch *sw);

/* Addresses of a port are to be flushed: begin, or go on. */
void address_owners_flush(struct vswitch *sw);

/* Call it once a second. */
void address_owners_tick(struct vswitch *sw);

/*
 * The port is being removed, and workers do not know it any more: begin to forget its addresses.
 * fdb_flush_pending() tells when they are forgotten.
 */
void address_owner_remove(struct switch_port *sp);

/*
 * Forget the addresses of a port that stays. Its workers learn meanwhile, so an address from which
 * a frame comes just then may stay.
 */
void address_owner_flush(struct switch_port *sp);

/* A front-end has connected, or has disconnected. The port is down. */
void address_owner_arrived(struct vhost_port *vp);
void address_owner_left(struct vhost_port *vp);
