/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of the VLAN decisions. A frame is written as its two outer tags and the type behind them.
 * All pairs of ports, VLANs and tags are tried; the test has a model of its own for what a receiver
 * reads in a frame.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "bridge/vlan.h"

#define IPV4  0x0800
#define FRAME 64

static struct vlan_set all_vlans(void)
{
	struct vlan_set set = {0};

	for (uint16_t vlan = VLAN_MIN; vlan <= VLAN_MAX; vlan++)
		vlan_set_add(&set, vlan);
	return set;
}

static struct vlan_set vlans(uint16_t a, uint16_t b)
{
	struct vlan_set set = {0};

	vlan_set_add(&set, a);
	vlan_set_add(&set, b);
	return set;
}

static struct vlan_port port_of(struct vlan_config config)
{
	struct vlan_port port;

	assert_true(vlan_config_valid(&config));
	vlan_port_init(&port, &config);
	return port;
}

static struct vlan_port access_port(uint16_t vlan)
{
	return port_of((struct vlan_config){.set = true, .mode = VLAN_ACCESS, .vlan = vlan});
}

static struct vlan_port qinq_port(uint16_t vlan)
{
	return port_of((struct vlan_config){.set = true, .mode = VLAN_QINQ, .vlan = vlan});
}

static struct vlan_port trunk_port(uint16_t a, uint16_t b, uint16_t native, uint16_t tpid)
{
	return port_of((struct vlan_config){
	    .set = true, .mode = VLAN_TRUNK, .vlan = native, .tpid = tpid, .trunk = vlans(a, b)});
}

/* The words behind the addresses: types and TCIs. */
static void build(uint8_t frame[FRAME], const uint16_t word[], unsigned n)
{
	memset(frame, 0, FRAME);
	for (unsigned i = 0; i < n; i++)
		store16(frame + VLAN_TAG_AT + 2 * i, word[i]);
}

#define IN(port, ret, ...) \
	({ \
		const uint16_t word[] = {__VA_ARGS__}; \
		uint8_t head[FRAME]; \
\
		build(head, word, ARRAY_SIZE(word)); \
		vlan_ingress(&(port), head, FRAME, ret); \
	})

static void only_possible_settings_are_valid(void **state)
{
	struct vlan_config c = {0};

	(void)state;
	assert_true(vlan_config_valid(&c));
	for (unsigned mode = 0; mode < 4; mode++) {
		for (unsigned vlan = 0; vlan < 65536; vlan++) {
			bool usual = vlan >= 1 && vlan <= 4094;

			c = (struct vlan_config){.set = true, .mode = mode, .vlan = vlan};
			assert_int_equal(vlan_config_valid(&c),
			    mode == VLAN_TRUNK ? usual || vlan == 0 : mode < 3 && usual);
		}
		for (unsigned tpid = 1; tpid < 65536; tpid++) {
			c = (struct vlan_config){
			    .set = true, .mode = mode, .vlan = 1, .tpid = tpid};
			assert_int_equal(vlan_config_valid(&c),
			    mode == VLAN_TRUNK && (tpid == 0x8100 || tpid == 0x88a8));
		}
	}
	c = (struct vlan_config){.set = true, .trunk = vlans(0, 5)};
	assert_false(vlan_config_valid(&c));
	c = (struct vlan_config){.set = true, .trunk = vlans(4095, 5)};
	assert_false(vlan_config_valid(&c));
	c = (struct vlan_config){.set = true, .trunk = all_vlans()};
	assert_true(vlan_config_valid(&c));
}

static void an_access_port_takes_frames_without_a_vlan_into_its_own(void **state)
{
	struct vlan_port port = access_port(7);
	struct vlan_frame f;

	(void)state;
	assert_true(IN(port, &f, IPV4));
	assert_int_equal(f.domain, 7);
	assert_int_equal(f.came, 0);
	assert_true(IN(port, &f, 0x8100, 0xe000, IPV4)); /* priority */
	assert_int_equal(f.domain, 7);
	assert_int_equal(f.came, 0x8100e000);
	assert_true(IN(port, &f, 0x9100, 5, IPV4)); /* no tag to anybody here */
	assert_int_equal(f.domain, 7);
	for (unsigned vlan = 1; vlan < 4096; vlan++) {
		assert_false(IN(port, &f, 0x8100, vlan, IPV4));
		assert_false(IN(port, &f, 0x88a8, vlan, IPV4));
		assert_false(IN(port, &f, 0x8100, 0, 0x8100, vlan));
		assert_false(IN(port, &f, 0x88a8, 0xf000, 0x88a8, vlan));
	}
	assert_false(IN(port, &f, 0x8100, 0, 0x8100, 0));
}

