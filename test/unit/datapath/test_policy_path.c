/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of policies without VLANs: which frames pass, with which reason others are dropped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "burst_world.h"
#include "datapath/inject.h"

#define RECEIVERS 4

static struct port_policy sender, receiver;

/* A sender with the policy, and receivers with buffers; the odd receivers have their own policy. */
static void open_with_policy(void)
{
	const struct port_policy *policy[RECEIVERS] = {
	    &sender, &receiver, &port_policy_none, &receiver};

	open_world_with(
	    &(struct world_options){.ports = RECEIVERS, .accepts = UINT32_MAX, .policy = policy});
	for (unsigned p = 1; p < RECEIVERS; p++)
		offer(&w.to[p], take(BUFFER), BUFFER, 200);
}

/* Send a frame to `to` (255: to all) from the address with this last byte. */
static void send_as(uint8_t to, uint8_t from)
{
	uint8_t *at = make_frame(to, 100, 0);

	at[VIRTIO_NET_HDR_LEN + 11] = from;
	offer(&w.from, at, VIRTIO_NET_HDR_LEN + 100, 1);
}

static uint64_t mac_as(uint8_t last)
{
	return mac_load((const uint8_t[]){2, 0, 0, 0, 0, last});
}

static uint64_t dropped(enum drop_reason reason)
{
	return w.from.queue.stats.drops[reason];
}

/* A burst stays plain as long as the policy drops nothing. */
static void only_allowed_addresses_are_taken(void **state)
{
	(void)state;
	for (unsigned strangers = 0; strangers < 3; strangers++) {
		sender = (struct port_policy){.features = POLICY_MAC_ALLOW, .n_allow = 2};
		sender.allow[0] = mac_as(8);
		sender.allow[1] = mac_as(9);
		open_with_policy();
		fdb_learn(w.fdb, mac_as(1), 1, 0);
		for (unsigned i = 0; i < 8; i++)
			send_as(1, 8 + i / 4);
		for (unsigned i = 0; i < strangers; i++)
			send_as(i ? 255 : 1, 50);
		assert_int_equal(run(), 8 + strangers);
		assert_int_equal(delivered(1), 8);
		assert_int_equal(delivered(2), 0);
		assert_int_equal(dropped(DROP_MAC_NOT_ALLOWED), strangers);
		assert_int_equal(w.burst->plain, strangers == 0);
		assert_int_equal(fdb_lookup(w.fdb, mac_as(50)), FDB_NONE);
		assert_int_equal(fdb_lookup(w.fdb, mac_as(9)), SENDER);
		assert_balance();
		close_world();
	}
}

static void a_frame_of_our_own_obeys_the_policy(void **state)
{
	uint8_t frame[60] = {255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 9};

	(void)state;
	sender = (struct port_policy){.features = POLICY_MAC_ALLOW, .n_allow = 1};
	sender.allow[0] = mac_as(8);
	open_with_policy();
	burst_inject(w.burst, w.fwd, &w.from.queue, 0, frame, sizeof(frame));
	assert_int_equal(dropped(DROP_MAC_NOT_ALLOWED), 1);
	assert_balance();
	close_world();
}

static void isolated_ports_reach_others_only(void **state)
{
	(void)state;
	sender = receiver = (struct port_policy){.features = POLICY_ISOLATED};
	open_with_policy();
	for (uint8_t p = 1; p < RECEIVERS; p++) {
		fdb_learn(w.fdb, mac_as(p), p, 0);
		send_as(p, 8);
	}
	send_as(255, 8);
	assert_int_equal(run(), RECEIVERS);
	assert_int_equal(delivered(1), 0);
	assert_int_equal(delivered(2), 2);
	assert_int_equal(delivered(3), 0);
	assert_int_equal(dropped(DROP_ISOLATED), 2);
	assert_balance();
	close_world();
	/* A port that is not isolated reaches all. */
	sender = (struct port_policy){.features = POLICY_DROP_UNKNOWN};
	open_with_policy();
	fdb_learn(w.fdb, mac_as(1), 1, 0);
	send_as(1, 8);
	send_as(255, 8);
	assert_int_equal(run(), 2);
	assert_int_equal(delivered(1), 2);
	assert_int_equal(delivered(3), 1);
	assert_balance();
	close_world();
	receiver = (struct port_policy){0};
}

