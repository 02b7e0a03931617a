/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The limit on the bytes that one burst copies for floods. Frames beyond the limit are not lost:
 * they are flooded by later bursts, in order and once to each port. The counters balance meanwhile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "burst_world.h"

#define LARGE (HEADERS + 65000)

/* The number of ports that get a copy of a large frame in one burst. */
#define REACH (BURST_FLOOD / (LARGE + FLOOD_COPY))

static void open_flood(unsigned ports, uint32_t buffer, unsigned n_buffers)
{
	uint8_t *at;

	open_world(ports, UINT32_MAX);
	at = take(buffer);
	for (unsigned p = 1; p < ports; p++)
		offer(&w.to[p], at, buffer, n_buffers);
}

static uint64_t delivered_to_all(void)
{
	uint64_t n = 0;

	for (unsigned p = 1; p < w.ports; p++)
		n += delivered(p);
	return n;
}

static void a_usual_frame_goes_to_all_ports_in_one_burst(void **state)
{
	(void)state;
	open_flood(PORTS_MAX, 2048, 1);
	send_frames(255, 1518, 0, 1);
	assert_int_equal(run(), 1);
	assert_int_equal(w.from.queue.stats.flooded, 1);
	assert_int_equal(delivered_to_all(), PORTS_MAX - 1);
	assert_balance();
	close_world();
}

static void the_frames_of_a_burst_share_what_it_may_copy(void **state)
{
	const unsigned most = BURST_FLOOD / (100 * (1000 + FLOOD_COPY));

	(void)state;
	open_flood(100, 2048, 32);
	send_frames(255, 1000, 0, 32);
	assert_int_equal(run(), most);
	assert_int_equal(delivered_to_all(), most * 99);
	assert_int_equal(w.from.queue.stats.bytes, most * 1000);
	assert_int_equal(run_all(32 - most, most), (32 + most - 1) / most - 1);
	assert_int_equal(delivered_to_all(), 32 * 99);
	assert_int_equal(w.from.queue.stats.bytes, 32 * 1000);
	close_world();
}

/* This includes frames to be dropped and frames to one port. All are handled once and in order. */
static void what_is_behind_a_flood_that_has_to_wait_waits_too(void **state)
{
	const struct queue_stats *s = &w.from.queue.stats;

	(void)state;
	open_flood(30, 70000, 8);
	send_frames(255, LARGE, 0, 1);
	send_frames(1, 100, 0, 1);
	send_frames(255, LARGE, 0, 1);
	offer(&w.from, take(20), 20, 1); /* a runt */
	send_frames(0, 100, 0, 1);       /* to the sender's own port */
	send_frames(2, 200, 0, 1);
	assert_int_equal(run(), 2);
	assert_int_equal(s->bytes, LARGE + 100);
	assert_int_equal(s->drops[DROP_RUNT] + s->drops[DROP_HAIRPIN], 0);
	assert_int_equal(delivered(1), 2);
	assert_int_equal(delivered(2), 1);
	assert_int_equal(run(), 4);
	assert_int_equal(s->bytes, 2 * LARGE + 300 + 100);
	assert_int_equal(s->drops[DROP_RUNT], 1);
	assert_int_equal(s->drops[DROP_HAIRPIN], 1);
	assert_int_equal(delivered_to_all(), 2 * 29 + 2);
	assert_balance();
	close_world();
}

/*
 * Each burst copies the frame to as many ports as the bound allows. Every port gets the frame once.
 */
