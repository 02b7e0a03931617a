/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The copy of a plain burst adds or removes the outer tag of all frames of a group. These tests
 * send bursts of frames with one tag, or with one that differs, and compare what arrives byte by
 * byte with a frame that the test makes itself. They also say whether the burst stays plain, so
 * that no test passes only because the burst took the general path (test_vlan_path.c tests that
 * path).
 *
 * Each frame lies in guarded memory: behind its end, and behind the end of its buffer, is a page
 * without access.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "../each_level.h"
#include "base/ethernet.h"
#include "burst_world.h"
#include "null_queue.h"

#define PAGE    4096
#define LONGEST 400
#define VLAN    7
#define TAG     UINT32_C(0x8100e007) /* with a priority, which stays in the tag */
#define NEW_TAG UINT32_C(0x81000007)
#define UNUSED  0xee
#define NET     VIRTIO_NET_HDR_LEN

/* What the ports do with tags. */
enum kind { ACCESS, TRUNK, NATIVE, QINQ, OTHER_TPID, KINDS };

static struct port_policy policies[KINDS];

static void set_policy(enum kind kind, const struct vlan_config *config)
{
	policies[kind] = (struct port_policy){.features = POLICY_VLAN};
	vlan_port_init(&policies[kind].vlan, config);
}

static void make_policies(void)
{
	struct vlan_config trunk = {.set = true, .mode = VLAN_TRUNK}, native, other;

	vlan_set_add(&trunk.trunk, VLAN);
	native = other = trunk;
	native.vlan = VLAN;
	other.tpid = ETHERTYPE_QINQ;
	set_policy(ACCESS, &(struct vlan_config){.set = true, .mode = VLAN_ACCESS, .vlan = VLAN});
	set_policy(TRUNK, &trunk);
	set_policy(NATIVE, &native);
	set_policy(QINQ, &(struct vlan_config){.set = true, .mode = VLAN_QINQ, .vlan = VLAN});
	set_policy(OTHER_TPID, &other);
}

static struct {
	uint8_t bytes[LONGEST];
	uint32_t len;
} sent[BURST_FRAMES];
static unsigned n_sent;

/* The ports are of these kinds; the first is the sender. */
static void open_kinds(bool packed, unsigned ports, const enum kind kind[])
{
	const struct port_policy *policy[PORTS];

	make_policies();
	for (unsigned p = 0; p < ports; p++)
		policy[p] = &policies[kind[p]];
	open_world_with(&(struct world_options){.ports = ports,
	    .accepts = UINT32_MAX,
	    .packed = packed,
	    .vlans = true,
	    .policy = policy});
	for (unsigned p = 1; p < ports; p++) {
		const uint8_t mac[6] = {2, 0, 0, 0, 0, p};

		fdb_learn(w.fdb, fdb_address(mac_load(mac), VLAN), p, 0);
	}
	n_sent = 0;
}

static void open_two(bool packed, enum kind from, enum kind to)
{
	open_kinds(packed, 2, (const enum kind[]){from, to});
}

/* Memory of len bytes that ends where a page without access begins. */
static uint8_t *take_guarded(uint32_t len)
{
	uint8_t *at = take(2ul * PAGE);

	assert_int_equal(mprotect(at + PAGE, PAGE, PROT_NONE), 0);
	memset(at, UNUSED, PAGE);
	return at + PAGE - len;
}

static void add_chain(struct end *e, uint8_t *at, uint32_t len, uint32_t first)
{
	struct driver_buffer b[2] = {{.addr = at - w.memory, .len = first ? first : len}};
	unsigned n = 1;

	if (first) {
		b[1] = (struct driver_buffer){.addr = at + first - w.memory, .len = len - first};
		n = 2;
	}
	assert_int_equal(
	    driver_ring_add(&e->driver, b, e == &w.from ? n : 0, e == &w.from ? 0 : n, at), 0);
	driver_ring_publish(&e->driver);
}

/*
 * Send a frame of len bytes to a port; 255: to all. It has these tags, and behind them its number
 * and bytes that tell each position.
 */
