/* SPDX-License-Identifier: BSD-3-Clause */
/* Bounds on one visit of a ring, whatever the driver writes there; no chain is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../each_level.h"
#include "virtio/driver.h"
#include "virtio/vring.h"

#define MEMORY   (8u << 20)
#define RINGS    (1u << 20) /* the end of the three areas of a ring of up to 8,192 entries */
#define TABLE    RINGS
#define BUFFERS  (2u << 20)
#define NOWHERE  UINT64_C(0x100000000)
#define ENTRIES  128
#define CHAINS   64
#define LONG     4096
#define FRAMES   32
#define PACKED   VIRTIO_BIT(F_RING_PACKED)
#define MERGES   VIRTIO_BIT(NET_F_MRG_RXBUF)
#define INDIRECT VIRTIO_BIT(F_INDIRECT_DESC)

static struct lab {
	uint8_t *memory;
	struct guest_memory *guest;
	struct driver_ring driver;
	struct vring device;
	struct vring_position position;
	struct vring_batch batch;
	enum vring_direction direction;
} l;

static void open_lab(uint64_t features, enum vring_direction direction, uint16_t size)
{
	struct guest_region region = {.size = MEMORY};
	struct vring_layout layout = vring_layout(size, VIRTIO_HAS(features, F_RING_PACKED));
	struct vring_config config = {.direction = direction,
	    .features = features | VIRTIO_BIT(F_VERSION_1),
	    .size = size,
	    .position = &l.position};

	memset(&l, 0, sizeof(l));
	l.direction = direction;
	l.memory = calloc(1, MEMORY);
	region.host = l.memory;
	assert_non_null(l.memory);
	assert_int_equal(guest_memory_create(&region, 1, &l.guest), 0);
	l.position = vring_position_initial(VIRTIO_HAS(features, F_RING_PACKED));
	config.memory = l.guest;
	config.desc = l.memory;
	config.driver = l.memory + layout.desc;
	config.device = l.memory + ((layout.desc + layout.driver + 63u) & ~63u);
	assert_int_equal(driver_ring_init(&l.driver, config.features, size, config.desc,
			     config.driver, config.device),
	    0);
	assert_int_equal(vring_start(&l.device, &config), 0);
}

static void close_lab(void)
{
	driver_ring_cleanup(&l.driver);
	guest_memory_destroy(l.guest);
	free(l.memory);
}

/* Offer a chain of n buffers of len bytes each; the address of the last one is `last`. */
static void offer(unsigned n, uint32_t len, uint64_t last, bool indirect)
{
	static struct driver_buffer b[LONG];
	unsigned in = l.direction == VRING_RECEIVE ? n : 0;

	for (unsigned i = 0; i < n; i++)
		b[i] = (struct driver_buffer){BUFFERS, len};
	b[n - 1].addr = last;
	if (indirect)
		assert_int_equal(
		    driver_ring_add_indirect(&l.driver, b, n - in, in, l.memory + TABLE, TABLE, &l),
		    0);
	else
		assert_int_equal(driver_ring_add(&l.driver, b, n - in, in, &l), 0);
	driver_ring_publish(&l.driver);
}

static void give_back(void)
{
	uint32_t len;
	void *token;

	vring_complete(&l.device, &l.batch);
	while (driver_ring_reap(&l.driver, &token, &len) == 1)
		;
}

/*
 * Fetch and complete all chains, each with this cost and fault. Returns how many visits this took;
 * each is bounded.
 */
static unsigned visits_for(unsigned chains, unsigned cost, enum vring_fault fault)
{
	unsigned visits = 0, n;

	while (chains) {
		l.batch.n = l.batch.n_segments = 0;
		n = vring_fetch(&l.device, &l.batch, FRAMES);
		assert_true(n > 0 && n <= chains);
		assert_true(n * cost <= VRING_WALK_MAX);
		for (unsigned i = 0; i < n; i++)
			assert_int_equal(l.batch.chain[i].fault, fault);
		give_back();
		chains -= n;
		visits++;
	}
	return visits;
}

static void each_ring(void (*test)(uint64_t features, enum vring_direction direction))
{
	for (unsigned v = 0; v < 4; v++)
		test(INDIRECT | (v & 1 ? PACKED : 0), v & 2 ? VRING_RECEIVE : VRING_TRANSMIT);
}

static void long_chains(uint64_t features, enum vring_direction direction)
{
	for (unsigned bad = 0; bad < 2; bad++) {
		open_lab(features, direction, 256);
		for (unsigned i = 0; i < CHAINS; i++)
			offer(ENTRIES, 1, bad ? NOWHERE : BUFFERS, true);
		assert_true(
		    visits_for(CHAINS, ENTRIES, bad ? VRING_FAULT_ADDRESS : VRING_FAULT_NONE) >=
		    CHAINS * ENTRIES / VRING_WALK_MAX);
		close_lab();
	}
}