static void a_trunk_takes_its_vlans_and_its_native_one(void **state)
{
	struct vlan_port port = trunk_port(10, 20, 30, 0), strict = trunk_port(10, 20, 0, 0);
	struct vlan_frame f;

	(void)state;
	for (unsigned vlan = 1; vlan < 4096; vlan++) {
		bool listed = vlan == 10 || vlan == 20;

		assert_int_equal(IN(port, &f, 0x8100, 0x2000 | vlan, IPV4), listed || vlan == 30);
		assert_int_equal(IN(strict, &f, 0x88a8, vlan, IPV4), listed);
		if (!listed)
			continue; /* not taken */
		assert_int_equal(f.domain, vlan);
		assert_int_equal(f.came, 0x88a80000 | vlan);
	}
	assert_true(IN(port, &f, IPV4));
	assert_int_equal(f.domain, 30);
	assert_true(IN(port, &f, 0x8100, 0x4000, IPV4));
	assert_int_equal(f.domain, 30);
	assert_false(IN(strict, &f, IPV4));
	assert_false(IN(strict, &f, 0x8100, 0, IPV4));
	assert_false(IN(port, &f, 0x8100, 0, 0x8100, 10));
	assert_true(IN(port, &f, 0x8100, 10, 0x8100, 99)); /* what is inside is the guest's */
	assert_true(f.tag_follows);
}

static void a_port_without_a_setting_is_a_trunk_of_all_vlans(void **state)
{
	struct vlan_port port = port_of((struct vlan_config){0});
	struct vlan_frame f;

	(void)state;
	assert_true(port.all);
	for (unsigned vlan = 1; vlan < 4096; vlan++) {
		assert_int_equal(IN(port, &f, 0x8100, vlan, IPV4), vlan < 4095);
		assert_int_equal(f.domain, vlan);
		assert_int_equal(vlan_egress(&port, &f), 0x81000000 | vlan);
	}
	assert_true(IN(port, &f, IPV4));
	assert_int_equal(f.domain, 0);
	assert_int_equal(vlan_egress(&port, &f), 0);
}

static void a_tunnel_takes_everything(void **state)
{
	struct vlan_port port = qinq_port(9), trunk = trunk_port(9, 10, 0, 0x88a8);
	struct vlan_frame f;

	(void)state;
	for (unsigned vlan = 0; vlan < 4096; vlan++) {
		assert_true(IN(port, &f, 0x8100, vlan, IPV4));
		assert_int_equal(f.domain, 9);
		assert_int_equal(f.tag, 0);
		assert_true(f.tag_follows);
		assert_int_equal(vlan_egress(&port, &f), 0);
		assert_int_equal(vlan_egress(&trunk, &f), 0x88a80009);
	}
	assert_true(IN(port, &f, IPV4));
	assert_int_equal(f.domain, 9);
	assert_false(f.tag_follows);
}

static void a_truncated_tag_is_not_taken(void **state)
{
	const uint16_t word[] = {0x8100, 10, IPV4};
	struct vlan_port ports[] = {access_port(10), trunk_port(10, 20, 30, 0)};
	uint8_t head[FRAME];
	struct vlan_frame f;

	(void)state;
	build(head, word, ARRAY_SIZE(word));
	for (unsigned len = 14; len < 20; len++)
		assert_int_equal(vlan_ingress(&ports[1], head, len, &f), len >= 18);
	store16(head + 14, 0);
	for (unsigned p = 0; p < 2; p++)
		for (unsigned len = 14; len < 20; len++)
			assert_int_equal(vlan_ingress(&ports[p], head, len, &f), len >= 18);
}