static void unknown_addresses_are_not_flooded_if_the_bridge_says_so(void **state)
{
	(void)state;
	sender = (struct port_policy){.features = POLICY_DROP_UNKNOWN};
	open_with_policy();
	fdb_learn(w.fdb, mac_as(1), 1, 0);
	send_as(1, 8);
	send_as(2, 8);
	send_as(2, 8);
	send_as(255, 8);
	assert_int_equal(run(), 4);
	assert_int_equal(delivered(1), 2);
	assert_int_equal(delivered(2), 1);
	assert_int_equal(dropped(DROP_UNKNOWN), 2);
	/* It is learned as usual. */
	assert_int_equal(fdb_lookup(w.fdb, mac_as(8)), SENDER);
	assert_balance();
	close_world();
}

/* New sources of one burst count one by one. Known sources pass at the limit. */
static void no_more_addresses_are_learned_than_the_limit(void **state)
{
	(void)state;
	sender = (struct port_policy){.features = POLICY_MAC_LIMIT, .mac_limit = 3};
	open_with_policy();
	fdb_learn(w.fdb, mac_as(1), 1, 0);
	for (unsigned i = 0; i < 5; i++)
		send_as(1, 10 + i);
	send_as(1, 10);
	assert_int_equal(run(), 6);
	assert_int_equal(delivered(1), 4);
	assert_int_equal(dropped(DROP_MAC_LIMIT), 2);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(fdb_lookup(w.fdb, mac_as(10 + i)), i < 3 ? SENDER : FDB_NONE);
	send_as(1, 12);
	send_as(1, 11);
	assert_int_equal(run(), 2);
	assert_int_equal(delivered(1), 6);
	/* A static address does not count, and it may send. */
	assert_int_equal(fdb_static_set(w.fdb, mac_as(20), SENDER), 0);
	send_as(1, 20);
	send_as(1, 21);
	assert_int_equal(run(), 2);
	assert_int_equal(delivered(1), 7);
	assert_int_equal(dropped(DROP_MAC_LIMIT), 3);
	assert_balance();
	close_world();
}

/* Not even while the other port is down. */
static void a_guarded_port_takes_no_address_of_another(void **state)
{
	(void)state;
	sender = (struct port_policy){.features = POLICY_MAC_GUARD};
	open_with_policy();
	fdb_learn(w.fdb, mac_as(1), 1, 0);
	fdb_learn(w.fdb, mac_as(2), 2, 0);
	assert_int_equal(fdb_static_set(w.fdb, mac_as(3), 3), 0);
	fdb_learn(w.fdb, mac_as(4), RECEIVERS + 1, 0); /* of a port that is down */
	for (uint8_t from = 2; from <= 5; from++)
		send_as(1, from);
	assert_int_equal(run(), 4);
	assert_int_equal(delivered(1), 1);
	assert_int_equal(dropped(DROP_MAC_MOVE), 3);
	assert_int_equal(fdb_lookup(w.fdb, mac_as(2)), 2);
	assert_int_equal(fdb_lookup(w.fdb, mac_as(3)), 3);
	assert_int_equal(fdb_lookup(w.fdb, mac_as(4)), RECEIVERS + 1);
	assert_int_equal(fdb_lookup(w.fdb, mac_as(5)), SENDER);
	assert_balance();
	close_world();
}

/* The port has as many addresses as it may have, but that is not why the frame is dropped. */
static void a_bad_source_stays_a_bad_source(void **state)
{
	uint8_t *frame;

	(void)state;
	sender =
	    (struct port_policy){.features = POLICY_MAC_GUARD | POLICY_MAC_LIMIT, .mac_limit = 1};
	open_with_policy();
	fdb_learn(w.fdb, mac_as(8), SENDER, 0);
	frame = make_frame(1, 100, 0);
	frame[VIRTIO_NET_HDR_LEN + 6] |= 1;
	frame[VIRTIO_NET_HDR_LEN + 11] = 2;
	offer(&w.from, frame, VIRTIO_NET_HDR_LEN + 100, 1);
	assert_int_equal(run(), 1);
	assert_int_equal(dropped(DROP_BAD_SOURCE), 1);
	assert_balance();
	close_world();
}

static unsigned run_at(uint32_t now_s)
{
	return burst_run(w.burst, w.fwd, &w.from.queue, now_s, BURST_FRAMES);
}

static void send_multicast(void)
{
	uint8_t *at = make_frame(7, 100, 0);

	at[VIRTIO_NET_HDR_LEN] |= 1;
	offer(&w.from, at, VIRTIO_NET_HDR_LEN + 100, 1);
}

