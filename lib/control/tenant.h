/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose addresses are behind a port: those of the guest whose front-end is connected, or was until
 * a moment ago. When a front-end stays away, or another one comes, they are forgotten, for frames
 * to them would lead to the wrong guest, or to none.
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct event;
struct vport;
struct vswitch;

/* The last front-end of a port. */
struct tenant {
	pid_t pid;        /* 0: not known */
	uint64_t started; /* in clock ticks since boot; 0: not known */
	bool gone;        /* its addresses are still there */
	uint64_t gone_ms; /* since then */
};

struct tenants {
	unsigned
	    forget_after_s;  /* a front-end that comes back within this time keeps its addresses */
	struct event *flush; /* does it in slices */
};

int tenants_create(struct vswitch *sw, unsigned forget_after_s);
void tenants_destroy(struct vswitch *sw);

/* Call it once a second. */
void tenants_tick(struct vswitch *sw);

/* A front-end has connected, or has gone; the port is down. */
void tenant_arrived(struct vport *vp);
void tenant_left(struct vport *vp);
