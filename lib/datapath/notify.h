/* SPDX-License-Identifier: BSD-3-Clause */
/* Tell the driver that buffers were used, if it asked to be told. */
#pragma once

#include <sys/eventfd.h>

#include "datapath/burst.h"

/*
 * The only system call a worker makes for a burst, and only for drivers that sleep.
 *
 * The eventfd is non-blocking when it comes to us, but the front-end shares its flags and its
 * counter, and can turn this write into one that blocks. So the worker says whom it calls
 * before it does: see workers_unblock().
 */
static inline void queue_notify(struct burst *b, struct queue *q)
{
	if (q->call_fd < 0 || !vring_call_needed(q->ring)) {
		q->stats.calls_suppressed++;
		return;
	}
	atomic_store_explicit(&b->calling, q, memory_order_release);
	eventfd_write(q->call_fd, 1); /* syscalls(worker): write */
	atomic_store_explicit(&b->calling, NULL, memory_order_release);
	b->calls++;
	q->stats.calls++;
}

/* What a ring behind an IOMMU misses, the control thread asks for. The eventfd is our own. */
static inline void queue_tell_misses(struct queue *q)
{
	if (LIKELY(!q->ring->translated) || LIKELY(!q->ring->translation.news))
		return;
	q->ring->translation.news = false;
	eventfd_write(q->miss_fd, 1);
}