static void long_chains_wait_for_the_next_visit_good_or_faulty(void **state)
{
	(void)state;
	each_ring(long_chains);
}

/* Chains as long as drivers send them: 32 chains of 64 descriptors are one visit. */
static void usual_chains(uint64_t features, enum vring_direction direction)
{
	for (unsigned indirect = 0; indirect < 2; indirect++) {
		open_lab(features, direction, LONG);
		for (unsigned i = 0; i < FRAMES; i++)
			offer(64, 1024, BUFFERS, indirect);
		assert_int_equal(visits_for(FRAMES, 64, VRING_FAULT_NONE), 1);
		close_lab();
	}
}

static void thirty_two_chains_of_sixty_four_are_one_visit(void **state)
{
	(void)state;
	each_ring(usual_chains);
}

static void endless(uint64_t features, enum vring_direction direction)
{
	open_lab(features, direction, LONG);
	offer(1, 100, BUFFERS, false);
	offer(LONG - 1, 1, BUFFERS, true);
	offer(1, 100, BUFFERS, false);
	assert_int_equal(vring_fetch(&l.device, &l.batch, FRAMES), 1);
	give_back();
	l.batch.n = l.batch.n_segments = 0;
	assert_int_equal(vring_fetch(&l.device, &l.batch, FRAMES), 2);
	assert_int_equal(l.batch.chain[0].fault, VRING_FAULT_TOO_LONG);
	assert_int_equal(l.batch.chain[1].fault, VRING_FAULT_NONE);
	close_lab();
}

static void a_chain_that_no_visit_can_read_is_a_fault(void **state)
{
	(void)state;
	each_ring(endless);
}

/*
 * A chain of ring descriptors that is longer than the limit of a visit. In a packed ring only the
 * end of a chain shows where the next one begins, so the ring breaks.
 */
static void a_chain_of_slots_that_no_visit_can_read(void **state)
{
	(void)state;
	open_lab(0, VRING_TRANSMIT, LONG);
	offer(LONG - 1, 1, BUFFERS, false);
	assert_int_equal(visits_for(1, 1, VRING_FAULT_TOO_LONG), 1);
	assert_int_equal(l.device.broken, VRING_BREAK_NONE);
	close_lab();
	open_lab(PACKED, VRING_TRANSMIT, LONG);
	offer(LONG - 1, 1, NOWHERE, false);
	assert_int_equal(vring_fetch(&l.device, &l.batch, FRAMES), 0);
	assert_int_equal(l.device.broken, VRING_BREAK_CHAIN_ENDLESS);
	assert_true(l.batch.walked <= VRING_WALK_MAX + 1);
	close_lab();
}

static void empty_descriptors(uint64_t features, enum vring_direction direction)
{
	for (unsigned indirect = 0; indirect < 2; indirect++) {
		open_lab(features, direction, 256);
		offer(1, 0, BUFFERS, false);
		offer(3, 0, BUFFERS, indirect);
		offer(ENTRIES, 0, BUFFERS, true);
		assert_int_equal(visits_for(3, 0, VRING_FAULT_EMPTY), 1);
		close_lab();
	}
}

static void a_descriptor_of_no_length_is_a_fault(void **state)
{
	(void)state;
	each_ring(empty_descriptors);
}

/*
 * Reserve room for n frames, as a delivery does. Returns how many frames were decided; count[]
 * counts them by status.
 */
static unsigned reserve(const uint32_t len[], unsigned n, unsigned *ret_chains, unsigned count[])
{
	struct vring_reservation reserved[FRAMES];
	unsigned settled = 0;

	vring_visit(&l.batch);
	*ret_chains = 0;
	while (settled < n) {
		unsigned decided =
		    vring_reserve(&l.device, &l.batch, len + settled, n - settled, reserved);
		unsigned k;

		for (k = 0; k < decided && reserved[k].status != VRING_RESERVE_NONE; k++)
			count[reserved[k].status]++;
		*ret_chains += l.batch.n;
		give_back();
		settled += k;
		if (k < decided || decided == 0)
			break;
	}
	return settled;
}

static void same(uint32_t len[], uint32_t value)
{
	for (unsigned i = 0; i < FRAMES; i++)
		len[i] = value;
}

/*
 * Each of 32 frames needs 96 buffers of 16 bytes. In two of the variants the last of them is
 * faulty.
 */
