/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/calls.h"

#include "base/clock.h"
#include "base/log.h"
#include "control/vhost_port.h"
#include "vhost/call.h"

#define SECOND INT64_C(1000000000)
/* An errand's write that takes this long does not end by itself. */
#define HANG_NS SECOND
/* If a port was not slow for this time, it counts as a port that never was slow. */
#define FORGET_NS (10 * SECOND)
#define LEVEL_MAX 10
/* At this level a warning is logged. */
#define LEVEL_TELL 6
/* After a slow write by an errand, errands make the calls for this time. It doubles each time. */
#define SLOW_MIN_NS SECOND
#define SLOW_MAX_NS (64 * SECOND)
/* After a write that blocked, the front-end is not served for this time. It doubles each time. */
#define BACKOFF_MIN_MS 1000
#define BACKOFF_MAX_MS 60000

static void set_slow(struct vhost_port *vp, bool slow)
{
	atomic_store(&vp->port_calls.slow, slow);
	if (vp->calls.slow != slow)
		vp->port.sw->n_slow += slow ? 1 : -1;
	vp->calls.slow = slow;
}

void calls_forget(struct vhost_port *vp)
{
	set_slow(vp, false);
}

static void tell_often_slow(struct vhost_port *vp)
{
	vhost_tell(&vp->net.vhost, LOG_WARN,
	    "workers often take long to write its call eventfds, so its drivers are called up to "
	    "10 ms late (a worker loses its CPU, or the eventfds have many watchers from time to "
	    "time)");
}

static void begin_slow(struct vhost_port *vp, int64_t now)
{
	struct call_history *h = &vp->calls;

	if (h->slow_ns == 0 || now - h->slow_ns > FORGET_NS) {
		h->level = 0;
		h->told = false;
	} else if (h->level < LEVEL_MAX) {
		h->level++;
		if (h->level == LEVEL_TELL)
			tell_often_slow(vp);
	}
	h->slow_ns = now;
	h->until_ns = 0;
	set_slow(vp, true);
	for (unsigned i = 0; i < vp->net.vhost.n_vrings; i++)
		vhost_call_doubt(&vp->net.vhost, i);
	vhost_calls_restart(&vp->net.vhost);
}

/*
 * An errand has found a write slow, too. It measured CPU time, so the cause was not a lost CPU.
 * Each time this happens to a port again, errands make its calls for a longer time. One such write
 * is no reason for a warning: a hypervisor may take the CPU away without telling the kernel.
 */
static void confirm_slow(struct vhost_port *vp, int64_t now)
{
	struct call_history *h = &vp->calls;

	if (h->until_ns && !h->told) {
		h->told = true;
		vhost_tell(&vp->net.vhost, LOG_WARN,
		    "writes to its call eventfds take long, so its drivers are called up to "
		    "10 ms late (the eventfds have many watchers)");
	}
	if (h->until_ns)
		return; /* confirmed already */
	if (now - h->confirmed_ns > FORGET_NS + h->penalty_ns)
		h->penalty_ns = 0;
	h->penalty_ns = MIN(MAX(2 * h->penalty_ns, SLOW_MIN_NS), SLOW_MAX_NS);
	h->confirmed_ns = now;
	h->until_ns = now + h->penalty_ns;
}

static bool is_quick_again(const struct vhost_port *vp, int64_t now)
{
	const struct call_history *h = &vp->calls;

	return now >= h->until_ns && vhost_calls_quick(&vp->net.vhost) >> h->level;
}

static void hand_over(struct vhost_port *vp)
{
	for (unsigned i = 0; i < vp->net.vhost.n_vrings; i++) {
		struct queue *q = vp->net.queue[i];
		const struct vhost_vring *v = vp->net.vhost.vring[i];

		if (!q || !atomic_exchange(&q->call_left, false))
			continue; /* no call was left */
		if (!v || !v->active || v->call_fd < 0)
			continue; /* the driver wants no calls any more */
		if (vhost_call(&vp->net.vhost, i, VHOST_CALL_USED, v->call_fd) == 0)
			continue; /* an errand will make the call */
		/* No memory or no free descriptor: try again the next time. */
		atomic_store(&q->call_left, true);
		atomic_store(&vp->port_calls.left, true);
		vp->port.sw->calls_left = true;
	}
}

void calls_drop(struct vhost_port *vp)
{
	struct call_history *h = &vp->calls;
	int64_t now = clock_ns();

	if (now - h->fault_ns > FORGET_NS + h->backoff_ms * (SECOND / 1000))
		h->backoff_ms = 0;
	h->backoff_ms = MIN(MAX(2 * h->backoff_ms, BACKOFF_MIN_MS), BACKOFF_MAX_MS);
	h->fault_ns = now;
	vhost_endpoint_drop_for(vp->endpoint, h->backoff_ms);
}

static void drop_blocked(struct vhost_port *vp, unsigned ring)
{
	vhost_tell(&vp->net.vhost, LOG_WARN,
	    "the call eventfd of ring %u blocks: the front-end has filled it and made it "
	    "blocking",
	    ring);
	calls_drop(vp);
	set_slow(vp, false);
	atomic_store(&vp->port_calls.left, false);
}

static void service(struct vhost_port *vp, int64_t now)
{
	struct port_calls *calls = &vp->port_calls;
	unsigned ring, blocked = 0;

	/* Workers read these words often, so they are written only if they change. */
	if (atomic_load(&calls->blocked))
		blocked = atomic_exchange(&calls->blocked, 0);

	if (blocked || vhost_calls_hang(&vp->net.vhost, HANG_NS, &ring)) {
		drop_blocked(vp, blocked ? blocked - 1 : ring);
		return;
	}
	if (atomic_load(&calls->slow) && !vp->calls.slow)
		begin_slow(vp, now);
	if (vhost_calls_were_slow(&vp->net.vhost) && vp->calls.slow)
		confirm_slow(vp, now);
	if (vp->calls.slow && is_quick_again(vp, now))
		set_slow(vp, false);
	if (atomic_load(&calls->left) && atomic_exchange(&calls->left, false))
		hand_over(vp);
}

bool calls_service(struct vswitch *sw)
{
	bool noted = workers_unblock(sw->workers);
	struct vhost_port *vp;
	int64_t now;

	vhost_calls_service();
	if (!noted && !sw->calls_left && !sw->n_slow && !vhost_calls_pending())
		return false;
	sw->calls_left = false;
	now = clock_ns();
	for (unsigned p = 0; (vp = vhost_port_next(sw, &p));)
		service(vp, now);
	return true;
}