static void send_with(unsigned port, uint32_t len, uint32_t outer, uint32_t inner, uint16_t type,
    const struct virtio_net_hdr *net)
{
	uint8_t *frame = sent[n_sent].bytes, *at = take_guarded(NET + len);
	uint32_t at_type = 12;

	sent[n_sent].len = len;
	for (uint32_t i = 0; i < LONGEST; i++)
		frame[i] = 3 * i + n_sent;
	memcpy(frame, "\2\0\0\0\0\0\2\0\0\0\0\x80", 12);
	frame[5] = port;
	if (port == 255)
		memset(frame, 255, 6);
	if (outer) {
		store32(frame + at_type, outer);
		at_type += 4;
	}
	if (inner) {
		store32(frame + at_type, inner);
		at_type += 4;
	}
	store16(frame + at_type, type);
	memcpy(at, net, NET);
	memcpy(at + NET, frame, len);
	add_chain(&w.from, at, NET + len, 0);
	n_sent++;
}

static void send_one(unsigned port, uint32_t len, uint32_t tag)
{
	send_with(port, len, tag, 0, ETHERTYPE_IPV4, &no_offload_header);
}

static void give(unsigned port, uint32_t len)
{
	add_chain(&w.to[port], take_guarded(NET + len), NET + len, 0);
}

/* Take the next frame that the port received, from one buffer or more. Returns its length. */
static uint32_t receive(unsigned port, struct virtio_net_hdr *net, uint8_t *frame)
{
	uint8_t all[2 * LONGEST];
	uint32_t at = 0, len;
	unsigned left = 1;
	void *token;

	for (bool first = true; left; left--, first = false) {
		assert_int_equal(driver_ring_reap(&w.to[port].driver, &token, &len), 1);
		memcpy(all + at, token, len);
		at += len;
		if (first) {
			memcpy(net, token, NET);
			left = net->num_buffers;
		}
	}
	memcpy(frame, all + NET, at - NET);
	return at - NET;
}

/* Frame i is the next that the port received. It has lost and got these bytes of tags. */
static void check_next(unsigned port, unsigned i, uint32_t lost, uint32_t tag)
{
	uint8_t frame[LONGEST + 4], expected[LONGEST + 4];
	uint32_t got = tag ? 4 : 0, len = sent[i].len - lost + got;
	struct virtio_net_hdr net;

	memcpy(expected, sent[i].bytes, 12);
	store32(expected + 12, tag);
	memcpy(expected + 12 + got, sent[i].bytes + 12 + lost, sent[i].len - 12 - lost);
	assert_int_equal(receive(port, &net, frame), len);
	assert_memory_equal(frame, expected, len);
	assert_int_equal(net.flags | net.gso_type | net.csum_start | net.hdr_len, 0);
}

static void check_nothing_left(unsigned port)
{
	assert_int_equal(driver_ring_reap(&w.to[port].driver, &(void *){0}, &(uint32_t){0}), 0);
}

/* One burst of frames of these lengths gets or loses a tag, in buffers that fit exactly. */
static void check_lengths(bool packed, bool push, unsigned n, const uint32_t len[])
{
	uint64_t bytes = 0;

	open_two(packed, push ? ACCESS : TRUNK, push ? TRUNK : ACCESS);
	for (unsigned i = 0; i < n; i++) {
		uint32_t leaves = push ? len[i] + 4 : len[i] - 4;

		send_one(1, len[i], push ? 0 : TAG);
		give(1, leaves);
		bytes += leaves;
	}
	assert_int_equal(run(), n);
	assert_true(w.burst->plain);
	assert_balance();
	assert_int_equal(delivered(1), n);
	assert_int_equal(w.to[1].queue.stats.bytes, bytes);
	assert_int_equal(w.from.queue.stats.bytes, push ? bytes - 4ul * n : bytes + 4ul * n);
	for (unsigned i = 0; i < n; i++)
		check_next(1, i, push ? 0 : 4, push ? NEW_TAG : 0);
	check_nothing_left(1);
	close_world();
}

static void each_length_gets_or_loses_a_tag(void **state)
{
	(void)state;
	for (uint32_t len = 18; len <= 150; len++) {
		check_lengths(len % 2, true, 1, &len);
		check_lengths(len % 2, false, 1, &len);
	}
	for (uint32_t len = FRAME_MIN; len < 18; len++)
		check_lengths(false, true, 1, &len);
}