/* Each kind has its own limit per second. Other frames are not counted. */
static void a_storm_is_cut_to_its_limit(void **state)
{
	static struct storm_count count;

	(void)state;
	memset(&count, 0, sizeof(count));
	sender = (struct port_policy){
	    .features = POLICY_STORM, .storm = {3, 2, 1}, .storm_count = &count};
	open_with_policy();
	fdb_learn(w.fdb, mac_as(1), 1, 0);
	for (uint32_t now_s = 10; now_s < 13; now_s++) {
		uint64_t before = w.from.queue.stats.flooded;

		for (unsigned i = 0; i < 5; i++) {
			send_as(255, 8);
			send_multicast();
			send_as(9, 8);
			send_as(1, 8);
		}
		assert_int_equal(run_at(now_s), 20);
		assert_int_equal(w.from.queue.stats.flooded - before, 6);
		assert_int_equal(dropped(DROP_STORM), (now_s - 9) * 9);
		assert_balance();
	}
	/* A worker whose clock is behind does not begin the second anew. */
	send_as(255, 8);
	assert_int_equal(run_at(11), 1);
	assert_int_equal(dropped(DROP_STORM), 28);
	assert_int_equal(w.from.queue.stats.unicast, 15);
	assert_balance();
	close_world();
}

/* Nothing is copied for them, so one burst takes them all. */
static void frames_above_the_limit_cost_no_flood(void **state)
{
	enum { MANY = 100, LEN = 1000, FRAMES = 32 };
	static struct storm_count count;
	const struct port_policy *policy[MANY];

	(void)state;
	assert_true(FRAMES * MANY * (LEN + FLOOD_COPY) > BURST_FLOOD);
	memset(&count, 0, sizeof(count));
	sender = (struct port_policy){
	    .features = POLICY_STORM, .storm = {2, 0, 0}, .storm_count = &count};
	for (unsigned p = 0; p < MANY; p++)
		policy[p] = p == SENDER ? &sender : &port_policy_none;
	open_world_with(
	    &(struct world_options){.ports = MANY, .accepts = UINT32_MAX, .policy = policy});
	for (unsigned p = 1; p < MANY; p++)
		offer(&w.to[p], take(BUFFER), BUFFER, FRAMES);
	send_frames(255, LEN, 0, FRAMES);
	assert_int_equal(run_at(10), FRAMES);
	assert_int_equal(w.from.queue.stats.flooded, 2);
	assert_int_equal(dropped(DROP_STORM), FRAMES - 2);
	for (unsigned p = 1; p < MANY; p++)
		assert_int_equal(delivered(p), 2);
	assert_balance();
	close_world();
}

/* Frames that go back to the ring, because the flood is too long for a burst, are counted once. */
static void a_flood_in_parts_is_no_storm(void **state)
{
	enum { MANY = 100, LONG = 65000, FRAMES = 3 };
	static struct storm_count count;
	const struct port_policy *policy[MANY];

	(void)state;
	memset(&count, 0, sizeof(count));
	sender = (struct port_policy){
	    .features = POLICY_STORM, .storm = {FRAMES, 0, 0}, .storm_count = &count};
	for (unsigned p = 0; p < MANY; p++)
		policy[p] = p == SENDER ? &sender : &port_policy_none;
	open_world_with(
	    &(struct world_options){.ports = MANY, .accepts = UINT32_MAX, .policy = policy});
	for (unsigned p = 1; p < MANY; p++)
		offer(&w.to[p], take(70000), 70000, FRAMES);
	send_frames(255, LONG, 0, FRAMES);
	while (run_at(10))
		assert_balance();
	assert_int_equal(w.from.queue.stats.flooded, FRAMES);
	assert_int_equal(dropped(DROP_STORM), 0);
	for (unsigned p = 1; p < MANY; p++)
		assert_int_equal(delivered(p), FRAMES);
	send_frames(255, LONG, 0, 1);
	assert_int_equal(run_at(10), 1);
	assert_int_equal(dropped(DROP_STORM), 1);
	assert_int_equal(w.from.queue.stats.flooded, FRAMES);
	assert_balance();
	close_world();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_allowed_addresses_are_taken),
	    cmocka_unit_test(isolated_ports_reach_others_only),
	    cmocka_unit_test(unknown_addresses_are_not_flooded_if_the_bridge_says_so),
	    cmocka_unit_test(no_more_addresses_are_learned_than_the_limit),
	    cmocka_unit_test(a_guarded_port_takes_no_address_of_another),
	    cmocka_unit_test(a_bad_source_stays_a_bad_source),
	    cmocka_unit_test(a_storm_is_cut_to_its_limit),
	    cmocka_unit_test(a_flood_in_parts_is_no_storm),
	    cmocka_unit_test(frames_above_the_limit_cost_no_flood),
	    cmocka_unit_test(a_frame_of_our_own_obeys_the_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
