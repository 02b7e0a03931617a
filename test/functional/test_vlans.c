/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports get other bridges, VLANs and static addresses while workers forward. The switch runs inside
 * this process. Two steady ports of the default bridge exchange numbered frames all the time, of
 * which none may be lost. Two other ports change.
 */
#include "functional.h"
#include "inside.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/errand.h"
#include "base/ethernet.h"
#include "bridge/fdb.h"
#include "control/report.h"

#define STEADY 2
#define N      4 /* with the ports that change: 2 and 3 */

static struct net_driver *nd[N];
static struct stream s[STEADY];
static char name[N][16], path[N][96];
static uint8_t frame[64];

/* What the control thread is asked to do. */
struct ask {
	unsigned port;
	struct port_settings settings;
	struct bridge_config bridge;
	struct port_fault fault;
	int err;
	uint32_t count;
	bool gone;
};

static void add_port(void *arg)
{
	struct ask *a = arg;
	struct port_config config;

	vswitch_port_defaults(inside, &config);
	config.name = name[a->port];
	config.path = path[a->port];
	config.settings = a->settings;
	a->err = vswitch_port_add(inside, &config, NULL, &a->fault);
}

static void note_gone(void *arg)
{
	__atomic_store_n((bool *)arg, true, __ATOMIC_RELEASE);
}

static void del_port(void *arg)
{
	struct ask *a = arg;

	vswitch_port_del(inside, vswitch_port_find(inside, name[a->port]), note_gone, &a->gone);
}

static void set_port(void *arg)
{
	struct ask *a = arg;

	a->err =
	    vswitch_port_set(vswitch_port_find(inside, name[a->port]), &a->settings, &a->fault);
}

static void add_bridge(void *arg)
{
	struct ask *a = arg;
	struct bridge *bridge;

	a->err = vswitch_bridge_add(inside, &a->bridge, &bridge, &a->fault);
}

static void del_bridge(void *arg)
{
	struct ask *a = arg;

	a->err = vswitch_bridge_del(inside, vswitch_bridge_find(inside, a->bridge.name), &a->fault);
}

static void add_bridge_soon(void *arg)
{
	struct ask *a = arg;
	struct bridge *bridge;

	a->err = vswitch_bridge_add_soon(inside, &a->bridge, &bridge, &a->fault);
}

static void count_addresses(void *arg)
{
	struct ask *a = arg;
	const struct switch_port *sp = vswitch_port_find(inside, name[a->port]);

	a->count = fdb_port_count(vswitch_bridge_fdb(sp->bridge), sp->index);
	a->gone = !bridges_flush_pending(inside, sp->index);
}

static void must_work(void (*fn)(void *arg), struct ask *a)
{
	inside_call(fn, a);
	must_equal(-a->err, 0, a->fault.text);
}

static void must_fail(void (*fn)(void *arg), struct ask *a, int err, const char *field)
{
	inside_call(fn, a);
	must_equal(-a->err, -err, "errno");
	must(a->fault.text[0] && strcmp(a->fault.field ? a->fault.field : "", field) == 0, field);
}

static void remove_port(unsigned port)
{
	static struct ask a;

	a = (struct ask){.port = port};
	inside_call(del_port, &a);
	for (unsigned tries = 0; !__atomic_load_n(&a.gone, __ATOMIC_ACQUIRE); tries++) {
		must(tries < 5000, "the removal does not end");
		usleep(1000);
	}
}

static struct ask access_to(unsigned port, uint16_t vlan)
{
	return (struct ask){
	    .port = port, .settings.vlan = {.set = true, .mode = VLAN_ACCESS, .vlan = vlan}};
}

static struct ask trunk_of(unsigned port, uint16_t a, uint16_t b)
{
	struct ask ask = {.port = port, .settings.vlan = {.set = true, .mode = VLAN_TRUNK}};

	vlan_set_add(&ask.settings.vlan.trunk, a);
	vlan_set_add(&ask.settings.vlan.trunk, b);
	return ask;
}

static struct ask plain(unsigned port)
{
	return (struct ask){.port = port};
}

