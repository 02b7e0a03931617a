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
struct tenant {
	pid_t pid;        /* 0: not known */
	uint64_t started; /* in clock ticks since boot; 0: not known */
	bool gone;        /* it has disconnected, and its addresses are still there */
	uint64_t gone_ms; /* when it disconnected */
};

struct tenants {
	unsigned forget_after_s; /* if a front-end comes back within this time, addresses stay */
	struct event *flush;     /* drops addresses from the table in slices */
};

int tenants_create(struct vswitch *sw, unsigned forget_after_s);
void tenants_destroy(struct vswitch *sw);

/* Call it once a second. */
void tenants_tick(struct vswitch *sw);

/* A front-end has connected, or has disconnected. The port is down. */
void tenant_arrived(struct vhost_port *vp);
void tenant_left(struct vhost_port *vp);
