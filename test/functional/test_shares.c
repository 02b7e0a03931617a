/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A port with many queues of expensive frames must not use the time of its neighbours. The test has
 * one worker and four ports. Two neighbours exchange a frame now and then. The third port has large
 * frames in every queue. They go to the fourth port, which has no buffers and does not accept large
 * frames unsegmented.
 */
#include "functional.h"
#include "packet.h"

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PAIRS  NET_PAIRS_MAX
#define DELAYS 300
/* A turn that visits all queues of the hostile port takes more than twice as long. */
#define LATE_NS UINT64_C(2000000)

struct lab {
	struct switch_process sw;
	struct net_driver *nd[2], *hostile, *full;
	uint32_t len;
	uint64_t delay[DELAYS];
};

/*
 * Fill all transmit rings of the hostile port. All chains name the same buffer, which is allowed.
 */
static void fill(void *arg)
{
	struct lab *l = arg;

	for (unsigned pair = 0; pair < PAIRS; pair++) {
		struct net_queue *q = &l->hostile->queue[2 * pair + 1];
		struct driver_buffer buffer = {
		    l->hostile->queue[1].slot[0].gpa + NET_SLOT_TABLE, l->len};
		uint32_t len;
		void *token;

		while (driver_ring_reap(&q->ring, &token, &len) > 0)
			;
		while (driver_ring_add(&q->ring, &buffer, 1, 0, q) == 0)
			;
		driver_ring_publish(&q->ring);
		if (driver_ring_kick_needed(&q->ring))
			eventfd_write(q->kick_fd, 1);
	}
}

static void make_large_frame(struct lab *l)
{
	static const struct packet packet = {
	    .tcp = true, .payload = 60000, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 1448};
	uint8_t *at = l->hostile->queue[1].slot[0].host + NET_SLOT_TABLE, src[6], dst[6];
	struct virtio_net_hdr hdr;
	uint64_t random = 1;

	station_mac(src, 2, 0);
	station_mac(dst, 3, 0);
	l->len = VIRTIO_NET_HDR_LEN +
	    packet_build(&packet, dst, src, &random, at + VIRTIO_NET_HDR_LEN, &hdr);
	memcpy(at, &hdr, VIRTIO_NET_HDR_LEN);
}

static void print_delays(const struct lab *l, const char *when)
{
	printf("%s: median %lu us, p99 %lu us, longest %lu us\n", when, l->delay[DELAYS / 2] / 1000,
	    l->delay[DELAYS * 99 / 100] / 1000, l->delay[DELAYS - 1] / 1000);
}

static void queues_full_of_large_frames_do_not_delay_a_neighbour(void **state)
{
	static struct lab l;
	struct net_config c = usual_config(FEATURES_BASE | FEATURES_OFFLOAD, PAIRS),
			  plain = usual_config(FEATURES_BASE, 1);
	uint8_t frame[64], src[6], dst[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	uint64_t random = 1;
	struct stream s[2];
	json_t *stats;

	(void)state;
	c.n_receive = 16;
	switch_start(&l.sw, 4, 1, false);
	attach_neighbours(&l.sw, l.nd, s);
	l.hostile = attach(&l.sw, 2, &c);
	l.full = attach(&l.sw, 3, &plain);
	station_mac(src, 3, 0);
	make_frame(frame, sizeof(frame), dst, src, &random);
	send_surely(l.full, 0, frame, sizeof(frame), NULL, NULL);
	make_large_frame(&l);
	measure_delays(l.nd, l.delay, DELAYS, NULL, NULL);
	print_delays(&l, "quiet");
	for (unsigned try = 0; try < 3; try++) {
		measure_delays(l.nd, l.delay, DELAYS, fill, &l);
		print_delays(&l, "beside it");
		if (l.delay[DELAYS / 4] < LATE_NS)
			break;
	}
	/* Other processes may delay some frames, but not three quarters of them. */
	must(
	    l.delay[DELAYS / 4] < LATE_NS, "three quarters of the neighbours' frames, three times");
	stats = switch_stats(&l.sw);
	must(switch_counter(stats, 2, "ingress", "frames") > DELAYS, "the hostile port was heard");
	json_decref(stats);
	net_driver_destroy(l.hostile);
	net_driver_destroy(l.full);
	net_driver_destroy(l.nd[0]);
	net_driver_destroy(l.nd[1]);
	switch_finish(&l.sw);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(queues_full_of_large_frames_do_not_delay_a_neighbour),
	};

	if (argc > 1)
		switch_binary(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
