/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a worker that has nothing to do rests: it asks the drivers of its rings to kick, looks once
 * more, and sleeps until one does.
 *
 * Threads: idle_wake() is for the control thread, all else for the worker that owns it.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "datapath/port.h"

struct idle {
	int wake_fd;         /* the control thread's way to end a sleep */
	int epoll_fd;        /* wake_fd and the kicks of one forwarding's rings */
	uint64_t watched;    /* which forwarding: its generation */
	bool kicks;          /* every ring of it can be kicked */
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
 * forwarding of this generation. True: sleep. False: there is work; kicks are off again. Makes
 * system calls only when the forwarding is a new one.
 */
bool idle_prepare(struct idle *idle, const struct poll_list *list, uint64_t generation);

/* Has it been this forwarding for so long that its kicks are worth watching? */
bool idle_settled(struct idle *idle, uint64_t generation, uint64_t now);

/* Instead of idle_prepare: sleep for a moment, and let nobody kick. */
void idle_prepare_nap(struct idle *idle);

/* Kicks off, for polling. */
void idle_disable_kicks(const struct poll_list *list);

/* Sleep. The worker must hold on to nothing that the control thread may take away. */
void idle_wait(struct idle *idle);

/* A sleep of so many cycles has ended: after short ones, wait longer before the next. */
void idle_adapt(struct idle *idle, uint64_t slept);
