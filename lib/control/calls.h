/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls that workers do not make, because the eventfd is not known to be quick, or because a write
 * to an eventfd of the same port took long. They are handed to lib/vhost/call.h every few
 * milliseconds. What is written there and is quick may be written by workers.
 *
 * So an eventfd that is slow from the beginning costs a worker nothing. One that was quick and
 * becomes slow costs it one write. Time for which the worker had lost its core does not count
 * (base/off_cpu.h); if it cannot be told, one quick write by an errand is enough. Each time the
 * port is slow again within a while, twice as many are asked for. If the errand finds the write
 * slow, too, the port's calls are left to errands for a second or more, which doubles while it goes
 * on.
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
	bool slow;       /* workers do not make this port's calls */
	uint8_t level;   /* how often it was slow lately: 2 to this power quick writes end it */
	int64_t slow_ns; /* when it was slow, last */
	int64_t confirmed_ns; /* when an errand found it slow, too, last */
	int64_t penalty_ns;   /* how long it was left to errands then */
	int64_t until_ns;     /* until when it is now; 0: no errand has found it slow */
	unsigned backoff_ms;  /* after the last fault */
	int64_t fault_ns;     /* when that was */
};

/* Every few milliseconds while workers are awake. */
void calls_service(struct vswitch *sw);

/* Drop the connection of a front-end that costs others time; the reason has been logged. */
void calls_drop(struct vport *vp);