static void lengths_share_a_burst(void **state)
{
	static const uint32_t most[] = {64, 150, 390};
	uint32_t len[BURST_FRAMES];

	(void)state;
	for (unsigned round = 0; round < 24; round++) {
		uint32_t least = round % 2 ? 64 : 18;

		for (unsigned i = 0; i < BURST_FRAMES; i++)
			len[i] = least + (i * 37 + round * 11) % (most[round % 3] - least + 1);
		check_lengths(round / 2 % 2, round / 4 % 2, BURST_FRAMES, len);
	}
}

/* Headers are compared with those in the buffers, and after some visits written blindly. */
static void headers_are_written(void **state)
{
	(void)state;
	open_two(false, ACCESS, TRUNK);
	for (unsigned round = 0; round < 3; round++) {
		n_sent = 0;
		for (unsigned i = 0; i < 4; i++) {
			send_one(1, 64, 0);
			give(1, 68);
		}
		assert_int_equal(run(), 4);
		assert_int_equal(w.to[1].queue.headers_blind, 64 - round);
		for (unsigned i = 0; i < 4; i++)
			check_next(1, i, 0, NEW_TAG);
	}
	close_world();
}

/* The third buffer holds the frame as it came, but not with its tag. The next one is used, too. */
static void a_buffer_without_room_for_the_tag_is_merged(void **state)
{
	(void)state;
	open_two(false, ACCESS, TRUNK);
	for (unsigned i = 0; i < 6; i++) {
		send_one(1, 64 + i, 0);
		give(1, i == 2 ? 66 : 80);
	}
	give(1, 80);
	assert_int_equal(run(), 6);
	assert_false(w.burst->plain);
	assert_balance();
	for (unsigned i = 0; i < 6; i++)
		check_next(1, i, 0, NEW_TAG);
	check_nothing_left(1);
	close_world();
}

/* Without the tag the frame fits. */
static void a_buffer_may_be_as_short_as_the_frame_without_its_tag(void **state)
{
	(void)state;
	open_two(true, TRUNK, ACCESS);
	for (unsigned i = 0; i < 4; i++) {
		send_one(1, 300, TAG);
		give(1, 296);
	}
	assert_int_equal(run(), 4);
	assert_true(w.burst->plain);
	for (unsigned i = 0; i < 4; i++)
		check_next(1, i, 4, 0);
	close_world();
}

/* One frame of a burst differs from the others in the tags with which it comes. */
static void one_frame_differs(void **state)
{
	static const struct {
		uint32_t tag, inner, other_tag, other_inner;
	} cases[] = {
	    {0, 0, TAG, 0},
	    {TAG, 0, 0, 0},
	    {TAG, 0, NEW_TAG, 0},
	    {TAG, 0, TAG, 0x81000009},
	    {TAG, 0x81000009, TAG, 0},
	};

	(void)state;
	for (unsigned c = 0; c < ARRAY_SIZE(cases); c++)
		for (unsigned which = 0; which < 5; which++) {
			open_two(c % 2, NATIVE, ACCESS);
			for (unsigned i = 0; i < 5; i++) {
				bool other = i == which;

				send_with(1, 100, other ? cases[c].other_tag : cases[c].tag,
				    other ? cases[c].other_inner : cases[c].inner, ETHERTYPE_IPV4,
				    &no_offload_header);
				give(1, 100);
			}
			assert_int_equal(run(), 5);
			assert_false(w.burst->plain);
			assert_balance();
			for (unsigned i = 0; i < 5; i++) {
				bool tagged = i == which ? cases[c].other_tag : cases[c].tag;

				check_next(1, i, tagged ? 4 : 0, 0);
			}
			close_world();
		}
}

static void types_may_differ_if_no_frame_has_a_tag(void **state)
{
	(void)state;
	open_two(false, ACCESS, TRUNK);
	for (unsigned i = 0; i < 5; i++) {
		send_with(
		    1, 60 + i, 0, 0, i == 3 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4, &no_offload_header);
		give(1, 80);
	}
	assert_int_equal(run(), 5);
	assert_true(w.burst->plain);
	for (unsigned i = 0; i < 5; i++)
		check_next(1, i, 0, NEW_TAG);
	close_world();
}

/*
 * The head of the second frame still contains bytes of the burst before, which look like those of
 * the first frame.
 */
