/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the state of a port: a state has no more effect than frames from its addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/fdb.h"
#include "net/net_device.h"
#include "net/net_state.h"
#include "worker/worker.h"

#define SELF   1
#define OTHER  2
#define HEADER 12

static struct fdb *fdb;
static uint16_t domain;
static struct port_policy policy;

uint32_t workers_clock(void)
{
	return 10;
}

static struct fdb *table(const struct net_device *nd, uint16_t *ret_domain)
{
	(void)nd;
	*ret_domain = domain;
	return fdb;
}

static void policy_of(const struct net_device *nd, struct port_policy *ret)
{
	(void)nd;
	*ret = policy;
}

static const struct net_host host = {.table = table, .policy = policy_of};
static struct net_device nd = {.host = &host, .index = SELF, .vhost.opaque = &nd};

static uint64_t mac(uint8_t last)
{
	return mac_load((const uint8_t[]){2, 0, 0, 0, 0, last});
}

/* A table in which another port has address 1, and this port address 2. */
static void begin(struct port_policy is, uint16_t of)
{
	policy = is;
	domain = of;
	fdb = fdb_create(100, 60);
	assert_non_null(fdb);
	fdb_learn(fdb, fdb_address(mac(1), of % FDB_DOMAINS), OTHER, 10);
	fdb_learn(fdb, fdb_address(mac(2), of % FDB_DOMAINS), SELF, 10);
}

/* Load a state with the addresses 1 to n. */
static int load(unsigned n)
{
	uint8_t bytes[HEADER + 6 * 8] = {0x76, 0x73, 0x77, 0x4e, 1};

	assert_in_range(n, 1, 8);
	bytes[8] = n;
	for (unsigned i = 0; i < n; i++) {
		bytes[HEADER + 6 * i] = 2;
		bytes[HEADER + 6 * i + 5] = i + 1;
	}
	return net_state_load(&nd.vhost, bytes, HEADER + 6 * n);
}

/* The owners of the addresses 1 to 4 must be these; then the table ends. */
static void end(uint16_t one, uint16_t two, uint16_t three, uint16_t four)
{
	const uint16_t owner[] = {one, two, three, four};

	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(
		    fdb_lookup(fdb, fdb_address(mac(i + 1), domain % FDB_DOMAINS)), owner[i]);
	fdb_destroy(fdb);
}

static void without_a_policy_all_addresses_are_learned(void **state)
{
	(void)state;
	for (uint16_t of = 0; of <= 10; of += 10) {
		begin((struct port_policy){0}, of);
		assert_int_equal(load(4), 0);
		end(SELF, SELF, SELF, SELF);
	}
}

static void a_guarded_port_loads_no_address_of_another(void **state)
{
	(void)state;
	begin((struct port_policy){.features = POLICY_MAC_GUARD}, 0);
	assert_int_equal(load(4), 0);
	end(OTHER, SELF, SELF, SELF);
}

/* The port has one address already, and may have two. */
static void no_more_addresses_are_loaded_than_the_limit(void **state)
{
	(void)state;
	begin((struct port_policy){.features = POLICY_MAC_LIMIT | POLICY_MAC_GUARD, .mac_limit = 2},
	    10);
	assert_int_equal(load(4), 0);
	assert_int_equal(fdb_port_count(fdb, SELF), 2);
	end(OTHER, SELF, SELF, FDB_NONE);
}

static void only_allowed_addresses_are_loaded(void **state)
{
	struct port_policy allow = {.features = POLICY_MAC_ALLOW, .n_allow = 2};

	(void)state;
	allow.allow[0] = mac(3);
	allow.allow[1] = mac(9);
	begin(allow, 10);
	assert_int_equal(load(4), 0);
	end(OTHER, SELF, SELF, FDB_NONE);
}

/* A trunk without a native VLAN. */
static void a_port_without_untagged_frames_loads_nothing(void **state)
{
	(void)state;
	begin((struct port_policy){0}, VLAN_NONE);
	assert_int_equal(load(4), 0);
	assert_int_equal(fdb_count(fdb), 2);
	end(OTHER, SELF, FDB_NONE, FDB_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(without_a_policy_all_addresses_are_learned),
	    cmocka_unit_test(a_guarded_port_loads_no_address_of_another),
	    cmocka_unit_test(no_more_addresses_are_loaded_than_the_limit),
	    cmocka_unit_test(only_allowed_addresses_are_loaded),
	    cmocka_unit_test(a_port_without_untagged_frames_loads_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
