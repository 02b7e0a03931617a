/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/vhost_call.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <time.h>

#include <rte_cycles.h>

#include "base/off_cpu.h"
#include "datapath/burst.h"
#include "datapath/queue_ops.h"

/* Did the write take more than slow_call, without the time for which this thread had no CPU? */
static bool was_slow(struct burst *b, uint64_t cycles)
{
	int64_t off = off_cpu_ns(CLOCK_THREAD_CPUTIME_ID);
	int64_t lost = off - atomic_load(&b->off_cpu);
	/* slow_call is 500 us, so slow_call / 500 is the number of cycles per us. */
	uint64_t lost_cycles = lost > 0 ? (uint64_t)lost * (b->slow_call / 500) / 1000 : 0;

	if (off < 0)
		return false; /* not known: the next slow write will tell */
	atomic_store(&b->off_cpu, off);
	return cycles > b->slow_call + lost_cycles;
}

/* After a write that took long or was interrupted: note it, if the front-end is the cause. */
static void note_slow(struct burst *b, struct queue *q, uint64_t cycles, bool interrupted)
{
	if (!interrupted && !was_slow(b, cycles))
		return;
	if (interrupted)
		atomic_store(&q->port->calls->blocked, q->index + 1);
	atomic_store(&q->port->calls->slow, true);
	atomic_store(&b->noted, true);
}

/* If several workers write the queue, the position may be some frames old. */
void vhost_queue_record_call(const struct queue *q, enum vring_event_kind kind)
{
	queue_record(q, kind, vring_call_wish(q->ring));
}

static void record_written(const struct queue *q, int error)
{
	if (error)
		queue_record(q, VRING_EVENT_CALL_FAILED, error);
	else
		vhost_queue_record_call(q, VRING_EVENT_CALL);
}

/* May a worker write to the descriptor that it has read from call_fd? */
static bool trusted(const struct queue *q)
{
	return !q->call_trust || atomic_load_explicit(q->call_trust, memory_order_acquire) & 1;
}

static void leave(struct burst *b, struct queue *q)
{
	atomic_store(&q->call_left, true);
	/* This add is atomic, because the queue's lock is not held here. */
	__atomic_fetch_add(&q->stats.calls_left, 1, __ATOMIC_RELAXED);
	if (UNLIKELY(q->events != NULL))
		vhost_queue_record_call(q, VRING_EVENT_CALL_LEFT);
	atomic_store(&q->port->calls->left, true);
	atomic_store(&b->noted, true);
}

/*
 * This is the only system call on a front-end's file that a worker makes.
 *
 * The eventfd was made non-blocking. But the front-end shares its flags and its counter, and can
 * make this write block. So before the write the worker stores the queue in b->calling: see
 * workers_unblock().
 */
void vhost_queue_call(struct burst *b, struct queue *q)
{
	int fd = __atomic_load_n(&q->call_fd, __ATOMIC_ACQUIRE);
	uint64_t cycles;
	int error;

	if (UNLIKELY(fd < 0))
		return; /* the front-end has removed it meanwhile */
	if (UNLIKELY(!trusted(q)) ||
	    UNLIKELY(atomic_load_explicit(&q->port->calls->slow, memory_order_relaxed))) {
		leave(b, q);
		return;
	}
	cycles = rte_rdtsc();
	atomic_store_explicit(&b->calling, q, memory_order_release);
	error = eventfd_write(fd, 1) < 0 ? errno : 0; /* syscalls(worker): write */
	b->calls++; /* before `calling` is cleared: a call that has ended is counted */
	atomic_store_explicit(&b->calling, NULL, memory_order_release);
	cycles = rte_rdtsc() - cycles;
	if (UNLIKELY(q->events != NULL))
		record_written(q, error);
	if (UNLIKELY(cycles > b->slow_call || error == EINTR))
		note_slow(b, q, cycles, error == EINTR);
}

void vhost_queue_write_misses(struct queue *q)
{
	q->ring->translation.news = false;
	eventfd_write(q->miss_fd, 1);
}