static void a_frame_that_costs_more_than_a_burst_is_flooded_in_parts(void **state)
{
	const struct queue_stats *s = &w.from.queue.stats;
	const unsigned ports = 100;

	(void)state;
	open_flood(ports, 70000, 3);
	send_frames(255, LARGE, 0, 2);
	send_frames(1, 100, 0, 1);
	for (unsigned part = 1; part <= 2; part++) {
		assert_int_equal(run(), 1);
		assert_int_equal(s->frames + s->flooded + s->bytes, 0);
		assert_int_equal(delivered_to_all(), part * REACH);
		assert_balance();
	}
	assert_int_equal(run(), 1);
	assert_int_equal(s->flooded, 1);
	assert_int_equal(s->bytes, LARGE);
	for (unsigned p = 1; p < ports; p++)
		assert_int_equal(delivered(p), 1);
	assert_balance();
	for (unsigned part = 0; part < 3; part++)
		assert_int_equal(run(), 1);
	assert_int_equal(delivered_to_all(), 2 * (ports - 1));
	assert_int_equal(run(), 1);
	assert_int_equal(delivered(1), 3);
	assert_int_equal(run(), 0);
	assert_balance();
	close_world();
}

/* As with several destinations on a port, whose ids have nothing to do with the port's index. */
static void a_flood_in_parts_goes_on_by_destination(void **state)
{
	const unsigned ports = 100;

	(void)state;
	open_flood(ports, 70000, 2);
	for (unsigned p = 1; p < ports; p++)
		w.fwd->dest[p].port = &w.port[ports - p];
	send_frames(255, LARGE, 0, 1);
	for (unsigned part = 1; part <= 2; part++) {
		assert_int_equal(run(), 1);
		assert_int_equal(delivered_to_all(), part * REACH);
		assert_int_equal(w.from.queue.flood_next, 1 + part * REACH);
	}
	assert_int_equal(run(), 1);
	assert_int_equal(w.from.queue.stats.flooded, 1);
	assert_int_equal(w.from.queue.flood_next, 0);
	for (unsigned p = 1; p < ports; p++)
		assert_int_equal(delivered(p), 1);
	assert_balance();
	close_world();
}

/* The flood of a frame to 99 ports has begun, and something has changed. It must end. */
static void must_end(unsigned copies)
{
	const struct queue_stats *s = &w.from.queue.stats;

	assert_int_equal(run(), 1);
	assert_int_equal(s->flooded, 1);
	assert_int_equal(s->flood_copies, copies);
	assert_int_equal(w.from.queue.flood_next, 0);
	assert_int_equal(delivered_to_all(), copies);
	assert_balance();
	/* The next frame goes to all ports of the new bridge or domain. */
	send_frames(255, 100, 0, 1);
	assert_int_equal(run(), 1);
	assert_int_equal(s->flooded, 2);
	assert_true(s->flood_copies > copies);
	assert_int_equal(run(), 0);
	assert_balance();
	close_world();
}

static void a_flood_in_parts_does_not_go_on_in_another_bridge(void **state)
{
	enum { MANY = 100 };
	uint16_t bridge[MANY];
	uint8_t *at;

	(void)state;
	for (unsigned p = 0; p < MANY; p++)
		bridge[p] = p >= MANY / 2;
	open_world_with(
	    &(struct world_options){.ports = MANY, .accepts = UINT32_MAX, .bridge = bridge});
	at = take(70000);
	for (unsigned p = 1; p < MANY; p++)
		offer(&w.to[p], at, 70000, 2);
	send_frames(255, LARGE, 0, 1);
	assert_int_equal(run(), 1);
	assert_int_equal(delivered_to_all(), REACH);
	w.fwd->dest[0].bridge = 1;
	must_end(REACH);
}

static void a_flood_in_parts_does_not_go_on_in_another_domain(void **state)
{
	enum { MANY = 100 };
	static struct port_policy sender, trunk;
	const struct port_policy *policy[MANY];
	uint8_t *at;

	(void)state;
	sender = trunk = (struct port_policy){.features = POLICY_VLAN};
	vlan_port_init(&trunk.vlan, &(struct vlan_config){0});
	vlan_port_init(
	    &sender.vlan, &(struct vlan_config){.set = true, .mode = VLAN_ACCESS, .vlan = 10});
	for (unsigned p = 0; p < MANY; p++)
		policy[p] = p ? &trunk : &sender;
	open_world_with(&(struct world_options){
	    .ports = MANY, .accepts = UINT32_MAX, .vlans = true, .policy = policy});
	at = take(70000);
	for (unsigned p = 1; p < MANY; p++)
		offer(&w.to[p], at, 70000, 2);
	send_frames(255, LARGE, 0, 1);
	assert_int_equal(run(), 1);
	assert_int_equal(delivered_to_all(), REACH);
	vlan_port_init(
	    &sender.vlan, &(struct vlan_config){.set = true, .mode = VLAN_ACCESS, .vlan = 20});
	must_end(REACH);
}

