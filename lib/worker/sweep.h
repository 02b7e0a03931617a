/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decides which queues a worker visits. Warm queues are visited in every turn. At cold queues the
 * worker only looks now and then.
 *
 * A queue becomes cold after SWEEP_COLD turns without a frame. A look tells whether a cold queue
 * has frames again. A look only reads one word of guest memory (vring_peek). It does not touch the
 * queue or its ring. While other queues have work, a turn ends with a few looks: one for every
 * SWEEP_LOOK_FRAMES frames that the turn moved, and at least SWEEP_LOOKS. So the cost of looks is a
 * small part of the cost of frames, and the number of idle queues does not matter. A turn that
 * moved no frame ends with more looks. If no queue is warm, a turn begins with a look at each
 * queue.
 *
 * When a worker falls asleep, all its queues become cold. When it wakes up, the queues that were
 * kicked become warm. So the worker finds the frame that ended its sleep without looks at other
 * queues.
 *
 * The data of a queue (poll.h) is kept when the worker gets a new forwarding. So a cold queue stays
 * cold, unless its ring was started anew. A queue that is new to the worker is warm.
 *
 * Each poll ends with a reading of the clock. The cycles of a poll that moved frames are busy
 * cycles. They are counted for the worker and for the queue. The cycles of all other polls are idle
 * cycles. So busy cycles are the cost of moving frames, as in the figures of OVS and testpmd, and
 * the balancer knows the cost of each queue. Looks at the end of a turn that moved frames count as
 * busy cycles of the worker.
 *
 * A queue is skipped if its port has no credit left in this round (share.h). A turn in which a
 * queue is skipped does not count as a turn without a frame.
 *
 * Threads: each worker has its own struct sweep.
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
	uint32_t once;       /* the last round in which sweep_once_a_round() was true */
	struct shares shares;
};

_Static_assert(SHARE_PORTS_MAX == PORTS_MAX, "a share for each port");
_Static_assert(SHARE_FRAMES == BURST_FRAMES, "a visit is a burst");

/* 0 or -ENOMEM. */
int sweep_init(struct sweep *s, uint64_t tsc_hz);
void sweep_cleanup(struct sweep *s);

/* Use this list from now on. It may be equal to the list before. */
void sweep_follow(struct sweep *s, const struct poll_list *list);

/* Did the last turn skip queues because their port had no credit? These queues may have frames. */
static inline bool sweep_left(const struct sweep *s)
{
	return s->shares.left;
}

/*
 * True once in each round of the shares. If no queue has more frames than were taken, each turn
 * begins a round.
 */
bool sweep_once_a_round(struct sweep *s);

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
