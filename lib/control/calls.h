/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Makes the calls that workers leave to the control thread. A worker leaves a call if the eventfd
 * is not known to be quick, or if a write to an eventfd of the same port took long. Every few
 * milliseconds the control thread starts errands (vhost/call.h) that make these calls. If an errand
 * finds the write quick, workers make the calls again.
 *
 * So an eventfd that is slow from the beginning costs a worker nothing. An eventfd that becomes
 * slow later costs a worker one slow write. Time for which the worker had lost its CPU does not
 * count (base/off_cpu.h). If this time is not known, the write does not count. A hypervisor may
 * take the CPU away and not tell the kernel, so a port may count as slow by mistake. Then one quick
 * write by an errand ends this state. If the port is slow again within ten seconds, twice as
 * many quick writes are needed, and so on. If an errand finds the write slow, too, errands make the
 * port's calls for a second. This time doubles each time it happens again.
 *
 * A write blocks only if the front-end has caused this on purpose. Then the front-end is
 * disconnected, and not served for some time. This time doubles each time it happens again.
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
	uint8_t level;   /* how often it was slow lately; 2 to this power quick writes end that */
	int64_t slow_ns; /* when it was slow last */
	int64_t confirmed_ns; /* when an errand last found it slow, too */
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

/* The port is being removed. */
void calls_forget(struct vhost_port *vp);

/* Disconnect a front-end that costs other ports time. The caller has logged the reason. */
void calls_drop(struct vhost_port *vp);
