/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which of its queues a worker polls every turn, and at which it only looks now and then.
 *
 * A queue that had nothing for SWEEP_COLD turns is cold. A look finds out whether it has something
 * again: one word of the guest's, found in an array, for which neither the queue nor its ring is
 * touched (vring_peek). While others have work, a turn ends with some looks for the frames that it
 * has moved, SWEEP_LOOKS at least, so what idle queues cost is a part of what frames cost, however
 * many there are. A turn that moved nothing has time for more, and when no warm queue is left it
 * looks at all.
 *
 * A worker that sleeps has only cold queues, and who kicks it is warm when it wakes. So the frame
 * that ends a sleep is found without a look at anybody else.
 *
 * What is remembered of a queue (poll.h) outlives the forwarding: with a new one only queues that
 * are new to the worker, or whose rings were started anew, are warm again.
 *
 * Each poll ends with a reading of the clock. One that moved frames was busy, for its worker and
 * for its queue; all others were idle, in a turn with frames, too. So being busy costs what it
 * costs (the figure that OVS and testpmd give, too), and the balancer knows each queue's part.
 * Looks at the end of a turn that moved frames are busy for the worker.
 *
 * A queue whose port has no credit left in this round (share.h) is passed over as if it stood
 * elsewhere: that says nothing about whether it is quiet.
 *
 * Threads: the worker's alone.
 */
#pragma once

#include "datapath/burst.h"
#include "worker/poll.h"
#include "worker/share.h"

#define SWEEP_COLD        255
#define SWEEP_LOOKS       2
#define SWEEP_LOOK_FRAMES 8  /* frames that pay for a look */
#define SWEEP_SLICES      64 /* of all queues, one is looked at in a turn that has time */

struct sweep {
	struct poll poll;
	uint32_t *warm; /* places on the list */
	unsigned n_warm;
	unsigned cursor;     /* where the next look begins */
	unsigned frames;     /* that this turn, or the last one, moved */
	uint64_t clock;      /* TSC at the last reading; the caller sets it when it was elsewhere */
	uint64_t busy, idle; /* cycles so far */
	struct shares shares;
};

_Static_assert(SHARE_PORTS_MAX == PORTS_MAX, "a share for each port");
_Static_assert(SHARE_FRAMES == BURST_FRAMES, "a visit is a burst");

/* -ENOMEM. */
int sweep_init(struct sweep *s, uint64_t tsc_hz);
void sweep_cleanup(struct sweep *s);

/* The list, which may be another one than the last time, is what the following is about. */
void sweep_follow(struct sweep *s, const struct poll_list *list);

/* Did the last turn leave out queues, which may have frames, because of their port's share? */
static inline bool sweep_left(const struct sweep *s)
{
	return s->shares.left;
}

/* A turn without a forwarding. */
void sweep_nothing(struct sweep *s);

/* All queues of the list are quiet: the worker goes to sleep. */
void sweep_rest(struct sweep *s, const struct poll_list *list);

/* The driver of queue i of the list, which is still that of the last turn, has kicked. */
void sweep_kicked(struct sweep *s, unsigned i);

/* One turn over fwd's list for a worker. Returns frames moved. */
unsigned sweep_turn(struct sweep *s, struct burst *b, const struct forwarding *fwd,
    const struct poll_list *list, uint32_t now_s);
