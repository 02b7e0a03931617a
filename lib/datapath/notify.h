/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Call drivers (notify them that buffers were used), if they want it.
 *
 * Whether a driver wants a call must be read after the driver can see the used buffers. The barrier
 * in between waits for all stores that are on their way to other cores. So this check is made once
 * per burst, for all queues that the burst visited, and before a full queue is tried again. For a
 * queue that several workers may write, it is made at once, under the queue's lock; the call is
 * made without the lock. With several workers, all deliver queues are such queues.
 *
 * A call is a write to an eventfd of the front-end, and the front-end can make this write take
 * long. So a worker makes only calls that are known to be quick, and measures their time. It leaves
 * all other calls to the control thread, and after a slow call all calls of that port. The control
 * thread lets errands (base/errand.h) make them until they are known to be quick.
 */
#pragma once

#include <errno.h>
#include <sys/eventfd.h>

#include <rte_cycles.h>

#include "datapath/burst.h"
#include "virtio/vring_events.h"

/* After a write that took long or was interrupted: note it, if the front-end is the cause. */
void call_note(struct burst *b, struct queue *q, uint64_t cycles, bool interrupted);

/* Record what happened to a call, and for which calls the driver asks now. */
void call_record(const struct queue *q, enum vring_event_kind kind);

/* The same after a write for a call. error: its error number, or 0. */
void call_record_written(const struct queue *q, int error);

/* May a worker write to the descriptor that it has read from call_fd? */
static inline bool call_trusted(const struct queue *q)
{
	return !q->call_trust || atomic_load_explicit(q->call_trust, memory_order_acquire) & 1;
}

static inline void call_leave(struct burst *b, struct queue *q)
{
	atomic_store(&q->call_left, true);
	/* Atomic: the queue's lock is not held here. */
	__atomic_fetch_add(&q->stats.calls_left, 1, __ATOMIC_RELAXED);
	if (UNLIKELY(q->events != NULL))
		call_record(q, VRING_EVENT_CALL_LEFT);
	atomic_store(&q->port->calls->left, true);
	atomic_store(&b->noted, true);
}

/*
 * Call the driver. This is the only system call on a front-end's file that a worker makes.
 *
 * The eventfd is non-blocking when we receive it, but the front-end shares its flags and its
 * counter, and can make this write block. So the worker stores which queue it calls before the
 * write: see workers_unblock().
 */
static inline void queue_call(struct burst *b, struct queue *q)
{
	int fd = __atomic_load_n(&q->call_fd, __ATOMIC_ACQUIRE);
	uint64_t cycles;
	int error;

	if (UNLIKELY(fd < 0))
		return; /* the front-end has removed it meanwhile */
	if (UNLIKELY(!call_trusted(q)) ||
	    UNLIKELY(atomic_load_explicit(&q->port->calls->slow, memory_order_relaxed))) {
		call_leave(b, q);
		return;
	}
	cycles = rte_rdtsc();
	atomic_store_explicit(&b->calling, q, memory_order_release);
	error = eventfd_write(fd, 1) < 0 ? errno : 0; /* syscalls(worker): write */
	b->calls++; /* before `calling` is cleared: a call that has ended is counted */
	atomic_store_explicit(&b->calling, NULL, memory_order_release);
	cycles = rte_rdtsc() - cycles;
	if (UNLIKELY(q->events != NULL))
		call_record_written(q, error);
	if (UNLIKELY(cycles > b->slow_call || error == EINTR))
		call_note(b, q, cycles, error == EINTR);
}

/* Does the driver want a call? Counted here, because the lock protects the counters, too. */
static inline bool queue_asks(struct queue *q)
{
	if (READ_ONCE(q->call_fd) < 0 || !vring_call_asked(q->ring)) {
		q->stats.calls_suppressed++;
		if (UNLIKELY(q->events != NULL))
			call_record(q, VRING_EVENT_CALL_UNWANTED);
		return false;
	}
	q->stats.calls++;
	return true;
}

/* Call the drivers of all queues that wait, if they want it. */
static inline void burst_notify(struct burst *b)
{
	if (b->n_notify == 0)
		return;
	vring_barrier();
	for (unsigned i = 0; i < b->n_notify; i++)
		if (queue_asks(b->notify[i]))
			queue_call(b, b->notify[i]);
	b->n_notify = 0;
}

/* Let a completed queue wait for burst_notify(). Only for queues that no other worker completes. */
static inline void queue_notify_later(struct burst *b, struct queue *q)
{
	if (UNLIKELY(b->n_notify == BURST_NOTIFY_MAX))
		burst_notify(b);
	b->notify[b->n_notify++] = q;
}

/* Unlock a completed queue that other workers may complete, too, and call its driver. */
static inline void queue_unlock_and_notify(struct burst *b, struct queue *q)
{
	bool asks;

	vring_barrier();
	asks = queue_asks(q);
	rte_spinlock_unlock(&q->lock);
	if (asks)
		queue_call(b, q);
}

/* Tell the control thread if the ring misses translations. The eventfd is our own. */
static inline void queue_tell_misses(struct queue *q)
{
	if (LIKELY(!q->ring->translated) || LIKELY(!q->ring->translation.news))
		return;
	q->ring->translation.news = false;
	eventfd_write(q->miss_fd, 1);
}
