/* SPDX-License-Identifier: BSD-3-Clause */
/* The recorded events of a ring show a frame, a stop and a disconnect. */
#include "functional.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <jansson.h>

#define EVENT(name_, value_) \
	{ \
		.name = (name_), .value = (value_), .exact = true \
	}
#define ANY(name_) \
	{ \
		.name = (name_) \
	}

struct expected {
	const char *name;
	int value;
	bool exact;
};

/* The record of a port's queue. NULL: there is none. */
static json_t *events_of(json_t *stats, unsigned port, unsigned index)
{
	json_t *queues =
	    json_object_get(json_array_get(json_object_get(stats, "ports"), port), "queues");

	for (unsigned i = 0; i < json_array_size(queues); i++) {
		json_t *queue = json_array_get(queues, i);

		if (json_integer_value(json_object_get(queue, "index")) == index)
			return json_object_get(queue, "events");
	}
	must(false, "no such queue");
	return NULL;
}

static json_int_t number(const json_t *event, const char *name)
{
	return json_integer_value(json_object_get(event, name));
}

static bool is(const json_t *event, const struct expected *e)
{
	return strcmp(json_string_value(json_object_get(event, "event")), e->name) == 0 &&
	    (!e->exact || number(event, "value") == e->value);
}

/*
 * Check that these events are in the record, in this order, with others between them; and that the
 * record is in the order of time.
 */
static void must_tell(const json_t *events, const struct expected wanted[], unsigned n)
{
	json_int_t before = 0;
	unsigned found = 0;

	for (unsigned i = 0; i < json_array_size(events); i++) {
		const json_t *event = json_array_get(events, i);

		must(number(event, "ns") >= before, "the record is out of order");
		must(number(event, "ago_us") >= 0, "an event that is still to come");
		before = number(event, "ns");
		if (found < n && is(event, &wanted[found]))
			found++;
	}
	if (found < n) {
		json_dumpf(events, stderr, JSON_INDENT(1));
		fprintf(stderr, "\nno %s %d\n", wanted[found].name, wanted[found].value);
	}
	must_equal(found, n, "events recorded as expected");
}

/* The counters when the record of a queue ends with its front-end. */
static json_t *stats_when_gone(struct switch_process *sw, unsigned port, unsigned index)
{
	const struct expected gone = {.name = "gone"};

	for (unsigned tries = 0;; tries++) {
		json_t *stats = switch_stats(sw), *events = events_of(stats, port, index);
		const json_t *last = json_array_get(events, json_array_size(events) - 1);

		if ((last && is(last, &gone)) || tries == 500)
			return stats;
		json_decref(stats);
		usleep(10000);
	}
}

/* Read the call eventfd once it has been written. */
static void take_call(struct net_queue *q)
{
	struct pollfd p = {.fd = q->call_fd, .events = POLLIN};
	eventfd_t count;

	must_equal(poll(&p, 1, 5000), 1, "calls");
	must(eventfd_read(q->call_fd, &count) == 0, "the call eventfd cannot be read");
}

/*
 * Send one frame while the switch and the receiving driver sleep: a kick wakes the switch, and the
 * switch calls the driver.
 */
static void send_one(struct net_driver *nd[2])
{
	struct net_queue *q = &nd[1]->queue[0];
	uint8_t frame[64], src[6], dst[6];
	struct net_frame f;
	uint64_t random = 1;
	eventfd_t count;

	usleep(50000);
	eventfd_read(q->call_fd, &count); /* calls for the start and for earlier frames */
	station_mac(src, 0, 0);
	station_mac(dst, 1, 0);
	make_frame(frame, sizeof(frame), dst, src, &random);
	must(!driver_ring_call_enable(&q->ring), "there are frames before one was sent");
	send_surely(nd[0], 0, frame, sizeof(frame), NULL, NULL);
	take_call(q);
	must_equal(net_receive(nd[1], 0, &f), 1, "frames received");
}

static void record(uint64_t features)
{
	static const struct expected sender[] = {ANY("base-told"), ANY("call-fd"), ANY("kick-fd"),
	    EVENT("start", 256), EVENT("enable", 1), EVENT("kick-wanted", 0), EVENT("kick", 1)};
	static const struct expected receiver[] = {EVENT("start", 256), EVENT("enable", 1),
	    ANY("call"), ANY("base-asked"), EVENT("kick-fd", -1), EVENT("call-fd", -1),
	    EVENT("stop", 1), EVENT("gone", 0)};
	struct net_config c = usual_config(features, 1);
	struct switch_process sw;
	struct net_driver *nd[2];
	json_t *stats;

	switch_start(&sw, 2, 1, false);
	for (unsigned i = 0; i < 2; i++)
		nd[i] = attach(&sw, i, &c);
	introduce(nd, 2);
	/*
	 * Workers leave the first calls to the control thread, until an errand has found the
	 * eventfd quick.
	 */
	for (unsigned i = 0; i < 3; i++)
		send_one(nd);
	must_equal(-net_driver_stop(nd[1]), 0, "errno of a stop");
	net_driver_destroy(nd[1]);
	stats = stats_when_gone(&sw, 1, 0);
	must_tell(events_of(stats, 0, 1), sender, ARRAY_SIZE(sender));
	must_tell(events_of(stats, 1, 0), receiver, ARRAY_SIZE(receiver));
	json_decref(stats);
	net_driver_destroy(nd[0]);
	switch_finish(&sw);
}

static void test_a_record_tells_what_happened_split(void **state)
{
	(void)state;
	record(FEATURES_BASE);
}

static void test_a_record_tells_what_happened_packed(void **state)
{
	(void)state;
	record(FEATURES_PACKED);
}

static void test_nothing_is_recorded_unless_asked_for(void **state)
{
	struct net_config c = usual_config(FEATURES_BASE, 1);
	struct switch_process sw;
	struct net_driver *nd;
	json_t *stats;

	(void)state;
	switch_option(NULL);
	switch_start(&sw, 1, 1, false);
	nd = attach(&sw, 0, &c);
	stats = switch_stats(&sw);
	must(events_of(stats, 0, 0) == NULL, "there is a record that nobody asked for");
	json_decref(stats);
	net_driver_destroy(nd);
	switch_finish(&sw);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_record_tells_what_happened_split),
	    cmocka_unit_test(test_a_record_tells_what_happened_packed),
	    cmocka_unit_test(test_nothing_is_recorded_unless_asked_for),
	};

	if (argc > 1)
		switch_binary(argv[1]);
	switch_option("--record-events");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
