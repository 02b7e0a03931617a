/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kick eventfds belong to the front-ends, which may keep them readable for ever or make them block.
 * So they are never read: edge-triggered epoll reports each kick once, read or not. The control
 * thread puts them into the worker's set and takes them out, each once: the worker has a queue on
 * its list only while its kicks are in the set, and asks for kicks only while it has the queue on
 * its list. So each kick that a driver was asked for is reported.
 *
 * A ring without a kick eventfd has to be polled; a worker that has one naps instead, for so short
 * a time that a frame does not wait much longer than for a kick.
 *
 * A kick costs the guest an exit to its hypervisor. Traffic that comes again and again right after
 * the worker has fallen asleep makes it wait longer before the next time, up to a millisecond.
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
/* A sleep ends by itself once in a while. Nothing depends on it. */
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
	/* Pairs with the worker's look at what is published, after it has said that it sleeps. */
	if (atomic_load(&idle->asleep))
		eventfd_write(idle->wake_fd, 1); /* syscalls: write */
}

int idle_watch(const struct idle *idle, int fd, uint32_t key)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = key};

	/* syscalls: epoll_ctl */
	return epoll_ctl(idle->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

void idle_unwatch(const struct idle *idle, int fd)
{
	epoll_ctl(idle->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

/* Who has kicked, at most IDLE_KICKS of them; waits that long for the first. */
static unsigned read_kicks(const struct idle *idle, int timeout_ms, uint32_t ret_kicked[])
{
	struct epoll_event event[IDLE_KICKS];
	unsigned kicked = 0;
	int n;

	n = epoll_wait(
	    idle->epoll_fd, event, IDLE_KICKS, timeout_ms); /* syscalls(worker): epoll_wait */
	for (int k = 0; k < n; k++)
		if (event[k].data.u32 != IDLE_NOBODY)
			ret_kicked[kicked++] = event[k].data.u32;
	return kicked;
}

/*
 * Kicks that came while the worker was awake would end the next sleep as soon as it begins. Who
 * kicked is asked, and looked at, once more: what it kicked for may still be there.
 */
static void take_kicks(struct idle *idle, const struct poll_list *list, struct poll_entry entry[])
{
	uint32_t kicked[IDLE_KICKS];
	unsigned n;

	/* Whoever kicks on and on does not keep it here. */
	for (unsigned taken = 0; taken <= list->n; taken += n) {
		n = read_kicks(idle, 0, kicked);
		if (n == 0)
			break;
		for (unsigned k = 0; k < n; k++) {
			unsigned i = poll_find(list, kicked[k]);

			if (i == list->n)
				continue; /* a queue that has left */
			idle_unask(&entry[i], list->queue[i]->ring);
			idle_note_kick(list->queue[i], false);
		}
	}
}

/* True: it has something already. */
static bool ask(struct poll_entry *entry, const struct queue *q)
{
	bool waits;

	if (entry->asked)
		return false;
	entry->asked = true;
	waits = vring_kick_enable(q->ring);
	vring_event(q->events, VRING_EVENT_KICK_WANTED, q->ring->position, waits);
	if (waits)
		idle_unask(entry, q->ring);
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

unsigned idle_wait(struct idle *idle, uint32_t ret_kicked[])
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

unsigned idle_more_kicks(struct idle *idle, uint32_t ret_kicked[])
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
