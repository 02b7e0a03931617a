/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front-end that sends random messages and a guest that writes random rings harm only themselves:
 * two other ports exchange numbered frames without a loss, and vswitchd leaks nothing.
 *
 * The seed is printed and can be given in $SEED. Each round is one connection on port 2.
 */
#include "functional.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define RUN_MS       10000
#define LAST_MESSAGE 50

struct lab {
	struct switch_process sw;
	struct net_driver *nd[2];
	struct stream s[2];
	uint64_t random;
};

static void run(struct lab *l, unsigned steps)
{
	for (unsigned i = 0; i < steps; i++)
		streams_step(l->s, 2);
}

static uint64_t odd_number(struct lab *l)
{
	static const uint64_t odd[] = {0, 1, 2, 3, 7, 255, 256, 257, 4096, 0x7fffffff, 0xffffffff,
	    UINT64_C(1) << 63, UINT64_MAX, UINT64_MAX - 4095, 65536, 32768};

	if (random_next(&l->random) % 4 == 0)
		return random_next(&l->random);
	return odd[random_next(&l->random) % ARRAY_SIZE(odd)];
}

static int random_fd(struct lab *l)
{
	int fd;

	if (random_next(&l->random) % 2)
		return eventfd(0, EFD_CLOEXEC);
	fd = memfd_create("hostile", MFD_CLOEXEC);
	if (fd >= 0 && ftruncate(fd, random_between(&l->random, 0, 1 << 16)) < 0)
		fprintf(stderr, "ftruncate: %s\n", strerror(errno));
	return fd;
}

/* A message with random id, flags, size, contents and descriptors; most are nearly plausible. */
static int send_odd_message(struct lab *l, struct frontend *fe)
{
	uint64_t payload[64];
	uint32_t id = random_between(&l->random, 0, LAST_MESSAGE);
	uint32_t flags = VHOST_VERSION | (random_next(&l->random) % 4 ? 0 : VHOST_NEED_REPLY);
	static const uint32_t sizes[] = {0, 4, 8, 8, 8, 16, 40, 40, 72, 264, 268, 512};
	uint32_t size = sizes[random_next(&l->random) % ARRAY_SIZE(sizes)];
	unsigned n_fds = random_next(&l->random) % 3 ? random_next(&l->random) % 2
						     : random_between(&l->random, 0, 12);
	int fds[12], err;

	for (unsigned i = 0; i < ARRAY_SIZE(payload); i++)
		payload[i] = odd_number(l);
	if (random_next(&l->random) % 2)
		payload[0] = random_next(&l->random) % 4; /* a ring index, a number of regions */
	if (random_next(&l->random) % 16 == 0)
		flags = random_next(&l->random);
	for (unsigned i = 0; i < n_fds; i++)
		fds[i] = random_fd(l);
	err = frontend_send(fe, id, flags, payload, size, fds, n_fds);
	for (unsigned i = 0; i < n_fds; i++)
		close(fds[i]);
	return err;
}

static void round_of_bytes(struct lab *l, struct frontend *fe)
{
	uint8_t bytes[4096];

	random_fill(&l->random, bytes, sizeof(bytes));
	frontend_send_bytes(fe, bytes, random_between(&l->random, 1, sizeof(bytes)));
}

static void round_of_messages(struct lab *l, struct frontend *fe)
{
	for (unsigned i = 0; i < 40; i++) {
		uint8_t reply[4096];

		if (send_odd_message(l, fe) < 0)
			return;
		while (recv(fe->fd, reply, sizeof(reply), MSG_DONTWAIT) > 0)
			; /* read replies, so that the switch never finds a full socket */
		run(l, 1);
	}
}

/* Send a part of a header, or a header without its payload. */
static void round_of_half_messages(struct lab *l, struct frontend *fe)
{
	struct vhost_header h = {.request = VHOST_USER_SET_MEM_TABLE,
	    .flags = VHOST_VERSION,
	    .size = random_between(&l->random, 1, 264)};

	frontend_send_bytes(fe, &h, random_between(&l->random, 1, sizeof(h)));
	run(l, 20);
}