/* Apply the settings while the steady ports exchange frames. */
static void change(struct ask a)
{
	streams_step(s, STEADY);
	must_work(set_port, &a);
	streams_run(s, STEADY, 5);
	/* Their ports must have forgotten what they learned before. */
	for (unsigned tries = 0; !a.gone; tries++) {
		must(tries < 5000, "addresses are not forgotten");
		inside_call(count_addresses, &a);
	}
}

/* Send a frame from a port to all, with a tag if vlan is not 0. */
static void send_from(unsigned port, uint16_t vlan)
{
	static const uint8_t to_all[6] = {255, 255, 255, 255, 255, 255};
	uint64_t random = 3;
	uint8_t src[6];

	station_mac(src, port, 0);
	make_frame(frame, sizeof(frame), to_all, src, &random);
	if (vlan)
		store32(frame + 12, UINT32_C(0x81000000) | vlan);
	send_surely(nd[port], 0, frame, sizeof(frame), NULL, NULL);
}

/* The next frame at the port, which is not of a stream, has this length; 0: there is none. */
static void must_get(unsigned port, uint32_t len, uint16_t vlan)
{
	struct net_frame f;
	bool got = receive_within(nd[port], 0, &f, len ? 2000 : 50);

	must_equal(got ? f.len : 0, len, "bytes of the frame");
	if (vlan)
		must_equal(load32(f.bytes + 12), UINT32_C(0x81000000) | vlan, "tag of the frame");
	if (got)
		must(memcmp(f.bytes, frame, 12) == 0, "addresses of the frame");
}

static uint32_t addresses_of(unsigned port)
{
	struct ask a = plain(port);

	inside_call(count_addresses, &a);
	return a.count;
}

static void start_over(void)
{
	change(plain(2));
	change(plain(3));
	for (unsigned p = 0; p < N; p++)
		drain(nd[p], 10);
}

static int set_up(void **state)
{
	(void)state;
	for (unsigned p = 0; p < N; p++) {
		struct net_config c = usual_config(p % 2 ? FEATURES_PACKED : FEATURES_BASE, 1);
		struct ask a = plain(p);

		snprintf(name[p], sizeof(name[p]), "port%u", p);
		snprintf(path[p], sizeof(path[p]), "%s/%u.sock", inside_dir, p);
		must_work(add_port, &a);
		must_equal(-net_driver_create(&c, &nd[p]), 0, "errno of net_driver_create");
		must_equal(-connect_patiently(nd[p], path[p]), 0, "errno of net_driver_connect");
	}
	introduce(nd, N);
	s[0] = usual_stream(nd, 0, 1, 1);
	s[1] = usual_stream(nd, 1, 0, 2);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (unsigned p = 0; p < N; p++) {
		char journal[128];

		remove_port(p);
		net_driver_destroy(nd[p]);
		snprintf(journal, sizeof(journal), "%s.rings", path[p]);
		unlink(journal);
	}
	return 0;
}

static void vlans_change_while_others_lose_nothing(void **state)
{
	(void)state;
	start_over();
	change(access_to(2, 10));
	send_from(2, 0); /* the steady ports are trunks of all VLANs now */
	must_get(0, 68, 10);
	must_get(1, 68, 10);
	must_get(3, 68, 10);
	change(access_to(3, 20));
	send_from(2, 0);
	must_get(3, 0, 0);
	must_get(0, 68, 10);
	change(trunk_of(3, 10, 30));
	send_from(2, 0);
	must_get(3, 68, 10);
	send_from(3, 10);
	must_get(2, 60, 0);
	send_from(3, 30);
	must_get(2, 0, 0);
	send_from(3, 20);
	send_from(3, 0);
	must_get(2, 0, 0);
	for (unsigned round = 0; round < 20; round++) {
		change(access_to(2, 10 + round));
		change(round % 2 ? trunk_of(3, 10, 20) : plain(3));
		change(plain(2));
	}
	start_over();
	send_from(2, 0);
	must_get(3, 64, 0);
	streams_settle(s, STEADY);
}

