/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tell the drivers that buffers were used, if they asked to be told.
 *
 * Whether a driver asks has to be read after it can see what was used, and the barrier in between
 * waits for every store that is on its way to another core. So the question is put once a burst,
 * for all queues that it visited, and before a queue that was full is tried again. Of a queue that
 * several workers may write, which with several workers all deliver queues are, it is put at once,
 * under its lock; the call itself comes after the lock.
 *
 * A call is a write to an eventfd of the front-end, which can have it take long. So a worker makes
 * only calls that are known to be quick, and times them. All others, and after a slow one all calls
 * to that port, are left to the control thread. It has them made by threads that nobody waits for,
 * until they are known to be quick.
 */
#pragma once

#include <errno.h>
#include <sys/eventfd.h>

#include <rte_cycles.h>

#include "datapath/burst.h"
#include "virtio/vring_events.h"

/* After a write that took long, or was interrupted: was it the front-end's fault? Note that. */
void call_note(struct burst *b, struct queue *q, uint64_t cycles, bool interrupted);

/* Record what has become of a call, and what its driver asks for now. */
void call_record(const struct queue *q, enum vring_event_kind kind);

/* The same of one that was written, or could not be: error, else 0. */
void call_record_written(const struct queue *q, int error);

/* May a worker write what was read from call_fd before? */
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
 * The only system call a worker makes for a burst, and only for drivers that sleep.
 *
 * The eventfd is non-blocking when it comes to us, but the front-end shares its flags and its
 * counter, and can turn this write into one that blocks. So the worker says whom it calls
 * before it does: see workers_unblock().
 */
static inline void queue_call(struct burst *b, struct queue *q)
{
	int fd = __atomic_load_n(&q->call_fd, __ATOMIC_ACQUIRE);
	uint64_t cycles;
	int error;

	if (UNLIKELY(fd < 0))
		return; /* taken away since it asked */
	if (UNLIKELY(!call_trusted(q)) ||
	    UNLIKELY(atomic_load_explicit(&q->port->calls->slow, memory_order_relaxed))) {
		call_leave(b, q);
		return;
	}
	cycles = rte_rdtsc();
	atomic_store_explicit(&b->calling, q, memory_order_release);
	error = eventfd_write(fd, 1) < 0 ? errno : 0; /* syscalls(worker): write */
	b->calls++; /* before `calling`: a call that has ended is counted */
	atomic_store_explicit(&b->calling, NULL, memory_order_release);
	cycles = rte_rdtsc() - cycles;
	if (UNLIKELY(q->events != NULL))
		call_record_written(q, error);
	if (UNLIKELY(cycles > b->slow_call || error == EINTR))
		call_note(b, q, cycles, error == EINTR);
}

/* Is the driver to be called? Counted here, for the counters are under the queue's lock, too. */
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

/* All queues that wait for it. */
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

/* A queue was completed, which no other worker completes: ask its driver at the end. */
static inline void queue_notify_later(struct burst *b, struct queue *q)
{
	if (UNLIKELY(b->n_notify == BURST_NOTIFY_MAX))
		burst_notify(b);
	b->notify[b->n_notify++] = q;
}

/* One that others may complete, too, by the holder of its lock, which nobody waits for meanwhile.
 */
static inline void queue_unlock_and_notify(struct burst *b, struct queue *q)
{
	bool asks;

	vring_barrier();
	asks = queue_asks(q);
	rte_spinlock_unlock(&q->lock);
	if (asks)
		queue_call(b, q);
}

/* What a ring behind an IOMMU misses, the control thread asks for. The eventfd is our own. */
static inline void queue_tell_misses(struct queue *q)
{
	if (LIKELY(!q->ring->translated) || LIKELY(!q->ring->translation.news))
		return;
	q->ring->translation.news = false;
	eventfd_write(q->miss_fd, 1);
}
