/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Workers: one thread per DPDK worker lcore, each polling its share of the receive queues.
 *
 * The control thread hands them a `struct forwarding`. A worker loads the pointer once per
 * turn of its loop, polls every queue on its list, and reports a quiescent state. So once
 * workers_publish() has returned, no worker will ever again touch anything that is only
 * reachable through the previous forwarding.
 *
 * A worker that found nothing for a while sleeps until a driver kicks (unless told to poll without
 * rest); it is off-line for the control thread meanwhile, so a sleeping worker delays nobody.
 *
 * Threads: all functions are for the control thread. Statistics may be read at any time; they
 * are written by the workers without locks, each its own cache lines.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "datapath/port.h"

struct fdb;
struct workers;

struct workers_config {
	struct fdb *fdb;
	bool idle_sleep;
	/* Called by each worker before it begins; not 0: it stays away. NULL: nothing. */
	int (*enter)(void);
	/*
	 * Called by the control thread when it has waited for a worker for two seconds: whatever
	 * keeps it must be taken away. May not publish. NULL: wait on.
	 */
	void (*stuck)(void *arg);
	void *stuck_arg;
};

struct worker_stats {
	unsigned lcore;
	unsigned cpu;          /* that it runs on */
	unsigned node;         /* that this CPU is of */
	bool asleep;           /* at the moment */
	uint64_t busy_cycles;  /* TSC, polls that moved frames */
	uint64_t idle_cycles;  /* polls that found nothing */
	uint64_t sleep_cycles; /* asleep */
	uint64_t sleeps;
	uint64_t turns;  /* that moved frames */
	uint64_t frames; /* taken from guests */
};

/*
 * Start one worker on every EAL worker lcore. -ENODEV: there is none; -ENOMEM. They idle until
 * something is published.
 */
int workers_start(const struct workers_config *config, struct workers **ret_workers);

/* Stop and join them. The last forwarding stays the caller's to destroy. */
void workers_stop(struct workers *workers);

unsigned workers_count(const struct workers *workers);

/*
 * Wait until every burst that is in hand now has been finished and is in the books. A frame that
 * somebody has already received is then counted everywhere.
 */
void workers_synchronize(struct workers *workers);

/*
 * A hostile front-end can make the write to its call eventfd block: it shares the flags and the
 * counter. Ends every such write that a worker has been in since the last look. True: workers have
 * noted something in the struct port_calls of some port. Call often: until then a blocked worker's
 * other ports stand still.
 */
bool workers_unblock(struct workers *workers);

/* Is one of them not asleep? */
bool workers_awake(const struct workers *workers);

/*
 * Has some worker not finished a burst for the last `looks` calls of this function? Call it at
 * regular intervals. A sleeping worker has.
 */
bool workers_stand_still(struct workers *workers, unsigned looks);

/*
 * Let the workers run on fwd from now on, wait until none uses the previous one any more, and
 * return that (NULL the first time), to be destroyed. Takes microseconds; the burst in hand is
 * finished first.
 */
struct forwarding *workers_publish(struct workers *workers, struct forwarding *fwd);

/*
 * Kicks by this descriptor, an eventfd, wake the worker if it polls the queue with this key. To be
 * called before a forwarding is published in which it does. Negative errno of the system.
 */
int workers_watch(const struct workers *workers, unsigned worker, int fd, uint32_t key);

/* No longer: before the descriptor is closed. */
void workers_unwatch(const struct workers *workers, unsigned worker, int fd);

/*
 * Have the worker that polls a queue of this port send a frame in the port's name, soon, if the
 * port is still up then; see burst_inject(). -EAGAIN: too many of them wait already; -EINVAL.
 */
int workers_inject(
    struct workers *workers, unsigned worker, uint16_t port, const uint8_t *frame, uint32_t len);

/* Has the worker still to send one of them? */
bool workers_mail_waits(const struct workers *workers, unsigned worker);

void workers_read_stats(const struct workers *workers, unsigned worker, struct worker_stats *ret);
