/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/notify.h"

#include <time.h>

#include "base/off_cpu.h"

/* Was it more than slow_call, not counting the time for which this thread had no CPU? */
static bool was_slow(struct burst *b, uint64_t cycles)
{
	int64_t off = off_cpu_ns(CLOCK_THREAD_CPUTIME_ID);
	int64_t lost = off - atomic_load(&b->off_cpu);
	/* slow_call is 500 us, so slow_call / 500 is the number of cycles per us. */
	uint64_t lost_cycles = lost > 0 ? (uint64_t)lost * (b->slow_call / 500) / 1000 : 0;

	if (off >= 0)
		atomic_store(&b->off_cpu, off);
	return cycles > b->slow_call + lost_cycles;
}

void call_note(struct burst *b, struct queue *q, uint64_t cycles, bool interrupted)
{
	if (!interrupted && !was_slow(b, cycles))
		return;
	if (interrupted)
		atomic_store(&q->port->calls->blocked, q->index + 1);
	atomic_store(&q->port->calls->slow, true);
	atomic_store(&b->noted, true);
}

/* If several workers write the queue, the position may be some frames old. */
void call_record(const struct queue *q, enum vring_event_kind kind)
{
	vring_event_add(q->events, kind, q->ring->position, vring_call_wish(q->ring));
}

void call_record_written(const struct queue *q, int error)
{
	if (error)
		vring_event_add(q->events, VRING_EVENT_CALL_FAILED, q->ring->position, error);
	else
		call_record(q, VRING_EVENT_CALL);
}
