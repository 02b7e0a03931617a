/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The network driver against the device side of the rings, in one process and without a socket. The
 * device finds the frames that the driver sent, and the driver finds the frames that the device
 * delivered, with any shapes. The driver detects faults of a device.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "frontend/net_driver.h"
#include "virtio/vring.h"

#define ROUNDS 3000

struct loop {
	struct net_driver *nd;
	struct guest_memory *memory;
	struct vring ring[2];
	struct vring_position position[2];
	struct vring_batch batch;
	uint64_t random;
};

static uint32_t random_between(struct loop *l, uint32_t low, uint32_t high)
{
	l->random = l->random * 6364136223846793005u + 1442695040888963407u;
	return low + (l->random >> 33) % (high - low + 1);
}

static void start_device(struct loop *l, unsigned index)
{
	struct net_queue *q = &l->nd->queue[index];
	struct vring_config c = {
	    .direction = index ? VRING_TRANSMIT : VRING_RECEIVE,
	    .features = l->nd->fe.features,
	    .size = l->nd->config.ring_size,
	    .desc = q->ring.desc,
	    .driver = q->ring.driver,
	    .device = q->ring.device,
	    .position = &l->position[index],
	    .memory = l->memory,
	};

	l->position[index] = vring_position_initial(q->ring.packed);
	assert_int_equal(vring_start(&l->ring[index], &c), 0);
}

static struct loop *loop_open(uint64_t features, uint16_t size, const struct net_shape *receive)
{
	struct net_config c = {.n_pairs = 1, .ring_size = size, .receive_shape = *receive};
	struct loop *l = calloc(1, sizeof(*l));
	struct guest_region regions[2];

	assert_non_null(l);
	assert_int_equal(net_driver_create(&c, &l->nd), 0);
	l->nd->fe.features = features;
	l->nd->hdr_len = virtio_net_hdr_len(features);
	assert_int_equal(net_driver_reset_rings(l->nd), 0);
	for (unsigned i = 0; i < 2; i++) {
		const struct frontend_region *r = &l->nd->fe.region[i];

		regions[i] = (struct guest_region){r->gpa, r->size, r->uaddr, r->host};
	}
	assert_int_equal(guest_memory_create(regions, 2, &l->memory), 0);
	start_device(l, 0);
	start_device(l, 1);
	l->random = 1;
	return l;
}

static void loop_close(struct loop *l)
{
	net_driver_destroy(l->nd);
	guest_memory_destroy(l->memory);
	free(l);
}

static void batch_reset(struct loop *l)
{
	l->batch.n = l->batch.n_segments = 0;
}

/* As the device: take one frame with its net header. */
static uint32_t device_take(struct loop *l, uint8_t *bytes)
{
	uint32_t len = 0;

	batch_reset(l);
	assert_int_equal(vring_fetch(&l->ring[1], &l->batch, 1), 1);
	assert_int_equal(l->batch.chain[0].fault, VRING_FAULT_NONE);
	for (unsigned i = 0; i < l->batch.chain[0].n_segments; i++) {
		memcpy(bytes + len, l->batch.segment[i].addr, l->batch.segment[i].len);
		len += l->batch.segment[i].len;
	}
	vring_complete(&l->ring[1], &l->batch);
	return len;
}

/*
 * As the device: deliver a frame with its net header. num_buffers is filled in if the header has
 * it.
 */
static void device_give(struct loop *l, uint8_t *bytes, uint32_t len)
{
	struct vring_reservation reserved;
	uint32_t at = 0;

	vring_visit(&l->batch);
	assert_int_equal(vring_reserve(&l->ring[0], &l->batch, &len, 1, &reserved), 1);
	assert_int_equal(reserved.status, VRING_RESERVE_OK);
	if (l->nd->hdr_len == VIRTIO_NET_HDR_LEN)
		memcpy(bytes + 10, &reserved.n_chains, 2);
	for (unsigned i = 0; i < l->batch.n_segments && at < len; i++) {
		uint32_t part = MIN(l->batch.segment[i].len, len - at);

		memcpy(l->batch.segment[i].addr, bytes + at, part);
		at += part;
	}
	assert_int_equal(at, len);
	vring_complete(&l->ring[0], &l->batch);
}

