/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a switch with eight ports for as long as wanted. Four ports only exchange numbered frames.
 * The other four reconnect, change their memory, switch the dirty log on and off, reset rings, send
 * wrong messages and take their memory away. No frame between the first four may be lost, nothing
 * may leak, and the counters must balance.
 *
 * usage: soak VSWITCHD MINUTES; the seed is printed and can be given in $SEED.
 */
#include "functional.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORTS       8
#define STEADY      4
#define CHANGING    4 /* this port and the next one talk to each other */
#define HOSTILE     6
#define LOSING      7
#define STREAMS     6
#define REPORT_NS   UINT64_C(10000000000)
#define LOG_SIZE    (1 << 20)
#define EXTRA_GPA   UINT64_C(0x4000000000)
#define MAPS_SPREAD 40 /* heap and stacks may come and go */

/* What can happen; each has the same chance. */
#define EVENTS(X) \
	X(reconnect, "reconnects") \
	X(change_memory, "memory changes") \
	X(switch_log, "log switches") \
	X(reset_ring, "ring resets") \
	X(send_nonsense, "hostile connections") \
	X(lose_memory, "losses of memory")

struct soak {
	struct switch_process sw;
	struct net_driver *nd[PORTS];
	struct stream s[STREAMS];
	uint64_t random;
	int log_fd;
	bool logging;
};

static void run(struct soak *k, unsigned steps)
{
	for (unsigned i = 0; i < steps; i++)
		streams_step(k->s, STREAMS);
}

static struct net_config port_config(unsigned port)
{
	static const uint64_t features[] = {FEATURES_BASE, FEATURES_PACKED,
	    FEATURES_BASE | VIRTIO_BIT(F_IN_ORDER), FEATURES_PACKED | VIRTIO_BIT(F_IN_ORDER)};
	struct net_config c = usual_config(
	    features[port % 4] | VIRTIO_BIT(F_RING_RESET) | VIRTIO_BIT(VHOST_F_LOG_ALL),
	    port == 2 || port == 3 ? 4 : 1);

	c.ring_size = port < STEADY ? 1024 : 128;
	return c;
}

static void connect_port(struct soak *k, unsigned port)
{
	struct net_config c = port_config(port);

	k->nd[port] = attach(&k->sw, port, &c);
}

static struct net_driver *changing(struct soak *k)
{
	return k->nd[CHANGING + random_next(&k->random) % 2];
}

static void reconnect(struct soak *k)
{
	struct net_driver *nd = changing(k);

	frontend_disconnect(&nd->fe);
	run(k, 3);
	must_equal(
	    -net_driver_connect(nd, k->sw.path[nd == k->nd[CHANGING] ? CHANGING : CHANGING + 1]), 0,
	    "errno of a reconnect");
	k->logging &= nd != k->nd[CHANGING];
}

static void change_memory(struct soak *k)
{
	struct frontend *fe = &changing(k)->fe;
	int extra = frontend_region_create(fe, EXTRA_GPA, 1 << 16, 0, false);

	must(extra >= 0, "no memory for a region");
	if (random_next(&k->random) % 2) {
		must_equal(-frontend_set_mem_table(fe), 0, "errno of SET_MEM_TABLE");
		run(k, 3);
		frontend_region_destroy(fe, extra);
		must_equal(-frontend_set_mem_table(fe), 0, "errno of SET_MEM_TABLE");
		return;
	}
	must_equal(-frontend_add_mem_reg(fe, extra), 0, "errno of ADD_MEM_REG");
	run(k, 3);
	must_equal(-frontend_rem_mem_reg(fe, extra), 0, "errno of REM_MEM_REG");
	frontend_region_destroy(fe, extra);
}

/* Turn the log on, as a migration does when it begins, or off, as if it was given up. */
static void switch_log(struct soak *k)
{
	struct net_driver *nd = k->nd[CHANGING];
	uint64_t features = nd->fe.features & ~VIRTIO_BIT(VHOST_F_LOG_ALL);

	k->logging = !k->logging;
	if (k->logging) {
		must_equal(-frontend_set_log_base(&nd->fe, LOG_SIZE, 0, k->log_fd), 0,
		    "errno of SET_LOG_BASE");
		features |= VIRTIO_BIT(VHOST_F_LOG_ALL);
	}
	must_equal(-frontend_set_u64(&nd->fe, VHOST_USER_SET_FEATURES, features), 0,
	    "errno of SET_FEATURES");
}

static void reset_ring(struct soak *k)
{
	must_equal(-net_driver_reset_ring(changing(k), random_next(&k->random) % 2), 0,
	    "errno of a ring reset");
}