/* Meanwhile the guest has changed the destination, and the new destination is known. */
static void a_flood_in_parts_goes_on_whatever_the_frame_becomes(void **state)
{
	uint8_t *frame;

	(void)state;
	open_flood(60, 70000, 2);
	frame = make_frame(255, LARGE, 0);
	offer(&w.from, frame, VIRTIO_NET_HDR_LEN + LARGE, 1);
	assert_int_equal(run(), 1);
	memcpy(frame + VIRTIO_NET_HDR_LEN, "\2\0\0\0\0\1", 6);
	fdb_learn(w.fdb, mac_load(frame + VIRTIO_NET_HDR_LEN), 1, 0);
	assert_int_equal(run(), 1);
	assert_int_equal(w.from.queue.stats.flooded, 1);
	for (unsigned p = 1; p < 60; p++)
		assert_int_equal(delivered(p), 1);
	assert_balance();
	close_world();
}

static void a_flood_in_parts_ends_if_the_frame_is_dropped(void **state)
{
	uint8_t *frame;

	(void)state;
	for (unsigned disabled = 0; disabled < 2; disabled++) {
		open_flood(60, 70000, 2);
		frame = make_frame(255, LARGE, 0);
		offer(&w.from, frame, VIRTIO_NET_HDR_LEN + LARGE, 1);
		assert_int_equal(run(), 1);
		frame[VIRTIO_NET_HDR_LEN + 6] = 1; /* the source becomes a group address */
		w.from.queue.enabled = !disabled;
		assert_int_equal(run(), 1);
		assert_int_equal(w.from.queue.stats.drops[DROP_BAD_SOURCE], !disabled);
		assert_int_equal(w.from.queue.stats.drops[DROP_QUEUE_DISABLED], disabled);
		assert_int_equal(delivered_to_all(), REACH);
		assert_balance();
		/* The next flood begins with the first port. */
		w.from.queue.enabled = true;
		send_frames(255, 100, 0, 1);
		assert_int_equal(run(), 1);
		assert_int_equal(delivered_to_all(), REACH + 59);
		assert_balance();
		close_world();
	}
}

/* Each receiver merges buffers of 29 bytes. */
static void buffers_in_crumbs_count_too(void **state)
{
	const unsigned ports = 400, each = 5000, most = BURST_FLOOD / (each / 29 * FLOOD_BUFFER);
	unsigned parts;

	(void)state;
	open_flood(ports, 29, 200);
	send_frames(255, each, 0, 1);
	for (parts = 1; w.from.queue.stats.frames == 0; parts++) {
		assert_int_equal(run(), 1);
		assert_true(delivered_to_all() <= parts * most);
		assert_balance();
	}
	assert_int_equal(delivered_to_all(), ports - 1);
	close_world();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_usual_frame_goes_to_all_ports_in_one_burst),
	    cmocka_unit_test(the_frames_of_a_burst_share_what_it_may_copy),
	    cmocka_unit_test(what_is_behind_a_flood_that_has_to_wait_waits_too),
	    cmocka_unit_test(a_frame_that_costs_more_than_a_burst_is_flooded_in_parts),
	    cmocka_unit_test(a_flood_in_parts_goes_on_by_destination),
	    cmocka_unit_test(a_flood_in_parts_does_not_go_on_in_another_bridge),
	    cmocka_unit_test(a_flood_in_parts_does_not_go_on_in_another_domain),
	    cmocka_unit_test(a_flood_in_parts_goes_on_whatever_the_frame_becomes),
	    cmocka_unit_test(a_flood_in_parts_ends_if_the_frame_is_dropped),
	    cmocka_unit_test(buffers_in_crumbs_count_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
