/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The switch delivers the same bytes that it used for the look-up. A guest rewrites destination,
 * VLAN tag and offload request of its frames while the switch copies them. No frame reaches a
 * station to which it was not addressed when it was looked up, and no offload is delivered that was
 * not checked.
 *
 * Port 0 is the attacker: another thread changes the headers of its frames between two forms as
 * fast as it can. Ports 1 and 2 are the stations to which the two forms are addressed; neither
 * accepts an offload. Each must see only its own address, in a frame with the matching tag and
 * offload fields. A header with the first bytes of one form and the last bytes of the other is the
 * guest's own fault, but a frame must arrive where its destination address says.
 */
#include "functional.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RUN_MS  2000 /* a quarter of it would show a value that is read twice */
#define FRAME   1500
#define FLIPPED 32 /* slots that are flipped at a time */

struct shape {
	struct virtio_net_hdr net;
	uint8_t head[18];
} __attribute__((packed));

struct lab {
	struct switch_process sw;
	struct net_driver *nd[3];
	struct shape shape[2];
	uint8_t *slot[FLIPPED]; /* where frames are in the attacker's memory */
	atomic_bool stop;
	uint64_t flips, seen[3];
};

static void build_shapes(struct lab *l)
{
	for (unsigned i = 0; i < 2; i++) {
		struct shape *s = &l->shape[i];

		memset(s, 0, sizeof(*s));
		station_mac(s->head, i + 1, 0);
		station_mac(s->head + 6, 0, 0);
		if (i == 0) {
			memcpy(s->head + 12, "\x88\xb5\0\0", 4);
		} else {
			memcpy(s->head + 12, "\x81\0\0\x05", 4);
			memcpy(s->head + 16, "\x88\xb5", 2);
			s->net.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
			s->net.csum_start = 34;
			s->net.csum_offset = 16;
		}
	}
}

static void *flip_main(void *arg)
{
	struct lab *l = arg;

	while (!atomic_load_explicit(&l->stop, memory_order_relaxed)) {
		for (unsigned i = 0; i < FLIPPED; i++) {
			memcpy(l->slot[i], &l->shape[l->flips & 1], sizeof(struct shape));
			l->flips++;
		}
		l->flips++; /* begin the next round with the other shape */
	}
	return NULL;
}

static void check_frame(struct lab *l, unsigned station, const struct net_frame *f)
{
	uint8_t mine[6];

	station_mac(mine, station, 0);
	must(f->len == FRAME, "a frame of another length");
	must(memcmp(f->bytes, mine, 6) == 0, "a frame for another station was delivered");
	must(f->hdr.flags == 0 && f->hdr.gso_type == 0, "an offload that was not accepted");
	l->seen[station]++;
}

/* proves: S07 */
/* Offer all slots again and again, without touching what is in them. */
static void attack(struct lab *l)
{
	struct net_driver *nd = l->nd[0];
	struct net_queue *q = &nd->queue[1];
	uint64_t end = now_ns() + RUN_MS * UINT64_C(1000000);
	struct driver_buffer buffer[FLIPPED];
	struct net_frame f;
	unsigned free_slots = FLIPPED, next = 0;

	for (unsigned i = 0; i < FLIPPED; i++)
		buffer[i] =
		    (struct driver_buffer){q->slot[i].gpa, FRAME + sizeof(struct virtio_net_hdr)};
	while (now_ns() < end) {
		uint64_t one = 1;
		uint32_t len;
		void *token;

		while (free_slots &&
		    driver_ring_add(&q->ring, &buffer[next % FLIPPED], 1, 0, l) == 0) {
			next++;
			free_slots--;
		}
		driver_ring_publish(&q->ring);
		if (driver_ring_kick_needed(&q->ring) && write(q->kick_fd, &one, sizeof(one)) < 0)
			break;
		while (driver_ring_reap(&q->ring, &token, &len) == 1)
			free_slots++;
		for (unsigned i = 1; i < 3; i++) {
			while (net_receive(l->nd[i], 0, &f) == 1)
				check_frame(l, i, &f);
		}
	}
}

static void race(uint64_t features)
{
	struct lab l = {.flips = 0};
	pthread_t flipper;

	switch_start(&l.sw, 3, 1, false);
	for (unsigned i = 0; i < 3; i++) {
		struct net_config c = usual_config(
		    i ? features : features | VIRTIO_BIT(NET_F_CSUM) | VIRTIO_BIT(NET_F_HOST_TSO4),
		    1);

		l.nd[i] = attach(&l.sw, i, &c);
	}
	introduce(l.nd, 3);
	for (unsigned i = 0; i < 3; i++)
		drain(l.nd[i], 20);
	build_shapes(&l);
	for (unsigned i = 0; i < FLIPPED; i++)
		l.slot[i] = l.nd[0]->queue[1].slot[i].host;
	must_equal(pthread_create(&flipper, NULL, flip_main, &l), 0, "pthread_create");
	attack(&l);
	atomic_store(&l.stop, true);
	pthread_join(flipper, NULL);
	printf("%llu frames to one station, %llu to the other, %llu flips\n",
	    (unsigned long long)l.seen[1], (unsigned long long)l.seen[2],
	    (unsigned long long)l.flips);
	must(l.seen[1] > 1000 && l.seen[2] > 1000, "the race was not run");
	for (unsigned i = 0; i < 3; i++)
		net_driver_destroy(l.nd[i]);
	switch_finish(&l.sw);
}

static void test_headers_flipped_during_the_copy_split(void **state)
{
	(void)state;
	race(FEATURES_BASE);
}

static void test_headers_flipped_during_the_copy_packed(void **state)
{
	(void)state;
	race(FEATURES_PACKED);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_headers_flipped_during_the_copy_split),
	    cmocka_unit_test(test_headers_flipped_during_the_copy_packed),
	};

	if (argc > 1)
		switch_binary(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
