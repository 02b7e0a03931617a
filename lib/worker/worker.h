/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Workers: one thread per DPDK worker lcore. Each worker polls some of the ingress queues.
 *
 * The control thread gives them a `struct forwarding`. In each turn of its loop a worker loads the
 * pointer once, polls the queues on its list, and reports a quiescent state. So after
 * workers_publish() has returned, no worker uses an object that is only reachable through the
 * previous forwarding.
 *
 * If a worker has found no frames for a while, it sleeps until a driver kicks. With --idle poll it
 * never sleeps. While it sleeps, the control thread does not wait for its quiescent state.
 *
 * Threads: all functions are for the control thread. Statistics may be read at any time; workers
 * write them without locks, each to its own cache lines.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "datapath/port.h"

struct workers;

struct workers_config {
	bool idle_sleep;
	/* Called by each worker before it begins. Not 0: workers_start() fails. May be NULL. */
	int (*enter)(void);
	/*
	 * The control thread calls this after it has waited for a worker for two seconds. The
	 * function must end the wait of the worker, and must not publish. NULL: no function.
	 */
	void (*stuck)(void *arg);
	void *stuck_arg;
};

struct worker_stats {
	unsigned lcore;
	unsigned cpu;          /* on which it runs */
	unsigned node;         /* of this CPU */
	bool asleep;           /* at the moment */
	uint64_t busy_cycles;  /* TSC cycles of polls that moved frames */
	uint64_t idle_cycles;  /* of polls that found nothing */
	uint64_t sleep_cycles; /* of sleeps */
	uint64_t sleeps;
	uint64_t busy_turns; /* turns that moved frames */
	uint64_t frames;     /* taken from guests */
};

/*
 * Start a worker on every EAL worker lcore. They wait until something is published. -ENODEV: there
 * is no such lcore; -ENOMEM; what enter() returned.
 */
int workers_start(const struct workers_config *config, struct workers **ret_workers);

/* Stop and join the workers. The caller still owns the last forwarding. */
void workers_stop(struct workers *workers);

unsigned workers_count(const struct workers *workers);

/*
 * Wait until every burst that runs now has ended and has been counted. After that the counters
 * include all frames that guests had received before the call.
 */
void workers_synchronize(struct workers *workers);

/*
 * A hostile front-end can make the write to its call eventfd block, because it shares the flags and
 * the counter. This function interrupts a worker's write if the same write was found at the last
 * call, too. Call the function often, because a blocked worker serves no port. True: a worker has
 * set a field in the struct port_calls of a port.
 */
bool workers_unblock(struct workers *workers);

/* The number of calls that workers have made or begun so far. */
uint64_t workers_calls(const struct workers *workers);

/* Is a worker awake? */
bool workers_awake(const struct workers *workers);

/*
 * Is there a worker that has not finished its turn during the last `looks` calls of this function?
 * Call this at regular intervals. A sleeping worker counts as one that has finished its turn.
 */
bool workers_stand_still(struct workers *workers, unsigned looks);

/*
 * Let the workers use fwd from now on. Each worker finishes its turn first. Returns the previous
 * forwarding when no worker uses it any more; NULL the first time. The caller destroys it.
 */
struct forwarding *workers_publish(struct workers *workers, struct forwarding *fwd);

/*
 * From now on a kick by fd, an eventfd, wakes the worker, and counts as a kick of the queue with
 * this key. Call this before a forwarding is published in which the worker polls the queue. 0 or a
 * negative errno.
 */
int workers_watch(const struct workers *workers, unsigned worker, int fd, uint64_t key);

/* Undo workers_watch(). Call this before fd is closed. */
void workers_unwatch(const struct workers *workers, unsigned worker, int fd);

/*
 * Let the worker, which polls a queue of this port, soon send a frame as if the port had sent it,
 * if the port is still up then; see burst_inject(). -EAGAIN: too many frames, or frames of this
 * port, wait already; -EINVAL.
 */
int workers_inject(struct workers *workers, unsigned worker, struct port_id port,
    const uint8_t *frame, uint32_t len);

/* Does such a frame of this port wait for this worker? */
bool workers_mail_waits(const struct workers *workers, unsigned worker, struct port_id port);

/* The time in seconds, as workers write it into the address table. */
uint32_t workers_clock(void);

void workers_read_stats(const struct workers *workers, unsigned worker, struct worker_stats *ret);