static void what_was_learned_in_another_vlan_is_forgotten(void **state)
{
	(void)state;
	start_over();
	send_from(2, 0);
	must_get(3, 64, 0);
	must_equal(addresses_of(2), 1, "addresses of the port");
	change(access_to(2, 10));
	must_equal(addresses_of(2), 0, "addresses after the change of the VLAN");
	start_over();
}

static void a_bridge_keeps_its_frames(void **state)
{
	struct ask two = {.bridge = {.name = "two", .fdb_entries = 100, .fdb_age_s = 60}};
	struct ask there = {.port = 2, .settings.bridge = "two"};

	(void)state;
	start_over();
	must_work(add_bridge, &two);
	must_fail(add_bridge, &two, -EEXIST, "name");
	change(there);
	send_from(2, 0);
	must_get(3, 0, 0);
	must_get(0, 0, 0);
	there.port = 3;
	change(there);
	send_from(2, 0);
	must_get(3, 64, 0);
	must_get(0, 0, 0);
	must_fail(del_bridge, &two, -EBUSY, "name");
	start_over();
	must_work(del_bridge, &two);
	must_fail(set_port, &there, -ENOENT, "bridge");
	must_fail(del_bridge, &(struct ask){.bridge.name = "default"}, -EINVAL, "name");
	send_from(2, 0);
	must_get(3, 64, 0);
	streams_settle(s, STEADY);
}

static void what_is_impossible_changes_nothing(void **state)
{
	struct ask bad = access_to(2, 4095), add = access_to(2, 0);
	struct bridge_config usual = {.name = "x", .fdb_entries = 1, .fdb_age_s = 1};
	struct ask bridge = {.bridge = usual};

	(void)state;
	start_over();
	must_fail(set_port, &bad, -EINVAL, "vlan");
	bad = plain(2);
	memset(bad.settings.bridge, 'a', sizeof(bad.settings.bridge));
	must_fail(set_port, &bad, -ENOENT, "bridge");
	bad = plain(2);
	bad.settings.storm_unknown = PORT_STORM_MAX + 1;
	must_fail(set_port, &bad, -EINVAL, "storm");
	bad = plain(2);
	bad.settings.mac_limit = PORT_MAC_LIMIT_MAX + 1;
	must_fail(set_port, &bad, -EINVAL, "mac_limit");
	bad = plain(2);
	bad.settings.n_mac_allow = 1;
	must_fail(set_port, &bad, -EINVAL, "mac_allow");
	bad.settings.n_mac_allow = PORT_MACS_ALLOW_MAX + 1;
	must_fail(set_port, &bad, -EINVAL, "mac_allow");
	bad = plain(2);
	bad.settings.n_mac_static = PORT_MACS_STATIC_MAX + 1;
	must_fail(set_port, &bad, -EINVAL, "mac_static");
	bad.settings.n_mac_static = 1;
	must_fail(set_port, &bad, -EINVAL, "mac_static");
	snprintf(name[2], sizeof(name[2]), "new");
	snprintf(path[2], sizeof(path[2]), "%s/new.sock", inside_dir);
	must_fail(add_port, &add, -EINVAL, "vlan");
	must(access(path[2], F_OK) < 0, "the socket of a port that was not added is there");
	snprintf(name[2], sizeof(name[2]), "port2");
	snprintf(path[2], sizeof(path[2]), "%s/2.sock", inside_dir);
	bridge.bridge.fdb_entries = 0;
	must_fail(add_bridge, &bridge, -EINVAL, "fdb_entries");
	bridge.bridge = usual;
	bridge.bridge.fdb_age_s = 0;
	must_fail(add_bridge, &bridge, -EINVAL, "fdb_age_s");
	bridge.bridge = usual;
	strcpy(bridge.bridge.name, "a b");
	must_fail(add_bridge, &bridge, -EINVAL, "name");
	send_from(2, 0);
	must_get(3, 64, 0);
	must_get(0, 64, 0);
}

