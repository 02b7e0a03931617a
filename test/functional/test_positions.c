/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The switch ends and starts again, and front-ends tell the ring positions that real front-ends
 * tell. Frames that were sent meanwhile arrive, and all later frames, in order.
 */
#include "functional.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "virtio/vring_inflight.h"

#define QUEUED 20

struct lab {
	struct switch_process sw;
	struct net_driver *nd[2];
	struct net_config config;
	uint32_t (*tell)(struct net_driver *nd, unsigned ring);
	bool inflight;
	int area[2];                /* in-flight areas, as the front-ends keep them */
	uint64_t sent[2], taken[2]; /* frames by sender, so far */
};

/* Cloud Hypervisor tells the avail index, which is the driver's position. */
static uint32_t avail_index(struct net_driver *nd, unsigned ring)
{
	struct vring_split_avail *avail = frontend_memory(&nd->fe, nd->queue[ring].driver, 4);

	return avail->idx;
}

/* DPDK's virtio-user tells the position of a new ring. */
static uint32_t beginning(struct net_driver *nd, unsigned ring)
{
	(void)ring;
	return VIRTIO_HAS(nd->fe.features, F_RING_PACKED) ? 0x80008000 : 0;
}

/* User Mode Linux tells 0 for rings of either format. */
static uint32_t zero(struct net_driver *nd, unsigned ring)
{
	(void)nd;
	(void)ring;
	return 0;
}

static void tell_area(struct lab *l, unsigned i)
{
	struct vhost_wire_inflight wire = {.n_queues = 2, .queue_size = l->config.ring_size};

	wire.mmap_size = 2 * vring_inflight_region_size(l->config.ring_size, false);
	if (l->area[i] < 0) {
		l->area[i] = memfd_create("inflight", MFD_CLOEXEC);
		must_equal(ftruncate(l->area[i], wire.mmap_size), 0, "ftruncate");
	}
	must_equal(-frontend_send(&l->nd[i]->fe, VHOST_USER_SET_INFLIGHT_FD, VHOST_VERSION, &wire,
		       sizeof(wire), &l->area[i], 1),
	    0, "errno of SET_INFLIGHT_FD");
}

/*
 * Connect a driver. Rings that exist keep their contents; new rings are filled before they start.
 */
static void connect_driver(struct lab *l, unsigned i)
{
	struct net_driver *nd = l->nd[i];
	bool first = !nd->queue[0].ready;

	frontend_disconnect(&nd->fe);
	must_equal(-frontend_connect(&nd->fe, l->sw.path[i]), 0, "errno of connecting");
	must_equal(-frontend_negotiate(&nd->fe,
		       l->config.features | VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES),
		       VHOST_PROTOCOL_BIT(REPLY_ACK) | VHOST_PROTOCOL_BIT(INFLIGHT_SHMFD)),
	    0, "errno of negotiating");
	nd->hdr_len = virtio_net_hdr_len(nd->fe.features);
	must_equal(-frontend_set_mem_table(&nd->fe), 0, "errno of SET_MEM_TABLE");
	if (first)
		must_equal(-net_driver_reset_rings(nd), 0, "errno of making rings");
	if (l->inflight)
		tell_area(l, i);
	for (unsigned ring = 0; ring < 2; ring++)
		nd->queue[ring].base = l->tell(nd, ring);
	/*
	 * Enable the rings first: otherwise frames that wait in them are dropped as sent on a
	 * disabled queue.
	 */
	must_equal(-net_driver_enable(nd, 0, true), 0, "errno of enabling");
	must_equal(-net_driver_resume(nd), 0, "errno of starting rings");
}

static uint32_t make(unsigned from, uint64_t number, uint8_t frame[100])
{
	uint32_t len = 60 + number % 40;
	uint64_t random = number;
	uint8_t dst[6], src[6];

	station_mac(dst, 1 - from, 0);
	station_mac(src, from, 0);
	make_frame(frame, len, dst, src, &random);
	return len;
}

static void send_one(struct lab *l, unsigned from, const struct net_shape *shape)
{
	uint8_t frame[100];
	uint32_t len = make(from, l->sent[from]++, frame);

	send_surely(l->nd[from], 0, frame, len, NULL, shape);
}

static void take_all(struct lab *l, unsigned from)
{
	struct net_frame f;
	uint8_t frame[100];

	while (l->taken[from] < l->sent[from]) {
		uint32_t len = make(from, l->taken[from]++, frame);

		must(receive_within(l->nd[1 - from], 0, &f, 5000), "a frame does not arrive");
		must_equal(f.len, len, "length of a frame");
		must(memcmp(f.bytes, frame, len) == 0, "another frame arrives");
	}
}

/* Descriptors of one slot each, as Linux and DPDK use them. */
static const struct net_shape in_one = {0};

static void exchange(struct lab *l, unsigned n)
{
	while (n--) {
		for (unsigned from = 0; from < 2; from++) {
			send_one(l, from, &in_one);
			take_all(l, from);
		}
	}
}

