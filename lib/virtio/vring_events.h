/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The last events of a ring. They help to find out why a guest is silent.
 *
 * A ring has two logs of 64 events. One is for changes by the front-end. The other is for kicks and
 * calls: there are so many of them that they would soon replace all other events. An event has a
 * time, the position of the ring and a value.
 *
 * Threads: any thread may call vring_event(). A writer gets its place from an atomic counter. The
 * event is not kept if another writer was interrupted at this place, or has written a later event
 * there. A writer writes the event's number last. A reader reads the number before and after the
 * rest of the event, and drops the event if a number is wrong.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "virtio/vring.h"

#define VRING_EVENTS_KEPT 64

/* X(id, log, name, what the value is). doc/operating.md has a table of them. */
#define VRING_EVENTS(X) \
	X(BASE_TOLD, CHANGES, "base-told", "the base, as told") \
	X(BASE_ASKED, CHANGES, "base-asked", "the base, as answered") \
	X(START, CHANGES, "start", "the size") \
	X(STOP, CHANGES, "stop", "what it waits for now, as a number") \
	X(ENABLE, CHANGES, "enable", "0: disabled, 1: enabled") \
	X(KICK_FD, CHANGES, "kick-fd", "the new kick eventfd here; -1: none") \
	X(CALL_FD, CHANGES, "call-fd", "the new call eventfd here; -1: none") \
	X(LOG, CHANGES, "log", "1: buffers are logged, 2: the ring, 3: both, 0: nothing") \
	X(MEMORY, CHANGES, "memory", "regions of guest memory") \
	X(BROKEN, CHANGES, "broken", "why, as a number") \
	X(GONE, CHANGES, "gone", "0: the front-end has gone") \
	X(KICK_WANTED, TRAFFIC, "kick-wanted", "1: there is work already, so no kick is awaited") \
	X(KICK, TRAFFIC, "kick", "1: it ended the worker's sleep") \
	X(CALL, TRAFFIC, "call", "what the driver asks for") \
	X(CALL_FAILED, TRAFFIC, "call-failed", "errno of the write") \
	X(CALL_LEFT, TRAFFIC, "call-left", "what the driver asks for") \
	X(CALL_HANDED, TRAFFIC, "call-handed", "errno of handing it to a thread that calls") \
	X(CALL_UNWANTED, TRAFFIC, "call-unwanted", "what the driver asks for")

#define X(id, log, name, what) VRING_EVENT_##id,
enum vring_event_kind { VRING_EVENTS(X) VRING_EVENT_KINDS };
#undef X

struct vring_event {
	atomic_uint number; /* 1 + the events before it in its log; 0: it is being written */
	uint32_t value;
	int64_t ns;           /* CLOCK_MONOTONIC */
	uint16_t avail, used; /* the ring's position; packed: bit 15 is the wrap counter */
	uint8_t kind;
	atomic_bool taken; /* a writer is at this place */
};

struct vring_events {
	struct vring_event_log {
		atomic_uint n; /* events so far */
		struct vring_event event[VRING_EVENTS_KEPT];
	} changes, traffic;
};

/* NULL: no memory. To be freed with free(). */
struct vring_events *vring_events_create(void);

const char *vring_event_name(enum vring_event_kind kind);

/* Note an event of a ring with this position (NULL: none is known). */
void vring_event_add(struct vring_events *events, enum vring_event_kind kind,
    const struct vring_position *position, uint32_t value);

/* The same. Nothing happens if events is NULL. */
static inline void vring_event(struct vring_events *events, enum vring_event_kind kind,
    const struct vring_position *position, uint32_t value)
{
	if (UNLIKELY(events != NULL))
		vring_event_add(events, kind, position, value);
}

/*
 * When the driver wants calls, as it wrote into ring memory. Split: the used event index; if
 * EVENT_IDX was not negotiated, the driver's flags. Packed: offset and wrap counter in the lower
 * half, flags in the upper half. Reads guest memory.
 */
uint32_t vring_call_wish(const struct vring *vr);

/*
 * Copy the events of both logs to ret_events, oldest first. ret_events must have 2 *
 * VRING_EVENTS_KEPT entries. Returns the number of events.
 */
unsigned vring_events_read(struct vring_events *events, struct vring_event ret_events[]);