/* Write random words, or words that look like descriptors with valid addresses. */
static void scribble(struct lab *l, struct net_driver *nd, unsigned index)
{
	struct net_queue *q = &nd->queue[index];
	uint64_t *ring = frontend_memory(&nd->fe, q->desc, 4096);
	uint16_t *avail = frontend_memory(&nd->fe, q->driver, 4096);

	for (unsigned i = 0; i < random_between(&l->random, 1, 64); i++) {
		unsigned slot = random_next(&l->random) % nd->config.ring_size;

		ring[2 * slot] = random_next(&l->random) % 3
		    ? NET_BUFFERS_GPA + random_between(&l->random, 0, 1 << 20)
		    : odd_number(l);
		ring[2 * slot + 1] = random_next(&l->random) % 2
		    ? random_next(&l->random)
		    : random_between(&l->random, 0, 3000) | (random_next(&l->random) % 8) << 32 |
			(random_next(&l->random) % 300) << 48;
	}
	for (unsigned i = 0; i < 16; i++)
		avail[2 + i] = random_next(&l->random);
	if (random_next(&l->random) % 2)
		avail[1] += random_between(&l->random, 0, nd->config.ring_size);
	else
		avail[random_next(&l->random) % 2] = random_next(&l->random);
}

/* Start as a correct front-end, then write random rings and send random messages. */
static void round_of_rings(struct lab *l)
{
	struct net_config c = usual_config(
	    random_next(&l->random) % 2 ? FEATURES_BASE | FEATURES_OFFLOAD : FEATURES_PACKED, 1);
	struct net_driver *nd;
	uint64_t one = 1;

	c.ring_size = 128;
	must_equal(-net_driver_create(&c, &nd), 0, "errno of net_driver_create");
	must_equal(
	    -connect_patiently(nd, l->sw.path[2]), 0, "errno of a good front-end after bad ones");
	for (unsigned i = 0; i < 20; i++) {
		scribble(l, nd, random_next(&l->random) % 2);
		for (unsigned k = 0; k < 2; k++)
			if (write(nd->queue[k].kick_fd, &one, sizeof(one)) < 0)
				break;
		run(l, 10);
		if (random_next(&l->random) % 8 == 0)
			send_odd_message(l, &nd->fe);
	}
	net_driver_destroy(nd);
}

static void one_round(struct lab *l)
{
	struct frontend *fe;

	if (random_next(&l->random) % 2) {
		round_of_rings(l);
		return;
	}
	fe = malloc(sizeof(*fe));
	frontend_init(fe);
	must_equal(-frontend_connect(fe, l->sw.path[2]), 0, "errno of connect");
	fe->timeout_ms = 20;
	switch (random_next(&l->random) % 4) {
	case 0:
		round_of_bytes(l, fe);
		break;
	case 1:
		round_of_half_messages(l, fe);
		break;
	default:
		round_of_messages(l, fe);
	}
	run(l, 5);
	frontend_cleanup(fe);
	free(fe);
}

static void test_a_hostile_port_harms_only_itself(void **state)
{
	uint64_t end = now_ns() + RUN_MS * UINT64_C(1000000);
	struct switch_usage before, after;
	struct lab *l = calloc(1, sizeof(*l));
	unsigned rounds = 0;

	(void)state;
	l->random = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 0) : now_ns();
	printf("SEED=%#llx\n", (unsigned long long)l->random);
	switch_start(&l->sw, 3, 1, false);
	attach_neighbours(&l->sw, l->nd, l->s);
	for (unsigned i = 0; i < 10; i++)
		one_round(l);
	streams_run(l->s, 2, 300);
	before = switch_usage_at_rest(&l->sw);
	while (now_ns() < end) {
		one_round(l);
		must(switch_alive(&l->sw), "vswitchd died");
		rounds++;
	}
	streams_run(l->s, 2, 300);
	after = switch_usage_at_rest(&l->sw);
	printf("%u hostile connections\n", rounds);
	must_equal(after.n_fds, before.n_fds, "open descriptors of vswitchd");
	must(after.n_maps <= before.n_maps + 2, "mappings of vswitchd grow");
	must(l->s[0].received > 1000, "the streams hardly ran");
	switch_finish(&l->sw);
	net_driver_destroy(l->nd[0]);
	net_driver_destroy(l->nd[1]);
	free(l);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_hostile_port_harms_only_itself),
	};

	if (argc > 1)
		switch_binary(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
