/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shares a worker's time between the ports that it polls.
 *
 * Every port has credit, in cycles, for a round. Each visit to a queue is charged to its port, with
 * all that the frames cost, floods and segmentation included. So is other work for the port. A port
 * that has used up its credit is left out until the round ends. The round ends with the first turn
 * in which no port with credit left had more frames than were taken from it. So two ports with
 * endless work get the same number of cycles, however many queues they have. If all other ports
 * have little to do, a busy port loses nothing, because then a round is as short as a turn.
 *
 * A visit cannot be ended early. So the next visit gets a limit: as many frames as take
 * SHARE_VISIT_US, at the highest recent cost per frame of the port. The first expensive visit does
 * not begin the limit: in most cases the worker lost its CPU for a moment. (A needless limit costs:
 * a guest sends its frames in bursts, and a visit should take a whole burst.) The limit begins if
 * another expensive visit is among the next SHARE_WATCH visits.
 *
 * A pass visits each queue of the port that has work once. If the credit ends before that, the pass
 * goes on when the port has credit again. So a pass may take several turns, and no queue is passed
 * over.
 *
 * Threads: each worker has its own struct shares. This code uses no queues, no rings and no clock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"

#define SHARE_ROUND_US    40 /* a port's credit for a round */
#define SHARE_VISIT_US    40 /* the longest time that a visit should take */
#define SHARE_DEFICIT_MAX 50 /* the most rounds without visits: a worker may lose its CPU */
#define SHARE_FRAMES      32 /* the most frames of a visit */
#define SHARE_WATCH       32 /* after an expensive visit, watch as many visits with frames */
#define SHARE_PORTS_MAX   1024

struct share {
	int64_t credit; /* cycles left in this round; negative: the port took more than its share */
	uint32_t round; /* the round of this credit */
	uint32_t turn;  /* the last turn with a call of share_may_visit() for the port */
	uint32_t cost;  /* cycles per frame, if visits have to be short; else 0 */
	uint8_t frames; /* limit for the next visit, below SHARE_FRAMES; 0: no limit */
	uint8_t watch;  /* so many more visits are watched */
	uint8_t pass;   /* number of the pass over the port's queues */
	bool left_out;  /* a queue had to wait for credit in that turn */
};

struct shares {
	uint32_t turn, round;
	bool backlog; /* in this turn a port with credit left had more frames than were taken */
	bool left;    /* in this turn some queue was left out, for any reason */
	uint64_t round_cycles, visit_cycles;
	uint64_t frame_cycles; /* at this cost per frame, SHARE_FRAMES take visit_cycles */
	struct share port[SHARE_PORTS_MAX];
};

void shares_init(struct shares *s, uint64_t tsc_hz);

/* Call this at the beginning of each turn. */
static inline void shares_begin_turn(struct shares *s)
{
	s->round += !s->backlog;
	s->turn++;
	s->backlog = s->left = false;
}

/* The credit of a port after so many more rounds. `credit` is its old credit, below 0. */
int64_t share_refill(const struct shares *s, int64_t credit, uint32_t rounds);

/* Give the port credit for all rounds that have begun since the last call. */
static inline void share_renew(struct shares *s, struct share *share)
{
	uint32_t rounds = s->round - share->round;

	if (rounds) {
		share->round = s->round;
		share->credit = LIKELY(share->credit >= 0) ? (int64_t)s->round_cycles
							   : share_refill(s, share->credit, rounds);
	}
}

/* For share_may_visit(): this is the port's first queue in this turn. */
static inline void share_begin_turn(struct shares *s, struct share *share)
{
	share->turn = s->turn;
	share_renew(s, share);
	if (LIKELY(!share->left_out))
		share->pass++;
	share->left_out = false;
}

/* After an expensive visit, or a watched visit: set the limit of frames for the next visit. */
void share_judge(struct shares *s, struct share *share, uint64_t spent, unsigned frames);

/*
 * May a queue of this port be visited now? *pass is a variable of the queue: the last pass in which
 * the queue was visited. Its first value does not matter.
 */
static inline bool share_may_visit(struct shares *s, unsigned port, uint8_t *pass)
{
	struct share *share = &s->port[port];

	if (share->turn != s->turn)
		share_begin_turn(s, share);
	if (LIKELY(share->credit > 0 && *pass != share->pass)) {
		*pass = share->pass;
		return true;
	}
	s->left = true;
	s->backlog |= share->credit > 0;
	share->left_out |= *pass != share->pass;
	return false;
}

/* How many frames the next visit to a queue of this port may take. */
static inline unsigned share_frames(const struct shares *s, unsigned port)
{
	return LIKELY(!s->port[port].frames) ? SHARE_FRAMES : s->port[port].frames;
}

/* Charge a visit that took `spent` cycles and found `frames` frames of at most `might`. */
static inline void share_charge(
    struct shares *s, unsigned port, uint64_t spent, unsigned frames, unsigned might)
{
	struct share *share = &s->port[port];

	share->credit -= (int64_t)spent;
	s->backlog |= frames == might && share->credit > 0;
	if (UNLIKELY(frames && (spent > s->frame_cycles * frames || share->watch)))
		share_judge(s, share, spent, frames);
}

/* Charge work for the port that was not a visit. */
static inline void share_charge_work(struct shares *s, unsigned port, uint64_t spent)
{
	share_renew(s, &s->port[port]); /* later, this would forgive the work */
	s->port[port].credit -= (int64_t)spent;
}