static void send_nonsense(struct soak *k)
{
	struct frontend *fe = malloc(sizeof(*fe));
	uint64_t payload[40];

	frontend_init(fe);
	must_equal(-frontend_connect(fe, k->sw.path[HOSTILE]), 0, "errno of connect");
	for (unsigned i = random_next(&k->random) % 20; i; i--) {
		int fds[2] = {eventfd(0, EFD_CLOEXEC), memfd_create("soak", MFD_CLOEXEC)};
		uint8_t reply[4096];

		random_fill(&k->random, payload, sizeof(payload));
		payload[0] %= random_next(&k->random) % 2 ? 4 : UINT64_MAX;
		frontend_send(fe, random_between(&k->random, 1, 46), VHOST_VERSION, payload,
		    8 * random_between(&k->random, 0, 5), fds, random_next(&k->random) % 3);
		close(fds[0]);
		close(fds[1]);
		while (recv(fe->fd, reply, sizeof(reply), MSG_DONTWAIT) > 0)
			; /* read replies, so that the switch never finds a full socket */
		run(k, 1);
	}
	frontend_cleanup(fe);
	free(fe);
}

static void lose_memory(struct soak *k)
{
	struct net_driver *nd;
	struct frontend_region *r;
	char byte;

	connect_port(k, LOSING);
	nd = k->nd[LOSING];
	r = &nd->fe.region[nd->rings_region];
	run(k, 3);
	must_equal(ftruncate(r->fd, 0), 0, "ftruncate");
	while (recv(nd->fe.fd, &byte, 1, MSG_DONTWAIT) != 0)
		run(k, 1);
	net_driver_destroy(nd);
}

static void open_soak(struct soak *k)
{
	switch_start(&k->sw, PORTS, 1, false);
	k->log_fd = memfd_create("log", MFD_CLOEXEC);
	must_equal(ftruncate(k->log_fd, LOG_SIZE), 0, "ftruncate");
	for (unsigned i = 0; i < CHANGING + 2; i++)
		connect_port(k, i);
	introduce(k->nd, CHANGING + 2);
	for (unsigned i = 0; i < STREAMS; i++) {
		k->s[i] = usual_stream(k->nd, i, i ^ 1, i + 1);
		k->s[i].lossy = i >= STEADY;
		k->s[i].window = i >= STEADY ? 32 : 64;
	}
	streams_run(k->s, STREAMS, 500);
}

static void close_soak(struct soak *k)
{
	json_t *stats;

	streams_settle(k->s, STREAMS);
	stats = switch_stop(&k->sw);
	switch_check_totals(stats);
	for (unsigned i = 0; i < STEADY; i++) {
		must_equal(
		    switch_drops(stats, i, "ingress", NULL), 0, "frames lost from a steady port");
		must_equal(
		    switch_drops(stats, i, "egress", NULL), 0, "frames lost to a steady port");
	}
	json_decref(stats);
	switch_remove(&k->sw);
	for (unsigned i = 0; i < CHANGING + 2; i++)
		net_driver_destroy(k->nd[i]);
	close(k->log_fd);
}

static void report(const struct soak *k, const unsigned count[], double minutes)
{
	static const char *const names[] = {
#define X(name, text) text,
	    EVENTS(X)
#undef X
	};
	uint64_t frames = 0, lost = 0;

	for (unsigned i = 0; i < STREAMS; i++) {
		frames += k->s[i].received;
		lost += k->s[i].lost;
	}
	printf("%5.1f min  %.1f M frames checked, %llu lost with changing ports", minutes,
	    (double)frames / 1e6, (unsigned long long)lost);
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		printf(", %u %s", count[i], names[i]);
	printf("\n");
	fflush(stdout);
}

static double soak_minutes;

static void test_soak(void **state)
{
	static void (*const events[])(struct soak *) = {
#define X(name, text) name,
	    EVENTS(X)
#undef X
	};
	struct soak k = {.random = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 0) : now_ns()};
	unsigned count[ARRAY_SIZE(events)] = {0};
	uint64_t start = now_ns(), next = start + REPORT_NS;
	struct switch_usage before, after;

	(void)state;
	printf("SEED=%#llx\n", (unsigned long long)k.random);
	open_soak(&k);
	before = switch_usage(&k.sw);
	while (now_ns() - start < soak_minutes * 60e9) {
		unsigned event = random_next(&k.random) % ARRAY_SIZE(events);

		events[event](&k);
		count[event]++;
		run(&k, random_between(&k.random, 1, 200));
		must(switch_alive(&k.sw), "vswitchd died");
		if (now_ns() < next)
			continue;
		report(&k, count, (double)(now_ns() - start) / 60e9);
		next += REPORT_NS;
	}
	after = switch_usage(&k.sw);
	report(&k, count, (double)(now_ns() - start) / 60e9);
	must(after.n_fds <= before.n_fds + 2, "open descriptors of vswitchd grow");
	must(after.n_maps <= before.n_maps + MAPS_SPREAD, "mappings of vswitchd grow");
	must(after.private_kib <= before.private_kib + 4096, "memory of vswitchd grows");
	close_soak(&k);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_soak)};

	if (argc != 3) {
		fprintf(stderr, "usage: soak VSWITCHD MINUTES\n");
		return 2;
	}
	switch_binary(argv[1]);
	soak_minutes = strtod(argv[2], NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
