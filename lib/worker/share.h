/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a worker's time is shared between the ports whose queues it polls.
 *
 * Every port has credit, in cycles, for a round. Each visit to one of its queues is charged to it,
 * with all that the frames cost, floods and segmentation included. A port that has used up its
 * credit, or more than that, is left out until the round ends. The round ends with the first turn
 * in which no port that has credit left was found with more frames than were taken from it. So two
 * ports with work without end get the same cycles, however many queues they have; and a port whose
 * neighbours have little to do loses nothing, for rounds are then as short as turns.
 *
 * A visit cannot be ended early. So the frames of the next visit are as many as take VISIT_US at
 * the price of the port's most expensive frames lately.
 *
 * Where credit ends before all queues of a port have been visited, the others are first in turn
 * when there is credit again: a pass visits each queue that has work once, and may take several
 * turns.
 *
 * Threads: the worker's alone. Knows no queues, no rings and no clock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"

#define SHARE_ROUND_US  40 /* a port's credit for a round */
#define SHARE_VISIT_US  40 /* what a visit should take at most */
#define SHARE_DEBT_MAX  50 /* rounds; a worker that lost its CPU must not cost a port more */
#define SHARE_FRAMES    32 /* at most, of a visit */
#define SHARE_PORTS_MAX 1024

struct share {
	int64_t credit; /* cycles left in this round; negative: it took more than its share */
	uint32_t round; /* that the credit is for */
	uint32_t turn;  /* the last one in which the port was asked about */
	uint32_t cost;  /* cycles per frame, if visits have to be short; else 0 */
	uint8_t frames; /* fewer than SHARE_FRAMES of the next visit; 0: none fewer */
	uint8_t pass;
	bool left_out; /* a queue had to wait for credit in that turn */
};

struct shares {
	uint32_t turn, round;
	bool backlog; /* a port with credit left has more frames, as far as this turn has seen */
	bool left;    /* in this turn some queue was left out, for whatever reason */
	uint64_t round_cycles, visit_cycles;
	uint64_t frame_cycles; /* frames of this price make a full visit */
	struct share port[SHARE_PORTS_MAX];
};

void shares_init(struct shares *s, uint64_t tsc_hz);

/* Once at the beginning of each turn. */
void shares_begin_turn(struct shares *s);

/* The port's first queue in this turn. */
void share_begin_turn(struct shares *s, struct share *share);

/* A visit was expensive, or one before was: how many frames may the next one take? */
void share_set_frames(struct shares *s, struct share *share, uint64_t spent, unsigned frames);

/*
 * May a queue of this port be visited? pass is the queue's own: the last pass that it was in; any
 * value will do for a new queue.
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

/* A visit took so many cycles and found so many frames of those that it might have taken. */
static inline void share_charge(
    struct shares *s, unsigned port, uint64_t spent, unsigned frames, unsigned might)
{
	struct share *share = &s->port[port];

	share->credit -= (int64_t)spent;
	s->backlog |= frames == might && share->credit > 0;
	if (UNLIKELY(frames && (spent > s->frame_cycles * frames || share->cost)))
		share_set_frames(s, share, spent, frames);
}