static void open_lab(struct lab *l, uint64_t features,
    uint32_t (*tell)(struct net_driver *nd, unsigned ring), bool inflight)
{
	*l = (struct lab){.tell = tell, .inflight = inflight, .area = {-1, -1}};
	l->config = usual_config(features, 1);
	switch_start(&l->sw, 2, 1, false);
	for (unsigned i = 0; i < 2; i++)
		must_equal(-net_driver_create(&l->config, &l->nd[i]), 0, "errno of create");
	connect_driver(l, 0);
	connect_driver(l, 1);
}

static void close_lab(struct lab *l)
{
	switch_finish(&l->sw);
	for (unsigned i = 0; i < 2; i++) {
		net_driver_destroy(l->nd[i]);
		if (l->area[i] >= 0)
			close(l->area[i]);
	}
}

static void forget_positions(struct lab *l)
{
	for (unsigned i = 0; i < 2; i++) {
		char path[120];

		snprintf(path, sizeof(path), "%s.rings", l->sw.path[i]);
		must_equal(unlink(path), 0, "removing a file of positions");
	}
}

static void end_switch(struct lab *l, bool by_kill)
{
	if (by_kill)
		switch_kill(&l->sw);
	else
		json_decref(switch_stop(&l->sw));
}

static void come_and_go(struct lab *l, bool forget)
{
	/* Less than one lap of the ring, about one lap, and several. */
	static const unsigned exchanged[] = {10, 246, 700, 1, 0, 33};

	for (unsigned i = 0; i < ARRAY_SIZE(exchanged); i++) {
		unsigned sender = i / 2 % 2;

		exchange(l, exchanged[i]);
		end_switch(l, i % 2);
		if (forget)
			forget_positions(l);
		for (unsigned k = 0; k < QUEUED; k++)
			send_one(l, sender, &in_one);
		switch_start_again(&l->sw);
		connect_driver(l, 1 - sender);
		connect_driver(l, sender);
		take_all(l, sender);
	}
	exchange(l, 300);
	must(!switch_log_contains(&l->sw, "reload the guest's driver"), "a warning is false");
}

static void lives_on(uint64_t features, uint32_t (*tell)(struct net_driver *nd, unsigned ring),
    bool inflight, bool forget)
{
	struct lab l;

	open_lab(&l, features, tell, inflight);
	come_and_go(&l, forget);
	close_lab(&l);
}

static void test_split_rings_of_cloud_hypervisor_go_on(void **state)
{
	(void)state;
	lives_on(FEATURES_BASE, avail_index, false, false);
	lives_on(FEATURES_BASE, avail_index, true, false);
}

static void test_split_rings_of_virtio_user_go_on(void **state)
{
	(void)state;
	lives_on(FEATURES_BASE, beginning, false, false);
}

static void test_packed_rings_go_on_where_they_were_left(void **state)
{
	(void)state;
	lives_on(FEATURES_PACKED, beginning, false, false);
}

static void test_packed_rings_go_on_without_a_saved_position(void **state)
{
	(void)state;
	lives_on(FEATURES_PACKED, beginning, false, true);
}

static void test_packed_rings_of_user_mode_linux_begin(void **state)
{
	struct lab l;

	(void)state;
	open_lab(&l, FEATURES_PACKED, zero, false);
	exchange(&l, 300);
	must(!switch_log_contains(&l.sw, "reload the guest's driver"), "a warning is false");
	must(switch_log_contains(&l.sw,
		 "ring 0 starts at 0 (wrap counter 1), as its contents show, "
		 "not at 0 (wrap counter 0)"),
	    "the log does not tell the two positions apart");
	close_lab(&l);
}

/*
 * The device's position cannot be found if the last used chain had two slots: a slot that waits
 * behind it might be its end.
 */
static void test_a_packed_ring_that_is_lost_is_reported(void **state)
{
	struct lab l;

	(void)state;
	open_lab(&l, FEATURES_PACKED, beginning, false);
	for (unsigned i = 0; i < 30; i++) {
		send_one(&l, 0, NULL);
		take_all(&l, 0);
	}
	end_switch(&l, false);
	forget_positions(&l);
	send_one(&l, 0, NULL);
	switch_start_again(&l.sw);
	connect_driver(&l, 1);
	connect_driver(&l, 0);
	must(switch_log_contains(&l.sw,
		 "packed ring 1 starts at 0 without a saved position; "
		 "reload the guest's driver"),
	    "a lost ring is not reported");
	/* Do what a reload of the driver does. */
	must_equal(-net_driver_stop(l.nd[0]), 0, "errno of stopping");
	must_equal(-net_driver_reset_rings(l.nd[0]), 0, "errno of new rings");
	must_equal(-net_driver_resume(l.nd[0]), 0, "errno of starting rings");
	l.taken[0] = l.sent[0];
	exchange(&l, 300);
	close_lab(&l);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_split_rings_of_cloud_hypervisor_go_on),
	    cmocka_unit_test(test_split_rings_of_virtio_user_go_on),
	    cmocka_unit_test(test_packed_rings_go_on_where_they_were_left),
	    cmocka_unit_test(test_packed_rings_go_on_without_a_saved_position),
	    cmocka_unit_test(test_packed_rings_of_user_mode_linux_begin),
	    cmocka_unit_test(test_a_packed_ring_that_is_lost_is_reported),
	};

	if (argc > 1)
		switch_binary(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
