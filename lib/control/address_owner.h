/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which guest's addresses are behind a port: those of the guest that is connected, or was until a
 * moment ago. If its front-end does not come back, or another front-end connects, the addresses are
 * forgotten, because frames to them would go to no guest or to the wrong one.
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct event;
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

/* Call it once a second. */
void address_owners_tick(struct vswitch *sw);

/* A front-end has connected, or has disconnected. The port is down. */
void address_owner_arrived(struct vhost_port *vp);
void address_owner_left(struct vhost_port *vp);