/* The default bridge is not counted. A bridge that is removed leaves room. */
static void the_tables_of_all_bridges_have_a_limit(void **state)
{
	struct ask large = {
	    .bridge = {.name = "large", .fdb_entries = BRIDGES_ENTRIES_MAX, .fdb_age_s = 60}};
	struct ask small = {.bridge = {.name = "small", .fdb_entries = 1, .fdb_age_s = 60}};
	struct ask most = {
	    .bridge = {.name = "most", .fdb_entries = FDB_ENTRIES_MAX, .fdb_age_s = 60}};

	(void)state;
	must_fail(add_bridge, &most, -ENOSPC, "fdb_entries");
	must_work(add_bridge, &large);
	must_fail(add_bridge, &small, -ENOSPC, "fdb_entries");
	must_work(del_bridge, &large);
	must_work(add_bridge, &small);
	must_fail(add_bridge, &large, -ENOSPC, "fdb_entries");
	must_work(del_bridge, &small);
}

static size_t address_space(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	size_t pages = 0;

	must(f && fscanf(f, "%zu", &pages) == 1, "statm");
	fclose(f);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Another bridge is wanted before there is the table of the first one. */
static void a_table_that_nobody_waits_for_is_freed(void **state)
{
	struct ask large = {
	    .bridge = {.name = "large", .fdb_entries = BRIDGES_ENTRIES_MAX, .fdb_age_s = 60}};
	struct ask small = {.bridge = {.name = "small", .fdb_entries = 1, .fdb_age_s = 60}};
	size_t before = address_space();

	(void)state;
	for (unsigned round = 0; round < 16; round++) {
		inside_call(add_bridge_soon, &large);
		must_equal(-large.err, EAGAIN, "errno of the large bridge");
		usleep(round % 2 * 300000); /* its errand has ended, or it has not */
		inside_call(add_bridge_soon, &small);
		for (unsigned tries = 0; small.err == -EAGAIN; tries++) {
			must(tries < 5000, "there is no table");
			usleep(1000);
			inside_call(add_bridge_soon, &small);
		}
		must_equal(-small.err, 0, small.fault.text);
		must_work(del_bridge, &small);
	}
	for (unsigned tries = 0; errand_pending(); tries++) {
		must(tries < 5000, "tables are not freed");
		usleep(1000);
	}
	must(address_space() < before + ((size_t)400 << 20),
	    "tables that nobody waits for stay in memory");
}

static bool held_up;

static void hold_up(void *arg)
{
	(void)arg;
	while (__atomic_load_n(&held_up, __ATOMIC_ACQUIRE))
		usleep(1000);
}

/* Ask again until the bridge is there or is refused. */
static void add_until_known(struct ask *a)
{
	uint64_t deadline = now_ns() + 20 * UINT64_C(1000000000);

	inside_call(add_bridge_soon, a);
	while (a->err == -EAGAIN) {
		must(now_ns() < deadline, "a bridge is neither added nor refused");
		usleep(1000);
		inside_call(add_bridge_soon, a);
	}
}

/* All threads for errands are busy for longer than a table may take. */
static void a_table_that_no_errand_makes_is_given_up(void **state)
{
	struct ask large = {
	    .bridge = {.name = "large", .fdb_entries = BRIDGES_ENTRIES_MAX, .fdb_age_s = 60}};

	(void)state;
	held_up = true;
	for (unsigned i = 0; i < 2 * ERRAND_THREADS_MAX; i++)
		must_equal(-errand_run(hold_up, NULL), 0, "errno of errand_run");
	add_until_known(&large);
	must_equal(-large.err, ETIMEDOUT, "errno of the bridge");
	must(strstr(large.fault.text, "could not be made in time") != NULL, large.fault.text);
	__atomic_store_n(&held_up, false, __ATOMIC_RELEASE);
	/* There is room for another table as soon as the first one was freed. */
	add_until_known(&large);
	must_equal(-large.err, 0, large.fault.text);
	must_work(del_bridge, &large);
}

static struct ask with_static(unsigned port, unsigned station)
{
	struct ask a = {.port = port, .settings.n_mac_static = 1};

	station_mac(a.settings.mac_static[0].mac, station, 0);
	return a;
}

/* Frames to a static address go to its port, though its station never sent from there. */
static void a_static_address_is_its_ports(void **state)
{
	struct ask other = with_static(3, 7);
	uint64_t random = 5;
	uint8_t src[6], dst[6];

	(void)state;
	start_over();
	change(with_static(2, 7));
	must_fail(set_port, &other, -EEXIST, "mac_static");
	station_mac(src, 3, 0);
	station_mac(dst, 7, 0);
	make_frame(frame, sizeof(frame), dst, src, &random);
	send_surely(nd[3], 0, frame, sizeof(frame), NULL, NULL);
	must_get(2, 64, 0);
	must_get(0, 0, 0);
	change(plain(2));
	change(other);
	send_surely(nd[3], 0, frame, sizeof(frame), NULL, NULL);
	must_get(2, 0, 0);
	start_over();
	send_surely(nd[3], 0, frame, sizeof(frame), NULL, NULL);
	must_get(2, 64, 0);
	must_get(0, 64, 0);
	streams_settle(s, STEADY);
}

static void a_port_sends_from_its_addresses_only(void **state)
{
	struct ask a = {.port = 2, .settings.n_mac_allow = 1};

	(void)state;
	start_over();
	station_mac(a.settings.mac_allow[0].mac, 7, 0);
	change(a);
	send_from(2, 0);
	must_get(3, 0, 0);
	station_mac(a.settings.mac_allow[0].mac, 2, 0);
	change(a);
	send_from(2, 0);
	must_get(3, 64, 0);
	start_over();
}

static void drop_unknown(void *arg)
{
	const struct ask *a = arg;
	struct bridge *bridge = vswitch_bridge_find(inside, a->bridge.name);

	vswitch_bridge_drop_unknown(inside, bridge, a->bridge.drop_unknown);
}

/* The steady ports know each other, so they lose nothing. */
static void a_bridge_may_drop_frames_to_unknown_addresses(void **state)
{
	struct ask a = {.bridge.drop_unknown = true};
	uint64_t random = 5;
	uint8_t src[6], dst[6];

	(void)state;
	start_over();
	station_mac(src, 2, 0);
	station_mac(dst, 9, 0);
	make_frame(frame, sizeof(frame), dst, src, &random);
	for (unsigned round = 0; round < 2; round++, a.bridge.drop_unknown = false) {
		inside_call(drop_unknown, &a);
		streams_run(s, STEADY, 5);
		send_surely(nd[2], 0, frame, sizeof(frame), NULL, NULL);
		must_get(3, a.bridge.drop_unknown ? 0 : 64, 0);
	}
	start_over();
}

static void isolated_ports_do_not_meet(void **state)
{
	struct ask a = {.port = 2, .settings.isolated = true};

	(void)state;
	start_over();
	change(a);
	send_from(2, 0);
	must_get(3, 64, 0);
	a.port = 3;
	change(a);
	send_from(2, 0);
	must_get(0, 64, 0);
	must_get(3, 0, 0);
	start_over();
}

static void read_report(void *arg)
{
	*(json_t **)arg = report_json(inside);
}

static void the_counters_balance(void **state)
{
	json_t *report;

	(void)state;
	inside_call(read_report, &report);
	must(json_is_true(json_object_get(json_object_get(report, "totals"), "balanced")),
	    "the counters do not balance");
	json_decref(report);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
	    cmocka_unit_test(vlans_change_while_others_lose_nothing),
	    cmocka_unit_test(what_was_learned_in_another_vlan_is_forgotten),
	    cmocka_unit_test(a_bridge_keeps_its_frames),
	    cmocka_unit_test(what_is_impossible_changes_nothing),
	    cmocka_unit_test(the_tables_of_all_bridges_have_a_limit),
	    cmocka_unit_test(a_table_that_nobody_waits_for_is_freed),
	    cmocka_unit_test(a_table_that_no_errand_makes_is_given_up),
	    cmocka_unit_test(a_static_address_is_its_ports),
	    cmocka_unit_test(a_port_sends_from_its_addresses_only),
	    cmocka_unit_test(a_bridge_may_drop_frames_to_unknown_addresses),
	    cmocka_unit_test(isolated_ports_do_not_meet),
	    cmocka_unit_test(the_counters_balance),
	};

	return cmocka_run_group_tests(all, set_up, tear_down);
}

int main(void)
{
	allow_descriptors(4096);
	return inside_run(tests);
}