static void tags_are_written_with_the_tpid_and_the_priority(void **state)
{
	struct vlan_port access = access_port(10), trunk = trunk_port(10, 20, 0, 0),
			 provider = trunk_port(10, 20, 0, 0x88a8),
			 native = trunk_port(20, 20, 10, 0);
	struct vlan_frame f;

	(void)state;
	assert_true(IN(access, &f, IPV4));
	assert_int_equal(vlan_egress(&access, &f), 0);
	assert_int_equal(vlan_egress(&trunk, &f), 0x8100000a);
	assert_int_equal(vlan_egress(&provider, &f), 0x88a8000a);
	assert_int_equal(vlan_egress(&native, &f), 0);
	assert_true(IN(access, &f, 0x8100, 0xa000, IPV4));
	assert_int_equal(vlan_egress(&access, &f), 0);
	assert_int_equal(vlan_egress(&trunk, &f), 0x8100a00a);
	assert_true(IN(trunk, &f, 0x88a8, 0xf00a, IPV4));
	assert_int_equal(vlan_egress(&trunk, &f), 0x88a8f00a);
	assert_int_equal(vlan_egress(&provider, &f), 0x88a8f00a);
	assert_int_equal(vlan_egress(&access, &f), 0);
	assert_true(IN(trunk, &f, 0x8100, 10, 0x8100, 20));
	assert_int_equal(vlan_egress(&native, &f), 0x8100000a); /* else it would be in VLAN 20 */
	assert_int_equal(vlan_egress(&access, &f), 0);
}

/* The VLAN that a guest on a trunk reads in a frame. VLAN_NONE: none, it is untagged. */
static uint16_t read_by_trunk(uint32_t outer, const uint16_t word[], unsigned at, unsigned n)
{
	uint16_t vlan = VLAN_NONE;

	if (outer)
		vlan = outer % VLAN_DOMAINS;
	/* A priority tag says nothing: the next tag counts. */
	for (; (vlan == VLAN_NONE || vlan == 0) && at + 1 < n && ethertype_is_tag(word[at]);
	     at += 2)
		vlan = word[at + 1] % VLAN_DOMAINS;
	return vlan == 0 ? VLAN_NONE : vlan;
}

/*
 * Whatever a guest sends from one port, a guest at another port reads in it the VLAN in which the
 * first port may send, or none.
 */
static void no_frame_is_read_in_another_vlan_than_its_own(void **state)
{
	const struct vlan_port ports[] = {access_port(1), access_port(2), trunk_port(1, 2, 0, 0),
	    trunk_port(2, 3, 1, 0), trunk_port(1, 3, 2, 0x88a8), trunk_port(3, 3, 1, 0x8100),
	    qinq_port(1), qinq_port(3), port_of((struct vlan_config){0})};
	static const uint16_t types[] = {IPV4, 0x8100, 0x88a8, 0x9100};
	static const uint16_t tcis[] = {0, 1, 2, 3, 0xe000, 0xe001, 0xf003, 4095};
	unsigned passed = 0;

	(void)state;
	for (unsigned k = 0; k < 4 * 8 * 4 * 8 * 4; k++) {
		const uint16_t word[] = {types[k % 4], tcis[k / 4 % 8], types[k / 32 % 4],
		    tcis[k / 128 % 8], types[k / 1024]};
		uint8_t head[FRAME];

		build(head, word, 5);
		for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
			struct vlan_frame f;

			if (!vlan_ingress(&ports[i], head, FRAME, &f))
				continue; /* not taken */
			assert_true(vlan_member(&ports[i], f.domain));
			for (unsigned o = 0; o < ARRAY_SIZE(ports); o++) {
				uint32_t tag;
				uint16_t vlan;

				if (o == i || !vlan_member(&ports[o], f.domain))
					continue; /* it does not leave here */
				tag = vlan_egress(&ports[o], &f);
				passed++;
				if (ports[o].mode != VLAN_TRUNK) {
					assert_int_equal(tag, 0);
					assert_int_equal(ports[o].untagged, f.domain);
					continue; /* all frames are in the port's one VLAN */
				}
				vlan = read_by_trunk(tag, word, f.came ? 2 : 0, 5);
				if (vlan == VLAN_NONE)
					assert_int_equal(f.domain, ports[o].untagged);
				else
					assert_int_equal(vlan, f.domain);
			}
		}
	}
	assert_true(passed > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_possible_settings_are_valid),
	    cmocka_unit_test(an_access_port_takes_frames_without_a_vlan_into_its_own),
	    cmocka_unit_test(a_trunk_takes_its_vlans_and_its_native_one),
	    cmocka_unit_test(a_port_without_a_setting_is_a_trunk_of_all_vlans),
	    cmocka_unit_test(a_tunnel_takes_everything),
	    cmocka_unit_test(a_truncated_tag_is_not_taken),
	    cmocka_unit_test(tags_are_written_with_the_tpid_and_the_priority),
	    cmocka_unit_test(no_frame_is_read_in_another_vlan_than_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