static void a_frame_that_ends_in_its_tag_is_dropped(void **state)
{
	(void)state;
	open_two(false, TRUNK, ACCESS);
	send_one(1, 64, TAG);
	send_one(1, 64, TAG);
	for (unsigned i = 0; i < 3; i++)
		give(1, 64);
	assert_int_equal(run(), 2);
	send_one(1, 60, TAG);
	send_one(1, 16, TAG);
	assert_int_equal(run(), 2);
	assert_int_equal(w.from.queue.stats.drops[DROP_VLAN], 1);
	assert_balance();
	for (unsigned i = 0; i < 3; i++)
		check_next(1, i, 4, 0);
	check_nothing_left(1);
	close_world();
}

/* Another kind of queue than virtqueues: one frame fits with its tag, one does not. */
static void other_queues_need_room_for_the_tag(void **state)
{
	struct queue *q = &w.to[1].queue;
	uint8_t *got;

	(void)state;
	for (unsigned fits = 0; fits < 2; fits++) {
		uint32_t len = NET + 100 + (fits ? 4 : 0);

		open_two(false, ACCESS, TRUNK);
		null_queue_open(q);
		got = take_guarded(len);
		null_queue_offer(q, got, len, 1);
		send_one(1, 100, 0);
		assert_int_equal(run(), 1);
		assert_int_equal(delivered(1), fits);
		assert_int_equal(drops(1, DROP_TOO_SMALL), !fits);
		if (fits) {
			assert_int_equal(load32(got + NET + 12), NEW_TAG);
			assert_memory_equal(got + NET + 16, sent[0].bytes + 12, 88);
		}
		null_queue_close(q);
		close_world();
	}
}

/* The frames of one burst go to ports that change them in different ways. */
static void each_port_has_its_change(void **state)
{
	static const enum kind kinds[] = {NATIVE, ACCESS, TRUNK, ACCESS, TRUNK, QINQ};

	(void)state;
	for (unsigned tagged = 0; tagged < 2; tagged++) {
		open_kinds(tagged, ARRAY_SIZE(kinds), kinds);
		for (unsigned i = 0; i < 20; i++) {
			unsigned to = 1 + i % 5;

			send_one(to, 60 + 2 * i, tagged ? TAG : 0);
			give(to, 60 + 2 * i + 4);
		}
		assert_int_equal(run(), 20);
		assert_true(w.burst->plain);
		assert_balance();
		for (unsigned i = 0; i < 20; i++) {
			bool trunk = kinds[1 + i % 5] == TRUNK;

			check_next(1 + i % 5, i, tagged ? 4 : 0,
			    !trunk       ? 0
				: tagged ? TAG
					 : NEW_TAG);
		}
		close_world();
	}
}

static void a_flood_changes_at_each_port(void **state)
{
	static const enum kind kinds[] = {ACCESS, TRUNK, ACCESS, TRUNK, OTHER_TPID};

	(void)state;
	open_kinds(false, ARRAY_SIZE(kinds), kinds);
	for (unsigned i = 0; i < 3; i++) {
		send_one(255, 64 + 40 * i, 0);
		for (unsigned p = 1; p < 5; p++)
			give(p, 64 + 40 * i + 4);
	}
	assert_int_equal(run(), 3);
	assert_true(w.burst->plain);
	assert_balance();
	for (unsigned i = 0; i < 3; i++) {
		check_next(1, i, 0, NEW_TAG);
		check_next(2, i, 0, 0);
		check_next(3, i, 0, NEW_TAG);
		check_next(4, i, 0, UINT32_C(0x88a80007));
	}
	close_world();
}

/*
 * A port whose buffers have two descriptors makes the burst general, before or after a port that
 * the copy serves. Each frame is changed once.
 */
static void a_burst_that_becomes_general_changes_all_frames(void **state)
{
	static const enum kind kinds[] = {ACCESS, TRUNK, TRUNK, ACCESS};

	(void)state;
	for (unsigned split = 1; split < ARRAY_SIZE(kinds); split++) {
		open_kinds(false, ARRAY_SIZE(kinds), kinds);
		for (unsigned i = 0; i < 12; i++) {
			unsigned to = 1 + i % 3;

			send_one(to, 100, 0);
			if (to == split)
				add_chain(&w.to[to], take_guarded(NET + 104), NET + 104, 50);
			else
				give(to, 104);
		}
		assert_int_equal(run(), 12);
		assert_false(w.burst->plain);
		assert_balance();
		for (unsigned i = 0; i < 12; i++)
			check_next(1 + i % 3, i, 0, 1 + i % 3 == 3 ? 0 : NEW_TAG);
		close_world();
	}
}

