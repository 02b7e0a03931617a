/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a worker that has nothing to do rests: it asks the drivers of its rings to kick, looks once
 * more, and sleeps until one does.
 *
 * A driver stays asked until it kicks or its ring has had something: waking up and falling asleep
 * again take no longer beside a thousand ports that nobody uses.
 *
 * Threads: idle_wake() is for the control thread, all else for the worker that owns it.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "datapath/port.h"

#define IDLE_NOBODY UINT32_MAX
#define IDLE_KICKS  64 /* told of at a time */

struct idle {
	int wake_fd;         /* the control thread's way to end a sleep */
	int epoll_fd;        /* wake_fd and the kicks of one forwarding's rings */
	uint64_t watched;    /* which forwarding: its generation */
	bool kicks;          /* every ring of it can be kicked */
	bool asked;          /* rings of the last forwarding may be asked to */
	uint64_t seen;       /* the last forwarding's generation, */
	uint64_t seen_since; /* in TSC cycles; */
	uint64_t settle;     /* how long until it is worth watching */
	uint64_t spin;       /* TSC cycles without work before the next rest */
	uint64_t spin_min, spin_max, sleep_short;
	atomic_bool asleep;
};

/* tsc_hz: cycles of the clock per second. Negative errno of the system. */
int idle_init(struct idle *idle, uint64_t tsc_hz);
void idle_cleanup(struct idle *idle);

/* End the sleep that the worker is in, or about to begin. */
void idle_wake(struct idle *idle);

/*
 * Get ready to sleep on the kicks of the rings in list (NULL: none), which is that of the
 * forwarding of this generation. True: sleep. False: there is work.
 */
bool idle_prepare(struct idle *idle, const struct poll_list *list, uint64_t generation);

/* Has it been this forwarding for so long that its kicks are worth watching? */
bool idle_settled(struct idle *idle, uint64_t generation, uint64_t now);

/* Instead of idle_prepare: sleep for a moment, and let nobody kick. */
void idle_prepare_nap(struct idle *idle);

/* This queue had something, or has kicked: whoever polls it needs no kicks. */
static inline void idle_unask(const struct poll_list *list, unsigned i)
{
	if (LIKELY(!list->asked[i]))
		return;
	list->asked[i] = false;
	vring_kick_disable(list->queue[i]->ring);
}

/* The list is a new one. Rings that were on the last one, too, may still be asked. */
void idle_unask_all(struct idle *idle, const struct poll_list *list);

/*
 * Sleep. The worker must hold on to nothing that the control thread may take away. Which queues of
 * the list were kicked goes to ret_kicked, of IDLE_KICKS; returns how many.
 */
unsigned idle_wait(struct idle *idle, uint32_t ret_kicked[]);

/* Those that were not told of yet, likewise; does not wait. */
unsigned idle_more_kicks(struct idle *idle, uint32_t ret_kicked[]);

/* A sleep of so many cycles has ended: after short ones, wait longer before the next. */
void idle_adapt(struct idle *idle, uint64_t slept);
