/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sleep of a worker that has nothing to do. It asks the drivers of its rings to kick, checks
 * the rings once more, and sleeps until a driver kicks.
 *
 * Kicks of a ring stay enabled until the driver kicks or the ring has had chains. So a worker with
 * a thousand unused ports wakes up and falls asleep as quickly as a worker with one port. A port
 * that changes all the time makes no difference, either.
 *
 * Threads: idle_wake(), idle_watch() and idle_unwatch() are for the control thread, all other
 * functions for the worker that owns the struct idle.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "datapath/queue.h"
#include "worker/poll.h"

#define IDLE_NOBODY UINT64_MAX /* a key that no queue has */
#define IDLE_KICKS  64         /* the most keys returned at a time */

struct idle {
	int wake_fd;   /* the control thread writes it to end a sleep */
	int epoll_fd;  /* watches wake_fd and the kick eventfds of the worker's rings */
	bool kicks;    /* sleep until a kick; else nap for a fixed time */
	bool kicked;   /* a kick ended the last sleep */
	uint64_t spin; /* TSC cycles without work before the next sleep */
	uint64_t spin_min, spin_max, sleep_short;
	atomic_bool asleep;
};

/* tsc_hz: TSC cycles per second. 0 or a negative errno. */
int idle_init(struct idle *idle, uint64_t tsc_hz);
void idle_cleanup(struct idle *idle);

/* End the worker's sleep, if it sleeps or is about to. */
void idle_wake(struct idle *idle);

/*
 * From now on a kick by fd, an eventfd, ends the sleep, and counts as a kick of the queue with this
 * key. Call this before the worker has the queue on its list. 0 or a negative errno.
 */
int idle_watch(const struct idle *idle, int fd, uint64_t key);

/*
 * Undo idle_watch(), when the worker is about to lose the queue. Call this before fd is closed: the
 * front-end has the same file, so closing fd does not end the watch.
 */
void idle_unwatch(const struct idle *idle, int fd);

/*
 * Get ready to sleep until the ring of a queue on list is kicked (list NULL: no queues). entry[i]
 * is for queue i of list. True: sleep now. False: there is work.
 */
bool idle_prepare(struct idle *idle, const struct poll_list *list, struct poll_entry entry[]);

/* The queue had chains, or its driver has kicked. So ask the driver not to kick. */
static inline void idle_disable_kick(struct poll_entry *entry, const struct queue *q)
{
	if (LIKELY(!entry->kick_enabled))
		return;
	entry->kick_enabled = false;
	q->ops->kick_disable(q);
}

/* Record a kick of the queue's driver. woke: the kick ended a sleep. */
static inline void idle_note_kick(const struct queue *q, bool woke)
{
	queue_record(q, VRING_EVENT_KICK, woke);
}

/*
 * Sleep. Meanwhile the control thread may free the forwarding that the worker used. Stores the keys
 * of queues that were kicked in ret_kicked[], which has IDLE_KICKS entries. Returns the number of
 * keys. By now some of these queues, or their ports, may not exist any more.
 */
unsigned idle_wait(struct idle *idle, uint64_t ret_kicked[]);

/* Get the keys of further queues that were kicked, in the same way, without waiting. */
unsigned idle_more_kicks(struct idle *idle, uint64_t ret_kicked[]);

/*
 * Choose how long the worker polls before its next sleep. To be called after a sleep, which took
 * `slept` TSC cycles. If a kick ended the sleep, the time is doubled after a short sleep and halved
 * after a long one.
 */
void idle_adapt(struct idle *idle, uint64_t slept);
