/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front-end that takes its memory away from a running port, or makes its call eventfd block,
 * loses that port and nothing else. Two other ports exchange numbered frames meanwhile without a
 * loss, the counters balance, and vswitchd leaks neither descriptors nor mappings.
 *
 * To take memory away, the test truncates the file, so that every access raises SIGBUS. The test's
 * own mapping is first replaced by ordinary memory, so that its driver can continue.
 */
#include "functional.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define VICTIM    2 /* the port that is lost */
#define ROUNDS    4
#define FRAMES    64
#define TIMEOUT_S 5

struct lab {
	struct switch_process sw;
	struct net_driver *nd[3];
	struct stream s[2];
	uint64_t random;
	unsigned losses;
};

static void open_lab(struct lab *l)
{
	switch_start(&l->sw, 3, 1, false);
	attach_neighbours(&l->sw, l->nd, l->s);
}

static void close_lab(struct lab *l)
{
	must(l->s[0].received > 1000, "the streams hardly ran");
	switch_finish(&l->sw);
	net_driver_destroy(l->nd[0]);
	net_driver_destroy(l->nd[1]);
}

static void run_for(struct lab *l, unsigned steps)
{
	for (unsigned i = 0; i < steps; i++)
		streams_step(l->s, 2);
}

static void take_away(struct net_driver *nd, int region)
{
	struct frontend_region *r = &nd->fe.region[region];
	void *copy = malloc(r->size);

	memcpy(copy, r->host, r->size);
	must(mmap(r->host, r->size, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS,
		 -1, 0) == r->host,
	    "cannot keep a view of our own");
	memcpy(r->host, copy, r->size);
	free(copy);
	must_equal(ftruncate(r->fd, 0), 0, "ftruncate");
}

static bool dropped(const struct net_driver *nd)
{
	char byte;

	return recv(nd->fe.fd, &byte, 1, MSG_DONTWAIT) == 0;
}

/*
 * Send frames in both directions between the victim and a neighbour, so that the victim's memory is
 * used.
 */
static void use_victim(struct lab *l)
{
	uint8_t frame[1000], from[6], to[6];

	station_mac(from, VICTIM, 0);
	station_mac(to, 0, 0);
	make_frame(frame, sizeof(frame), to, from, &l->random);
	net_send(l->nd[VICTIM], 0, frame, sizeof(frame), NULL, NULL);
	make_frame(frame, sizeof(frame), from, to, &l->random);
	net_send(l->nd[0], 0, frame, sizeof(frame), NULL, NULL);
}

static void wait_until_dropped(struct lab *l, bool talk)
{
	uint64_t deadline = now_ns() + TIMEOUT_S * UINT64_C(1000000000);

	while (!dropped(l->nd[VICTIM])) {
		must(switch_alive(&l->sw), "vswitchd died");
		must(now_ns() < deadline, "the port without memory is still served");
		if (talk)
			use_victim(l);
		run_for(l, 4);
	}
}

static bool log_says(const struct lab *l, const char *text)
{
	char line[1024];
	FILE *log = fopen(l->sw.log, "r");
	bool found = false;

	while (log && !found && fgets(line, sizeof(line), log))
		found = strstr(line, text);
	if (log)
		fclose(log);
	return found;
}

static void connect_victim(struct lab *l, uint64_t features)
{
	struct net_config c = usual_config(features, 1);

	l->nd[VICTIM] = attach(&l->sw, VICTIM, &c);
	introduce(l->nd, 3);
	for (unsigned i = 0; i < FRAMES; i++) {
		use_victim(l);
		run_for(l, 1);
	}
}

/*
 * Lose the victim's memory, and check that the switch has as many descriptors and mappings as
 * before.
 */
static void lose(struct lab *l, uint64_t features, bool rings, bool talk)
{
	struct switch_usage before = switch_usage_at_rest(&l->sw), after;

	connect_victim(l, features);
	take_away(
	    l->nd[VICTIM], rings ? l->nd[VICTIM]->rings_region : l->nd[VICTIM]->buffers_region);
	wait_until_dropped(l, talk);
	net_driver_destroy(l->nd[VICTIM]);
	streams_run(l->s, 2, 20);
	after = switch_usage_at_rest(&l->sw);
	must_equal(after.n_fds, before.n_fds, "open descriptors of vswitchd");
	must(after.n_maps <= before.n_maps + 1, "mappings of vswitchd grow");
}

static void test_lost(bool rings)
{
	struct lab l = {.random = 1};

	open_lab(&l);
	for (unsigned i = 0; i < ROUNDS; i++) {
		lose(&l, FEATURES_BASE, rings, !rings);
		lose(&l, FEATURES_PACKED, rings, !rings);
	}
	must(log_says(&l, "is gone: its file was cut short"), "the log does not say why");
	close_lab(&l);
}

static void test_memory_of_rings_is_lost(void **state)
{
	(void)state;
	test_lost(true);
}

static void test_memory_of_buffers_is_lost(void **state)
{
	(void)state;
	test_lost(false);
}

static void test_a_call_eventfd_blocks(void **state)
{
	struct lab l = {.random = 1};

	(void)state;
	open_lab(&l);
	/*
	 * This is done for each ring format. The victim is served again after a second in the first
	 * case, and after two seconds in the second case.
	 */
	for (unsigned i = 0; i < 2; i++) {
		connect_victim(&l, i % 2 ? FEATURES_PACKED : FEATURES_BASE);
		streams_settle(l.s, 2);
		drain(l.nd[VICTIM], 20);
		driver_ring_call_enable(&l.nd[VICTIM]->queue[0].ring);
		fill_eventfd(l.nd[VICTIM]->queue[0].call_fd);
		wait_until_dropped(&l, true);
		net_driver_destroy(l.nd[VICTIM]);
		streams_run(l.s, 2, 100);
	}
	must(log_says(&l, "blocks: the front-end has filled it"), "the log does not say why");
	close_lab(&l);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_memory_of_rings_is_lost),
	    cmocka_unit_test(test_memory_of_buffers_is_lost),
	    cmocka_unit_test(test_a_call_eventfd_blocks),
	};

	if (argc > 1)
		switch_binary(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
