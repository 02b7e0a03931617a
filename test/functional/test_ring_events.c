/* SPDX-License-Identifier: BSD-3-Clause */
/* Changes of one ring do not affect the other rings of the same port. */
#include "functional.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RESETS   200
#define PAIRS    2
#define TX(pair) (2 * (pair) + 1)

struct lab {
	struct switch_process sw;
	struct net_driver *nd[2];
};

static void open_lab(struct lab *l, uint64_t features)
{
	switch_start(&l->sw, 2, 1, false);
	for (unsigned i = 0; i < 2; i++) {
		struct net_config c = usual_config(features | VIRTIO_BIT(F_RING_RESET), PAIRS);

		l->nd[i] = attach(&l->sw, i, &c);
		must(VIRTIO_HAS(l->nd[i]->fe.features, F_RING_RESET), "no ring reset is offered");
	}
	introduce(l->nd, 2);
}

static void close_lab(struct lab *l)
{
	switch_finish(&l->sw);
	net_driver_destroy(l->nd[0]);
	net_driver_destroy(l->nd[1]);
}

static void reset_beside_traffic(uint64_t features)
{
	struct lab l;
	struct stream s;

	open_lab(&l, features);
	s = usual_stream(l.nd, 0, 1, 1);
	for (unsigned i = 0; i < RESETS; i++) {
		must_equal(-net_driver_reset_ring(l.nd[0], TX(1)), 0, "errno of a reset");
		must_equal(-net_driver_reset_ring(l.nd[0], 2), 0, "errno of a reset");
		for (unsigned k = 0; k < 5; k++)
			streams_step(&s, 1);
	}
	streams_settle(&s, 1);
	must(s.received > RESETS, "the stream hardly ran");
	/* The ring that was reset works. */
	s = usual_stream(l.nd, 0, 1, 2);
	s.from_pair = 1;
	streams_run(&s, 1, 50);
	must(s.received > 10, "the ring that was reset is dead");
	close_lab(&l);
}

static void test_a_ring_is_reset_beside_traffic_split(void **state)
{
	(void)state;
	reset_beside_traffic(FEATURES_BASE);
}

static void test_a_ring_is_reset_beside_traffic_packed(void **state)
{
	(void)state;
	reset_beside_traffic(FEATURES_PACKED);
}

/* Let the driver's index jump, which breaks the ring. */
static void break_ring(struct net_driver *nd, unsigned index)
{
	uint16_t *avail = frontend_memory(&nd->fe, nd->queue[index].driver, 4);

	avail[1] += 0x4000;
}

static void test_a_broken_ring_is_told_and_mended(void **state)
{
	struct pollfd told = {.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .events = POLLIN};
	struct lab l;
	struct stream s[2];

	(void)state;
	open_lab(&l, FEATURES_BASE);
	s[0] = usual_stream(l.nd, 0, 1, 1);
	must_equal(-frontend_set_vring_fd(&l.nd[0]->fe, VHOST_USER_SET_VRING_ERR, TX(1), told.fd),
	    0, "errno of SET_VRING_ERR");
	streams_run(s, 1, 150);
	must_equal(poll(&told, 1, 0), 0, "errors told of a good ring");
	break_ring(l.nd[0], TX(1));
	streams_run(s, 1, 150);
	must_equal(poll(&told, 1, 5000), 1, "errors told of a broken ring");
	must_equal(-net_driver_reset_ring(l.nd[0], TX(1)), 0, "errno of a reset");
	s[1] = usual_stream(l.nd, 0, 1, 2);
	s[1].from_pair = 1;
	streams_run(s, 2, 150);
	must(s[1].received > 10, "the mended ring is dead");
	close(told.fd);
	close_lab(&l);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_ring_is_reset_beside_traffic_split),
	    cmocka_unit_test(test_a_ring_is_reset_beside_traffic_packed),
	    cmocka_unit_test(test_a_broken_ring_is_told_and_mended),
	};

	if (argc > 1)
		switch_binary(argv[1]);
	switch_option("--features all,+ring_reset");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
