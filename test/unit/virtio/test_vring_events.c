/* SPDX-License-Identifier: BSD-3-Clause */
/* The record of a ring's events: it has the last events, in order and complete. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>

#include "virtio/vring_events.h"

#define WRITERS 2
#define WRITES  200000

static void nothing_is_recorded_unless_asked_for(void **state)
{
	const struct vring_position position = {0};

	(void)state;
	vring_event(NULL, VRING_EVENT_KICK, &position, 0);
}

static void the_last_events_are_kept_with_position_and_value(void **state)
{
	struct vring_events *events = vring_events_create();
	struct vring_event got[2 * VRING_EVENTS_KEPT];

	(void)state;
	assert_non_null(events);
	assert_int_equal(vring_events_read(events, got), 0);
	for (unsigned i = 0; i < VRING_EVENTS_KEPT + 10; i++) {
		struct vring_position position = {
		    .avail = i + 2, .used = i + 1, .avail_wrap = i % 2, .used_wrap = !(i % 2)};

		vring_event(events, VRING_EVENT_CALL, &position, 3 * i);
	}
	assert_int_equal(vring_events_read(events, got), VRING_EVENTS_KEPT);
	for (unsigned k = 0; k < VRING_EVENTS_KEPT; k++) {
		unsigned i = k + 10;

		assert_int_equal(got[k].kind, VRING_EVENT_CALL);
		assert_int_equal(got[k].value, 3 * i);
		assert_int_equal(got[k].avail, (i + 2) | (i % 2) << 15);
		assert_int_equal(got[k].used, (i + 1) | !(i % 2) << 15);
		assert_true(k == 0 || got[k].ns >= got[k - 1].ns);
	}
	free(events);
}

static void kicks_and_calls_do_not_push_out_changes(void **state)
{
	struct vring_events *events = vring_events_create();
	struct vring_event got[2 * VRING_EVENTS_KEPT];
	unsigned n;

	(void)state;
	vring_event(events, VRING_EVENT_START, NULL, 256);
	for (unsigned i = 0; i < 1000; i++)
		vring_event(events, i % 2 ? VRING_EVENT_CALL : VRING_EVENT_KICK, NULL, i);
	vring_event(events, VRING_EVENT_STOP, NULL, 1);
	n = vring_events_read(events, got);
	assert_int_equal(n, VRING_EVENTS_KEPT + 2);
	assert_int_equal(got[0].kind, VRING_EVENT_START);
	assert_int_equal(got[0].value, 256);
	assert_int_equal(got[n - 2].value, 999);
	assert_int_equal(got[n - 1].kind, VRING_EVENT_STOP);
	free(events);
}

static void every_kind_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < VRING_EVENT_KINDS; kind++) {
		assert_true(*vring_event_name(kind) != '\0');
		for (unsigned other = 0; other < kind; other++)
			assert_string_not_equal(vring_event_name(kind), vring_event_name(other));
	}
}

/* As a driver of a ring with two entries writes it: flags, index, two entries, used event. */
static void the_wish_of_a_driver_is_read(void **state)
{
	uint16_t avail[] = {1, 7, 0, 0, 9};
	struct vring_packed_event event = {.off_wrap = 0x8003, .flags = 2};
	struct vring split = {.size = 2, .split.avail = (void *)avail};
	struct vring packed = {.is_packed = true, .packed.driver_event = &event};

	(void)state;
	assert_int_equal(vring_call_wish(&split), 1);
	split.event_idx = true;
	assert_int_equal(vring_call_wish(&split), 9);
	assert_int_equal(vring_call_wish(&packed), 0x28003);
}

struct race {
	struct vring_events *events;
	atomic_uint ended;
};

/* All fields of an event have the same value, so that a mixed event is detected. */
static void *write_many(void *arg)
{
	struct race *race = arg;

	for (unsigned i = 0; i < WRITES; i++) {
		uint16_t word = i & 0x7fff;
		struct vring_position position = {.avail = word, .used = word};

		vring_event(race->events, VRING_EVENT_CALL, &position, word);
	}
	atomic_store(&race->ended, 1);
	return NULL;
}

static void what_is_read_while_others_write_is_whole(void **state)
{
	struct vring_events *events = vring_events_create();
	struct vring_event got[2 * VRING_EVENTS_KEPT];
	struct race race[WRITERS];
	pthread_t thread[WRITERS];
	unsigned reads = 0, ended, kept;

	(void)state;
	for (unsigned i = 0; i < WRITERS; i++) {
		race[i] = (struct race){.events = events};
		assert_int_equal(pthread_create(&thread[i], NULL, write_many, &race[i]), 0);
	}
	do {
		unsigned n = vring_events_read(events, got);

		ended = 0;
		for (unsigned k = 0; k < n; k++) {
			assert_int_equal(got[k].avail, got[k].value);
			assert_int_equal(got[k].used, got[k].value);
		}
		reads += n;
		for (unsigned i = 0; i < WRITERS; i++)
			ended += atomic_load(&race[i].ended);
	} while (ended < WRITERS);
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(thread[i], NULL);
	/* An event is missing if its place was still taken. A writer takes one place at a time. */
	kept = vring_events_read(events, got);
	assert_in_range(kept, VRING_EVENTS_KEPT - WRITERS, VRING_EVENTS_KEPT);
	assert_true(reads > 0);
	free(events);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_is_recorded_unless_asked_for),
	    cmocka_unit_test(the_last_events_are_kept_with_position_and_value),
	    cmocka_unit_test(kicks_and_calls_do_not_push_out_changes),
	    cmocka_unit_test(every_kind_has_a_name_of_its_own),
	    cmocka_unit_test(the_wish_of_a_driver_is_read),
	    cmocka_unit_test(what_is_read_while_others_write_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
