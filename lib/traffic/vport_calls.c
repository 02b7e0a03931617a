/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls that a driver wants. This driver polls, so it does not need them. It asks for them as a
 * guest does, so that the device has the work of making them: for received frames if it found none;
 * for sent frames, if there is no room, when three quarters of them are back.
 *
 * With the event index a call is made once after each request. Nobody reads the eventfd before the
 * end, so it counts the calls.
 */
#include <sys/eventfd.h>

#include "base/util.h"
#include "traffic/vport.h"

static uint16_t *split_event(const struct vport_queue *q)
{
	return &((struct vring_split_avail *)q->driver)->ring[q->size];
}

void vport_calls_never(struct vport_queue *q)
{
	struct vring_packed_event *driver = q->driver;

	if (q->packed)
		driver->flags = VRING_PACKED_EVENT_DISABLE;
	else if (q->event_idx)
		*split_event(q) = 0xffff;
	else
		((struct vring_split_avail *)q->driver)->flags = VRING_AVAIL_F_NO_INTERRUPT;
}

void vport_calls_ask(struct vport_queue *q, unsigned ahead)
{
	struct vring_packed_event *driver = q->driver;
	uint16_t slot = q->used;
	bool wrap = q->used_wrap;

	q->asked = true;
	q->calls_asked++;
	if (!q->packed) {
		if (q->event_idx)
			WRITE_ONCE(*split_event(q), (uint16_t)(q->used + ahead));
	} else if (q->event_idx) {
		vport_packed_advance(q, &slot, &wrap, ahead * q->per);
		WRITE_ONCE(driver->off_wrap, slot | wrap << 15);
		__atomic_store_n(&driver->flags, VRING_PACKED_EVENT_DESC, __ATOMIC_RELEASE);
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

uint64_t vport_calls_made(struct vport_queue *q)
{
	eventfd_t n;

	if (q->call_fd >= 0 && eventfd_read(q->call_fd, &n) == 0)
		q->calls_made += n;
	return q->calls_made;
}