static void frames_cross_both_ways(uint64_t features, uint16_t size)
{
	static const struct net_shape receive = {.n = 3, .len = {5, 100, 1500}, .gap = 7};
	static const struct net_shape large = {.n = 2, .len = {12, 66000}, .gap = 7};
	bool mergeable = VIRTIO_HAS(features, NET_F_MRG_RXBUF);
	struct loop *l = loop_open(features, size, mergeable ? &receive : &large);
	unsigned hdr_len = l->nd->hdr_len;
	/* A frame cannot be longer than all merged buffers: three descriptors, 1605 bytes each. */
	uint32_t longest = mergeable ? MIN(65535, size / 3 * 1605u - hdr_len) : 65535;
	uint8_t *frame = malloc(NET_FRAME_MAX + 12), *got = malloc(NET_FRAME_MAX + 12);

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint32_t len = random_between(l, 14, i % 50 ? 3000 : longest);
		struct virtio_net_hdr hdr = {.gso_size = i};
		struct net_shape shape = {.n = random_between(l, 1, 8),
		    .gap = random_between(l, 0, NET_GAP_MAX),
		    .indirect = i & 1};
		struct net_frame f;

		for (unsigned k = 0; k < shape.n; k++)
			shape.len[k] = random_between(l, 1, len);
		for (unsigned k = 0; k < len; k++)
			frame[k] = random_between(l, 0, 255);
		assert_int_equal(net_send(l->nd, 0, frame, len, &hdr, &shape), 0);
		assert_int_equal(device_take(l, got), hdr_len + len);
		assert_memory_equal(got, &hdr, hdr_len);
		assert_memory_equal(got + hdr_len, frame, len);

		device_give(l, got, hdr_len + len);
		assert_int_equal(net_receive(l->nd, 0, &f), 1);
		assert_int_equal(f.len, len);
		assert_int_equal(f.hdr.gso_size, i & 0xffff);
		assert_memory_equal(f.bytes, frame, len);
		assert_int_equal(net_receive(l->nd, 0, &f), 0);
	}
	free(frame);
	free(got);
	loop_close(l);
}

static void test_frames_cross_both_ways_in_every_format(void **state)
{
	static const uint64_t formats[] = {0, VIRTIO_BIT(F_RING_PACKED)};
	static const uint64_t options[] = {0, VIRTIO_BIT(F_IN_ORDER), VIRTIO_BIT(F_EVENT_IDX),
	    VIRTIO_BIT(NET_F_MRG_RXBUF), VIRTIO_BIT(NET_F_MRG_RXBUF) | VIRTIO_BIT(F_IN_ORDER)};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(formats); i++)
		for (unsigned k = 0; k < ARRAY_SIZE(options); k++)
			frames_cross_both_ways(
			    formats[i] | options[k] | VIRTIO_BIT(F_INDIRECT_DESC), 128);
	frames_cross_both_ways(VIRTIO_BIT(F_RING_PACKED) | VIRTIO_BIT(NET_F_MRG_RXBUF), 100);
}

static const struct net_shape gaps = {.n = 2, .len = {20, 2000}, .gap = 8};

static void test_a_write_beside_a_buffer_is_noticed(void **state)
{
	struct loop *l = loop_open(VIRTIO_BIT(F_VERSION_1), 16, &gaps);
	uint8_t bytes[100] = {0};
	struct net_frame f;

	(void)state;
	device_give(l, bytes, sizeof(bytes));
	l->batch.segment[0].addr[20] ^= 1;
	assert_int_equal(net_receive(l->nd, 0, &f), -EBADMSG);
	loop_close(l);
}

static void test_impossible_buffer_counts_are_noticed(void **state)
{
	static const uint16_t counts[] = {0, 2, 65535};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
		struct loop *l = loop_open(VIRTIO_BIT(F_VERSION_1), 16, &gaps);
		uint8_t bytes[100] = {0};
		struct net_frame f;

		device_give(l, bytes, sizeof(bytes));
		memcpy(l->batch.segment[0].addr + 10, &counts[i], 2);
		assert_int_equal(net_receive(l->nd, 0, &f), -EBADMSG);
		loop_close(l);
	}
}

static void test_a_used_id_never_given_is_noticed(void **state)
{
	struct loop *l = loop_open(VIRTIO_BIT(F_VERSION_1), 16, &gaps);
	struct vring_split_used *used = l->nd->queue[1].ring.device;
	uint8_t frame[60] = {0};

	(void)state;
	assert_int_equal(net_send(l->nd, 0, frame, sizeof(frame), NULL, NULL), 0);
	used->ring[0].id = 9;
	used->idx = 1;
	assert_int_equal(net_reap_sent(l->nd, 0), -EBADMSG);
	loop_close(l);
}

static void test_a_full_ring_says_try_again(void **state)
{
	struct loop *l = loop_open(VIRTIO_BIT(F_VERSION_1), 16, &gaps);
	uint8_t frame[60] = {0}, got[100];
	unsigned n = 0;

	(void)state;
	while (net_send(l->nd, 0, frame, sizeof(frame), NULL, NULL) == 0)
		n++;
	assert_int_equal(n, 8); /* two descriptors each */
	assert_int_equal(net_send(l->nd, 0, frame, sizeof(frame), NULL, NULL), -EAGAIN);
	device_take(l, got);
	assert_int_equal(net_send(l->nd, 0, frame, sizeof(frame), NULL, NULL), 0);
	loop_close(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_frames_cross_both_ways_in_every_format),
	    cmocka_unit_test(test_a_write_beside_a_buffer_is_noticed),
	    cmocka_unit_test(test_impossible_buffer_counts_are_noticed),
	    cmocka_unit_test(test_a_used_id_never_given_is_noticed),
	    cmocka_unit_test(test_a_full_ring_says_try_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
