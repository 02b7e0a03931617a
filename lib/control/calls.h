/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls that workers do not make, because the eventfd is not known to be quick, or because a write
 * to an eventfd of the same port took long. Every few milliseconds they are handed to
 * vhost/call.h, where errands make them. After an errand found the write quick, workers make the
 * calls.
 *
 * So an eventfd that is slow from the beginning costs a worker nothing. An eventfd that was quick
 * and becomes slow costs one slow write. The time for which the worker had lost its CPU does not
 * count (base/off_cpu.h). If this time is not known, a port may count as slow by mistake; then one
 * quick write by an errand ends this. Each time the port is slow again within ten seconds, twice
 * as many quick writes are needed. If an errand finds the write slow, too, errands make the port's
 * calls for a second. This time doubles if it happens again.
 *
 * A write blocks only if the front-end wants this. Then the front-end loses its connection and is
 * not served again for some time. This time doubles if it happens again.
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vhost_port;
struct vswitch;

/* Kept over reconnects. */
struct call_history {
	bool slow;       /* workers do not make this port's calls */
	bool told;       /* a warning has been logged */
	uint8_t level;   /* how often it was slow lately: 2 to this power quick writes end it */
	int64_t slow_ns; /* when it was slow last */
	int64_t confirmed_ns; /* when an errand found it slow, too, last */
	int64_t penalty_ns;   /* for how long errands made its calls after that */
	int64_t until_ns;     /* until then errands make its calls; 0: no errand found it slow */
	unsigned backoff_ms;  /* for how long it was not served after the last write that blocked */
	int64_t fault_ns;     /* when the last write blocked */
};

/*
 * Call this every few milliseconds while workers are awake and calls are made. True: a port has
 * calls that are slow or not yet made.
 */
bool calls_service(struct vswitch *sw);

/* Drop the connection of a front-end that costs others time. The caller has logged the reason. */
void calls_drop(struct vhost_port *vp);
