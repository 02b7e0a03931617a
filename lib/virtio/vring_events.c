/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtio/vring_events.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define X(id, log, name, what) name,
static const char *const names[] = {VRING_EVENTS(X)};
#undef X

enum event_log { CHANGES, TRAFFIC };

#define X(id, log, name, what) log,
static const uint8_t log_of[] = {VRING_EVENTS(X)};
#undef X

struct vring_events *vring_events_create(void)
{
	return calloc(1, sizeof(struct vring_events));
}

const char *vring_event_name(enum vring_event_kind kind)
{
	return names[kind];
}

static uint16_t index_word(uint16_t index, bool wrap)
{
	return index | (wrap ? 1u << 15 : 0);
}

static void write_event(struct vring_event *e, unsigned number, enum vring_event_kind kind,
    const struct vring_position *position, uint32_t value)
{
	atomic_store_explicit(&e->number, 0, memory_order_relaxed);
	/* A reader that sees a new field then sees that the number has changed. */
	atomic_thread_fence(memory_order_release);
	e->kind = kind;
	e->value = value;
	e->ns = clock_ns();
	e->avail = position ? index_word(position->avail, position->avail_wrap) : 0;
	e->used = position ? index_word(position->used, position->used_wrap) : 0;
	atomic_store_explicit(&e->number, number, memory_order_release);
}

void vring_event_add(struct vring_events *events, enum vring_event_kind kind,
    const struct vring_position *position, uint32_t value)
{
	struct vring_event_log *log = log_of[kind] == CHANGES ? &events->changes : &events->traffic;
	unsigned n = atomic_fetch_add(&log->n, 1);
	struct vring_event *e = &log->event[n % VRING_EVENTS_KEPT];

	if (atomic_exchange_explicit(&e->taken, true, memory_order_acquire))
		return; /* another writer is still here */
	/* Is what is here older? Numbers wrap. */
	if (atomic_load_explicit(&e->number, memory_order_relaxed) - (n + 1) > UINT32_MAX / 2)
		write_event(e, n + 1, kind, position, value);
	atomic_store_explicit(&e->taken, false, memory_order_release);
}

uint32_t vring_call_wish(const struct vring *vr)
{
	if (vr->is_packed) {
		const struct vring_packed_event *event = vr->packed.driver_event;

		return READ_ONCE(event->off_wrap) | (uint32_t)READ_ONCE(event->flags) << 16;
	}
	return vr->event_idx ? READ_ONCE(vr->split.avail->ring[vr->size])
			     : READ_ONCE(vr->split.avail->flags);
}

/* Copies only events that were not overwritten while they were read. */
static unsigned read_log(struct vring_event_log *log, struct vring_event ret_events[])
{
	unsigned end = atomic_load(&log->n), n = 0;

	for (unsigned i = end - MIN(end, VRING_EVENTS_KEPT); i != end; i++) {
		struct vring_event *e = &log->event[i % VRING_EVENTS_KEPT];

		if (atomic_load(&e->number) != i + 1)
			continue; /* being written */
		memcpy(&ret_events[n], e, sizeof(*e));
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load(&e->number) == i + 1)
			n++;
	}
	return n;
}

static int by_time(const void *a, const void *b)
{
	const struct vring_event *first = a, *second = b;

	return (first->ns > second->ns) - (first->ns < second->ns);
}

unsigned vring_events_read(struct vring_events *events, struct vring_event ret_events[])
{
	unsigned n = read_log(&events->changes, ret_events);

	n += read_log(&events->traffic, ret_events + n);
	qsort(ret_events, n, sizeof(*ret_events), by_time);
	return n;
}
