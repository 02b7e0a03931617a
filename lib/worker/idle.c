/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kick eventfds belong to the front-ends. A front-end may keep its eventfd readable for ever, or
 * make it block. So workers never read kick eventfds: edge-triggered epoll reports each kick once,
 * even if the eventfd is not read. The control thread adds an eventfd to the worker's epoll set
 * before the worker gets the queue, and removes it when the worker is about to lose the queue. The
 * worker asks for kicks only while the queue is on its list. So each kick that the worker needs is
 * reported.
 *
 * A ring without a kick eventfd has to be polled. A worker that has such a ring naps instead of
 * sleeping. A nap is so short that a frame does not wait much longer than it would wait for a kick.
 *
 * A kick costs the guest an exit to its hypervisor. If frames come again and again just after the
 * worker has fallen asleep, the worker spins longer before its next sleep, up to a millisecond.
 */
#include "worker/idle.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define SPIN_MIN_US    200
#define SPIN_MAX_US    1000
#define SLEEP_SHORT_US 500
#define NAP_NS         50000
/* The longest sleep. The value is not important. */
#define SLEEP_MS 1000

int idle_init(struct idle *idle, uint64_t tsc_hz)
{
	uint64_t us = tsc_hz / 1000000;

	*idle = (struct idle){
	    .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	    .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
	    .spin = SPIN_MIN_US * us,
	    .spin_min = SPIN_MIN_US * us,
	    .spin_max = SPIN_MAX_US * us,
	    .sleep_short = SLEEP_SHORT_US * us,
	};
	if (idle->wake_fd < 0 || idle->epoll_fd < 0)
		return -errno;
	return idle_watch(idle, idle->wake_fd, IDLE_NOBODY);
}

void idle_cleanup(struct idle *idle)
{
	if (idle->epoll_fd >= 0)
		close(idle->epoll_fd);
	if (idle->wake_fd >= 0)
		close(idle->wake_fd);
	idle->epoll_fd = idle->wake_fd = -1;
}

void idle_wake(struct idle *idle)
{
	/*
	 * worker_sleep() sets `asleep` first, and then checks for news. So the worker cannot miss
	 * the news.
	 */
	if (atomic_load(&idle->asleep))
		eventfd_write(idle->wake_fd, 1); /* syscalls: write */
}

int idle_watch(const struct idle *idle, int fd, uint64_t key)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = key};

	/* syscalls: epoll_ctl */
	return epoll_ctl(idle->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

void idle_unwatch(const struct idle *idle, int fd)
{
	epoll_ctl(idle->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

/*
 * Get the keys of queues that were kicked, at most IDLE_KICKS. Waits at most timeout_ms for the
 * first.
 */
static unsigned read_kicks(const struct idle *idle, int timeout_ms, uint64_t ret_kicked[])
{
	struct epoll_event event[IDLE_KICKS];
	unsigned kicked = 0;
	int n;

	n = epoll_wait(
	    idle->epoll_fd, event, IDLE_KICKS, timeout_ms); /* syscalls(worker): epoll_wait */
	for (int k = 0; k < n; k++)
		if (event[k].data.u64 != IDLE_NOBODY)
			ret_kicked[kicked++] = event[k].data.u64;
	return kicked;
}

/*
 * Take the kicks that came while the worker was awake. Otherwise they would end the next sleep at
 * once. The drivers of these queues are asked for kicks again, and their rings are checked, because
 * the frames of these kicks may still be in the rings.
 */
static void take_kicks(struct idle *idle, const struct poll_list *list, struct poll_entry entry[])
{
	uint64_t kicked[IDLE_KICKS];
	unsigned n;

	/* The loop has an upper limit, because a driver may kick all the time. */
	for (unsigned taken = 0; taken <= list->n; taken += n) {
		n = read_kicks(idle, 0, kicked);
		if (n == 0)
			break;
		for (unsigned k = 0; k < n; k++) {
			unsigned i = poll_find(list, kicked[k]);

			if (i == list->n)
				continue; /* the queue has left the list */
			idle_disable_kick(&entry[i], list->queue[i]);
			idle_note_kick(list->queue[i], false);
		}
	}
}

/* Ask the driver to kick. True: the ring already has chains. */
static bool ask(struct poll_entry *entry, const struct queue *q)
{
	bool waits;

	if (entry->kick_enabled)
		return false;
	entry->kick_enabled = true;
	waits = q->ops->kick_enable(q);
	queue_record(q, VRING_EVENT_KICK_WANTED, waits);
	if (waits)
		idle_disable_kick(entry, q);
	return waits;
}

bool idle_prepare(struct idle *idle, const struct poll_list *list, struct poll_entry entry[])
{
	idle->kicks = !list || list->kicks;
	if (!list || !idle->kicks)
		return true;
	take_kicks(idle, list, entry);
	for (unsigned i = 0; i < list->n; i++) {
		if (ask(&entry[i], list->queue[i]))
			return false;
	}
	return true;
}

unsigned idle_wait(struct idle *idle, uint64_t ret_kicked[])
{
	const struct timespec nap = {.tv_nsec = NAP_NS};
	unsigned n = 0;

	if (idle->kicks)
		n = read_kicks(idle, SLEEP_MS, ret_kicked);
	else
		nanosleep(&nap, NULL); /* syscalls(worker): nanosleep clock_nanosleep */
	idle->kicked = n > 0;
	return n;
}

unsigned idle_more_kicks(struct idle *idle, uint64_t ret_kicked[])
{
	return idle->kicks ? read_kicks(idle, 0, ret_kicked) : 0;
}

void idle_adapt(struct idle *idle, uint64_t slept)
{
	if (!idle->kicked)
		return;
	if (slept < idle->sleep_short)
		idle->spin = MIN(idle->spin * 2, idle->spin_max);
	else
		idle->spin = MAX(idle->spin / 2, idle->spin_min);
}
