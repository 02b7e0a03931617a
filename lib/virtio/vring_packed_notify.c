/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls and kicks of a packed ring (virtio 1.2, 2.8.10): which of them the other side wants. */
#include "virtio/vring_packed.h"

/* Read both halves of an event suppression structure with one load. */
static struct vring_packed_event event_read(const struct vring_packed_event *at)
{
	uint32_t word = __atomic_load_n((const uint32_t *)(const void *)at, __ATOMIC_RELAXED);

	return (struct vring_packed_event){.off_wrap = word, .flags = word >> 16};
}

/*
 * Has the used position passed the driver's event slot on its way from `old` to its present value?
 * For the comparison, a slot of the previous lap counts as its number minus the ring's size.
 */
static bool event_passed(const struct vring *vr, uint16_t off_wrap, uint16_t now, uint16_t old)
{
	uint16_t event = off_wrap & 0x7fff;

	if (!!(off_wrap & 0x8000) != vr->position->used_wrap)
		event -= vr->size;
	if (now <= old)
		old -= vr->size;
	return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

bool vring_packed_call_wanted(struct vring *vr)
{
	uint16_t now = vr->position->used, old = vr->signalled;
	bool first = !vr->signalled_valid, lapped = vr->unsignalled > vr->size;
	struct vring_packed_event event;

	if (!first && vr->unsignalled == 0)
		return false;
	vr->signalled = now;
	vr->signalled_valid = true;
	vr->unsignalled = 0;
	event = event_read(vr->packed.driver_event);
	if (event.flags == VRING_PACKED_EVENT_DISABLE)
		return false;
	if (first || lapped || event.flags != VRING_PACKED_EVENT_DESC || !vr->event_idx)
		return true;
	return event_passed(vr, event.off_wrap, now, old);
}

void vring_packed_kick_disable(struct vring *vr)
{
	__atomic_store_n(
	    &vr->packed.device_event->flags, VRING_PACKED_EVENT_DISABLE, __ATOMIC_RELAXED);
}

bool vring_packed_kick_enable(struct vring *vr)
{
	const struct vring_position *pos = vr->position;
	struct vring_packed_event *event = vr->packed.device_event;
	uint16_t flags = VRING_PACKED_EVENT_ENABLE;

	if (vr->event_idx) {
		__atomic_store_n(
		    &event->off_wrap, pos->avail | pos->avail_wrap << 15, __ATOMIC_RELAXED);
		flags = VRING_PACKED_EVENT_DESC;
	}
	__atomic_store_n(&event->flags, flags, __ATOMIC_RELEASE);
	vring_barrier();
	return vring_packed_has_avail(vr);
}
