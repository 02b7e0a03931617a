/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a worker that has nothing to do rests: it asks the drivers of its rings to kick, looks once
 * more, and sleeps until one does.
 *
 * A driver stays asked until it kicks or its ring has had something: waking up and falling asleep
 * again take no longer beside a thousand ports that nobody uses, nor beside one that changes all
 * the time.
 *
 * Threads: idle_wake(), idle_watch() and idle_unwatch() are for the control thread, all else for
 * the worker that owns it.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "datapath/port.h"
#include "virtio/vring_events.h"
#include "worker/poll.h"

#define IDLE_NOBODY UINT32_MAX
#define IDLE_KICKS  64 /* told of at a time */

struct idle {
	int wake_fd;   /* the control thread's way to end a sleep */
	int epoll_fd;  /* wake_fd and the kicks of the rings that the worker polls */
	bool kicks;    /* a kick ends the sleep; else it is a nap */
	bool kicked;   /* and one has ended the last */
	uint64_t spin; /* TSC cycles without work before the next rest */
	uint64_t spin_min, spin_max, sleep_short;
	atomic_bool asleep;
};

/* tsc_hz: cycles of the clock per second. Negative errno of the system. */
int idle_init(struct idle *idle, uint64_t tsc_hz);
void idle_cleanup(struct idle *idle);

/* End the sleep that the worker is in, or about to begin. */
void idle_wake(struct idle *idle);

/*
 * A kick by this descriptor, an eventfd, ends the sleep, and is the kick of the queue with this
 * key: from before the worker has the queue on its list, and until it is not on it any more.
 * Negative errno of the system.
 */
int idle_watch(const struct idle *idle, int fd, uint32_t key);

/* No longer. Before the descriptor is closed: the front-end has the same file. */
void idle_unwatch(const struct idle *idle, int fd);

/*
 * Get ready to sleep on the kicks of the rings in list (NULL: none), of which these are the
 * entries. True: sleep. False: there is work.
 */
bool idle_prepare(struct idle *idle, const struct poll_list *list, struct poll_entry entry[]);

/* The queue with this ring had something, or its driver has kicked: no more kicks are needed. */
static inline void idle_unask(struct poll_entry *entry, struct vring *ring)
{
	if (LIKELY(!entry->asked))
		return;
	entry->asked = false;
	vring_kick_disable(ring);
}

/* For the record: its driver has kicked. Has that ended a sleep? */
static inline void idle_note_kick(const struct queue *q, bool woke)
{
	vring_event(q->events, VRING_EVENT_KICK, q->ring->position, woke);
}

/*
 * Sleep. The worker must hold on to nothing that the control thread may take away. The keys of the
 * queues that were kicked go to ret_kicked, of IDLE_KICKS; returns how many. Some of them may have
 * left the list.
 */
unsigned idle_wait(struct idle *idle, uint32_t ret_kicked[]);

/* Those that were not told of yet, likewise; does not wait. */
unsigned idle_more_kicks(struct idle *idle, uint32_t ret_kicked[]);

/* A sleep of so many cycles has ended: if kicks end short ones, wait longer before the next. */
void idle_adapt(struct idle *idle, uint64_t slept);
