/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which queues a worker polls every turn (warm ones), and which it only looks at now and then (cold
 * ones).
 *
 * A queue that had nothing for SWEEP_COLD turns is cold. A look tells whether it has something
 * again. A look reads one word of guest memory (vring_peek), and touches neither the queue nor its
 * ring. While other queues have work, a turn ends with some looks: one for every SWEEP_LOOK_FRAMES
 * frames that it moved, and at least SWEEP_LOOKS. So idle queues cost a part of what frames cost,
 * however many idle queues there are. A turn that moved nothing ends with more looks. If no queue
 * is warm, a turn begins with a look at each queue.
 *
 * When a worker goes to sleep, all its queues become cold. When it wakes, the queues that were
 * kicked become warm. So the frame that ends a sleep is found without looks at other queues.
 *
 * What is remembered of a queue (poll.h) outlives the forwarding: with a new forwarding a queue is
 * warm again only if it is new to the worker or its ring was started anew.
 *
 * Each poll ends with a reading of the clock. The cycles of a poll that moved frames are busy
 * cycles, of the worker and of the queue. The cycles of all other polls are idle cycles. So busy
 * cycles are the cost of moving frames, as in the figures of OVS and testpmd, and the balancer
 * knows each queue's part. Looks at the end of a turn that moved frames are busy cycles of the
 * worker.
 *
 * A queue is skipped if its port has no credit left in this round (share.h). Such a turn does not
 * count as a turn in which the queue had nothing.
 *
 * Threads: each worker has its own.
 */
#pragma once

#include "datapath/burst.h"
#include "worker/poll.h"
#include "worker/share.h"

#define SWEEP_COLD        255
#define SWEEP_LOOKS       2
#define SWEEP_LOOK_FRAMES 8  /* frames of a turn for each look */
#define SWEEP_SLICES      64 /* a turn that moved nothing looks at one of so many queues */

struct sweep {
	struct poll poll;
	uint32_t *warm; /* places of the warm queues on the list */
	unsigned n_warm;
	unsigned cursor;     /* place of the next look */
	unsigned frames;     /* moved by the last turn */
	uint64_t clock;      /* TSC at the last reading; the caller sets it after a sleep */
	uint64_t busy, idle; /* cycles so far */
	struct shares shares;
};

_Static_assert(SHARE_PORTS_MAX == PORTS_MAX, "a share for each port");
_Static_assert(SHARE_FRAMES == BURST_FRAMES, "a visit is a burst");

/* 0 or -ENOMEM. */
int sweep_init(struct sweep *s, uint64_t tsc_hz);
void sweep_cleanup(struct sweep *s);

/* Use this list from now on. It may be the same as before. */
void sweep_follow(struct sweep *s, const struct poll_list *list);

/* Did the last turn skip queues because of their port's share? They may have frames. */
static inline bool sweep_left(const struct sweep *s)
{
	return s->shares.left;
}

/* The worker did other work than visits: charge the time since the last visit to no port. */
void sweep_other_work(struct sweep *s);

/* The same, but it was work for the port of this queue, so the port is charged. */
void sweep_work_for(struct sweep *s, struct queue *q);

/* A turn without a forwarding. */
void sweep_nothing(struct sweep *s);

/* Make all queues of the list cold, because the worker goes to sleep. */
void sweep_rest(struct sweep *s, const struct poll_list *list);

/* The driver of queue i of the list has kicked. sweep_follow() was called for this list. */
void sweep_kicked(struct sweep *s, unsigned i);

/* Make one turn over list, the worker's list in fwd. Returns how many frames were moved. */
unsigned sweep_turn(struct sweep *s, struct burst *b, const struct forwarding *fwd,
    const struct poll_list *list, uint32_t now_s);