static void give_more(void)
{
	w.on_call = NULL;
	give(1, 104);
}

/* The ring is full after two frames, gets a buffer, and is full again. */
static void the_rest_is_changed_in_a_later_visit(void **state)
{
	(void)state;
	open_two(false, ACCESS, TRUNK);
	w.to[1].queue.call_fd = 1;
	w.on_call = give_more;
	for (unsigned i = 0; i < 5; i++)
		send_one(1, 100, 0);
	give(1, 104);
	give(1, 104);
	assert_int_equal(run(), 5);
	assert_true(w.burst->plain);
	assert_balance();
	assert_int_equal(delivered(1), 3);
	assert_int_equal(drops(1, DROP_RING_FULL), 2);
	for (unsigned i = 0; i < 3; i++)
		check_next(1, i, 0, NEW_TAG);
	close_world();
}

/* What the copy does not change: a request for a checksum, and a tag that becomes another one. */
static void other_bursts_are_general(void **state)
{
	const struct virtio_net_hdr asks = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
	    .csum_start = 38,
	    .csum_offset = 16,
	    .num_buffers = 1};
	struct virtio_net_hdr net;
	uint8_t frame[LONGEST];

	(void)state;
	open_two(false, TRUNK, ACCESS);
	send_one(1, 100, TAG);
	send_with(1, 100, TAG, 0, ETHERTYPE_IPV4, &asks);
	give(1, 100);
	give(1, 100);
	assert_int_equal(run(), 2);
	assert_false(w.burst->plain);
	check_next(1, 0, 4, 0);
	assert_int_equal(receive(1, &net, frame), 96);
	assert_int_equal(net.csum_start, 34);
	close_world();

	open_two(false, TRUNK, OTHER_TPID);
	send_one(1, 100, TAG);
	give(1, 104);
	assert_int_equal(run(), 1);
	assert_false(w.burst->plain);
	check_next(1, 0, 4, UINT32_C(0x88a8e007));
	close_world();
}

/*
 * A port of several queues. With at most one tag the queue does not depend on the tag, so the copy
 * can change the frames. With more tags the head is changed first.
 */
static void several_queues_need_the_frame_as_it_leaves(void **state)
{
	(void)state;
	for (unsigned tags = 0; tags < 2; tags++) {
		open_two(false, QINQ, TRUNK);
		/* Both queues are the same ring here. */
		w.port[1].egress[1] = w.port[1].egress[0];
		w.port[1].n_egress = 2;
		for (unsigned i = 0; i < 4; i++) {
			send_with(1, 100, tags ? TAG : 0, 0, ETHERTYPE_IPV4, &no_offload_header);
			give(1, 104);
		}
		assert_int_equal(run(), 4);
		assert_int_equal(w.burst->plain, !tags);
		assert_int_equal(delivered(1), 4);
		close_world();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_length_gets_or_loses_a_tag),
	    cmocka_unit_test(lengths_share_a_burst),
	    cmocka_unit_test(headers_are_written),
	    cmocka_unit_test(a_buffer_without_room_for_the_tag_is_merged),
	    cmocka_unit_test(a_buffer_may_be_as_short_as_the_frame_without_its_tag),
	    cmocka_unit_test(one_frame_differs),
	    cmocka_unit_test(types_may_differ_if_no_frame_has_a_tag),
	    cmocka_unit_test(a_frame_that_ends_in_its_tag_is_dropped),
	    cmocka_unit_test(other_queues_need_room_for_the_tag),
	    cmocka_unit_test(each_port_has_its_change),
	    cmocka_unit_test(a_flood_changes_at_each_port),
	    cmocka_unit_test(a_burst_that_becomes_general_changes_all_frames),
	    cmocka_unit_test(the_rest_is_changed_in_a_later_visit),
	    cmocka_unit_test(other_bursts_are_general),
	    cmocka_unit_test(several_queues_need_the_frame_as_it_leaves),
	};

	return run_group_at_each_level(tests);
}
