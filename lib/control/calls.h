/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls that workers do not make, because a write to an eventfd of the same port took long: they
 * are handed to lib/vhost/call.h every 10 ms, until writes are quick again.
 *
 * A worker loses one slow write to a port before it leaves its calls to others. It may have been
 * slow for no fault of the port, because the worker lost its core: then one quick write by an
 * errand is enough. Each time the port is slow again within a while, twice as many are asked for.
 *
 * A write that blocks, which takes a front-end that wants it so, costs it the connection. It is
 * not served again for a time, which doubles while it goes on.
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vport;
struct vswitch;

/* Kept over reconnects. */
struct call_history {
	bool slow;           /* workers do not make this port's calls */
	uint8_t level;       /* how often it was slow lately: 2 to this power quick writes end it */
	int64_t slow_ns;     /* when it was slow, last */
	unsigned backoff_ms; /* after the last fault */
	int64_t fault_ns;    /* when that was */
};

/* Every 10 ms. */
void calls_service(struct vswitch *sw);

/* Drop the connection of a front-end that costs others time; the reason has been logged. */
void calls_drop(struct vport *vp);