static void a_visit_gathers_so_many_buffers_and_no_more(void **state)
{
	uint32_t len[FRAMES];
	unsigned chains, first, second;

	(void)state;
	same(len, 16 * 96);
	for (unsigned v = 0; v < 4; v++) {
		unsigned count[4] = {0};

		open_lab(MERGES | (v & 1 ? PACKED : 0), VRING_RECEIVE, LONG);
		for (unsigned i = 0; i < FRAMES * 96; i++)
			offer(1, 16, (v & 2) && i % 96 == 95 ? NOWHERE : BUFFERS, false);
		first = reserve(len, FRAMES, &chains, count);
		assert_true(first > 0 && first < FRAMES);
		assert_true(chains <= VRING_WALK_MAX + FRAMES);
		/* Further buffers are available, and the next visit takes them. */
		assert_true(vring_has_more(&l.device));
		second = reserve(len, FRAMES - first, &chains, count);
		assert_int_equal(first + second, FRAMES);
		assert_int_equal(count[v & 2 ? VRING_RESERVE_FAULT : VRING_RESERVE_OK], FRAMES);
		close_lab();
	}
}

/* 32 frames of 64 KB fit into one visit with receive buffers as Linux has them. */
static void large_frames_in_small_buffers_are_one_visit(void **state)
{
	uint32_t len[FRAMES];
	unsigned chains;

	(void)state;
	same(len, 65535 + 14 + 12);
	for (unsigned v = 0; v < 2; v++) {
		unsigned count[4] = {0};

		open_lab(MERGES | (v & 1 ? PACKED : 0), VRING_RECEIVE, LONG);
		for (unsigned i = 0; i < FRAMES * 43; i++)
			offer(1, 1526, BUFFERS, false);
		assert_int_equal(reserve(len, FRAMES, &chains, count), FRAMES);
		assert_int_equal(count[VRING_RESERVE_OK], FRAMES);
		assert_int_equal(chains, FRAMES * 43);
		close_lab();
	}
}

static void a_frame_too_large_for_the_ring_holds_up_nobody(void **state)
{
	uint32_t len[FRAMES];
	unsigned chains;

	(void)state;
	for (unsigned v = 0; v < 6; v++) {
		unsigned count[4] = {0}, at = v / 2 * 5;

		open_lab(MERGES | (v & 1 ? PACKED : 0), VRING_RECEIVE, 16);
		for (unsigned i = 0; i < 16; i++)
			offer(1, 1526, BUFFERS, false);
		same(len, 100);
		len[at] = 60000;
		assert_int_equal(reserve(len, 17, &chains, count), 17);
		assert_int_equal(count[VRING_RESERVE_TOO_SMALL], 1);
		assert_int_equal(count[VRING_RESERVE_OK], 16);
		assert_int_equal(chains, 16);
		close_lab();
	}
}

/* A frame waits for buffers that the ring can still get. */
static void a_full_ring_tells_when_it_has_more(void **state)
{
	uint32_t len[2] = {3000, 100};
	unsigned chains;

	(void)state;
	for (unsigned v = 0; v < 2; v++) {
		unsigned count[4] = {0};

		open_lab(MERGES | (v & 1 ? PACKED : 0), VRING_RECEIVE, 16);
		offer(1, 1526, BUFFERS, false);
		assert_int_equal(reserve(len, 2, &chains, count), 0);
		assert_true(vring_has_avail(&l.device));
		assert_false(vring_has_more(&l.device));
		offer(1, 1526, BUFFERS, false);
		assert_true(vring_has_more(&l.device));
		assert_int_equal(reserve(len, 2, &chains, count), 1);
		assert_false(vring_has_more(&l.device));
		l.device.broken = VRING_BREAK_TWICE;
		offer(1, 1526, BUFFERS, false);
		reserve(len, 2, &chains, count);
		assert_false(vring_has_more(&l.device));
		close_lab();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(long_chains_wait_for_the_next_visit_good_or_faulty),
	    cmocka_unit_test(thirty_two_chains_of_sixty_four_are_one_visit),
	    cmocka_unit_test(a_chain_that_no_visit_can_read_is_a_fault),
	    cmocka_unit_test(a_chain_of_slots_that_no_visit_can_read),
	    cmocka_unit_test(a_descriptor_of_no_length_is_a_fault),
	    cmocka_unit_test(a_visit_gathers_so_many_buffers_and_no_more),
	    cmocka_unit_test(large_frames_in_small_buffers_are_one_visit),
	    cmocka_unit_test(a_frame_too_large_for_the_ring_holds_up_nobody),
	    cmocka_unit_test(a_full_ring_tells_when_it_has_more),
	};

	return run_group_at_each_level(tests);
}
