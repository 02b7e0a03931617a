/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device side against a hostile driver.
 *
 * Guest memory is two regions, each between pages that must not be touched. Every segment is
 * checked to lie inside, and an access outside ends the test with a fault. Some cases make one
 * fault and check its result. Others write random values, from the same thread or from another
 * thread while the device works.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "../each_level.h"
#include "virtio/vring.h"

#define SIZE    16
#define PAGE    4096
#define REGION  (40 * PAGE) /* more than a chain may have */
#define LOW     UINT64_C(0x10000)
#define HIGH    (LOW + REGION) /* adjacent in guest addresses, mapped elsewhere */
#define NOWHERE (HIGH + REGION)
#define RING    (8 * PAGE) /* where the ring lies in the low region */
#define TABLE   (12 * PAGE)

struct world {
	uint8_t *map[2], *region[2];
	struct guest_memory *memory;
	struct vring ring;
	struct vring_position position;
	struct vring_batch batch;
	void *area[3];
	bool packed, receive, request;
};

static struct world w;

static uint8_t *map_guarded(uint8_t **ret_map)
{
	uint8_t *map = mmap(NULL, REGION + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(mprotect(map + PAGE, REGION, PROT_READ | PROT_WRITE), 0);
	*ret_map = map;
	return map + PAGE;
}

static void restart_at(struct vring_position position, uint64_t more_features)
{
	struct vring_config c = {
	    .direction = w.request ? VRING_REQUEST
		: w.receive        ? VRING_RECEIVE
				   : VRING_TRANSMIT,
	    .features = VIRTIO_BIT(F_VERSION_1) | VIRTIO_BIT(F_INDIRECT_DESC) |
		VIRTIO_BIT(NET_F_MRG_RXBUF) | VIRTIO_BIT(F_EVENT_IDX) |
		(w.packed ? VIRTIO_BIT(F_RING_PACKED) : 0) | more_features,
	    .size = SIZE,
	    .desc = w.area[0],
	    .driver = w.area[1],
	    .device = w.area[2],
	    .position = &w.position,
	    .memory = w.memory,
	};

	w.position = position;
	w.batch.n = w.batch.n_segments = 0;
	assert_int_equal(vring_start(&w.ring, &c), 0);
}

static void restart(uint64_t more_features)
{
	restart_at(vring_position_initial(w.packed), more_features);
}

static void open_world(bool packed, bool receive)
{
	struct guest_region r[2] = {{.gpa = LOW, .size = REGION, .uaddr = LOW},
	    {.gpa = HIGH, .size = REGION, .uaddr = HIGH}};

	memset(&w, 0, sizeof(w));
	w.packed = packed;
	w.receive = receive;
	for (unsigned i = 0; i < 2; i++)
		r[i].host = w.region[i] = map_guarded(&w.map[i]);
	assert_int_equal(guest_memory_create(r, 2, &w.memory), 0);
	for (unsigned i = 0; i < 3; i++)
		w.area[i] = w.region[0] + RING + i * PAGE;
	restart(0);
}

static void close_world(void)
{
	guest_memory_destroy(w.memory);
	for (unsigned i = 0; i < 2; i++)
		munmap(w.map[i], REGION + 2 * PAGE);
}

static void set_desc(
    void *table, unsigned i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	struct vring_split_desc *s = (struct vring_split_desc *)table + i;
	struct vring_packed_desc *p = (struct vring_packed_desc *)table + i;

	if (w.packed)
		*p = (struct vring_packed_desc){
		    .addr = addr, .len = len, .id = i, .flags = flags | VRING_DESC_F_AVAIL};
	else
		*s = (struct vring_split_desc){
		    .addr = addr, .len = len, .flags = flags, .next = next};
}

static void offer(uint16_t chain_head, uint16_t idx)
{
	struct vring_split_avail *avail = w.area[1];

	if (w.packed)
		return;
	avail->ring[0] = chain_head;
	avail->idx = idx;
}

/* Check that every segment lies inside one of the two regions, and that the lengths add up. */
static void check_batch(void)
{
	const struct vring_batch *b = &w.batch;

	assert_true(b->n <= VRING_BATCH_CHAINS && b->n_segments <= VRING_BATCH_SEGMENTS);
	for (unsigned i = 0; i < b->n; i++) {
		const struct vring_chain *c = &b->chain[i];
		uint64_t len = 0;

		assert_true(c->segment + c->n_segments <= b->n_segments);
		assert_true(c->len <= VRING_CHAIN_BYTES_MAX && c->written <= c->len);
		for (unsigned k = 0; k < c->n_segments; k++) {
			const struct vring_segment *s = &b->segment[c->segment + k];
			unsigned r = s->addr >= w.region[1] && s->addr < w.region[1] + REGION;

			assert_true(s->addr >= w.region[r] && s->len > 0);
			assert_true(s->addr + s->len <= w.region[r] + REGION);
			len += s->len;
		}
		assert_int_equal(len, c->len);
	}
}

static void expect_fault(enum vring_fault fault)
{
	assert_int_equal(vring_fetch(&w.ring, &w.batch, 32), 1);
	assert_int_equal(w.batch.chain[0].fault, fault);
	assert_int_equal(w.batch.n_segments, 0);
	assert_int_equal(w.batch.chain[0].len, 0);
	assert_int_equal(w.ring.broken, VRING_BREAK_NONE);
	vring_complete(&w.ring, &w.batch);
}

/* Call lie() for a ring of each format and direction. */
static void each_lie(void (*lie)(uint16_t flags))
{
	for (unsigned v = 0; v < 4; v++) {
		open_world(v & 1, v & 2);
		lie(v & 2 ? VRING_DESC_F_WRITE : 0);
		close_world();
	}
}

static void lie_about_addresses(uint16_t flags)
{
	const struct {
		uint64_t addr;
		uint32_t len;
	} bad[] = {
	    {NOWHERE, 1},
	    {NOWHERE - 1, 2},
	    {LOW - 1, 2},
	    {0, 64},
	    {UINT64_MAX, 2},
	    {UINT64_MAX - 63, 64},
	    {NOWHERE - PAGE, UINT32_MAX},
	    {HIGH + REGION - 64, 65},
	};

	for (unsigned i = 0; i < 8; i++) {
		restart(0);
		set_desc(w.area[0], 0, bad[i].addr, bad[i].len, flags, 0);
		offer(0, 1);
		expect_fault(VRING_FAULT_ADDRESS);
	}
}

static void addresses_outside_memory_are_faults(void **state)
{
	(void)state;
	each_lie(lie_about_addresses);
}

static void buffer_over_two_regions(uint16_t flags)
{
	set_desc(w.area[0], 0, HIGH - 10, 30, flags, 0);
	offer(0, 1);
	assert_int_equal(vring_fetch(&w.ring, &w.batch, 32), 1);
	check_batch();
	assert_int_equal(w.batch.chain[0].fault, VRING_FAULT_NONE);
	assert_int_equal(w.batch.n_segments, 2);
	assert_ptr_equal(w.batch.segment[0].addr, w.region[0] + REGION - 10);
	assert_ptr_equal(w.batch.segment[1].addr, w.region[1]);
	assert_int_equal(w.batch.segment[1].len, 20);
}

static void a_buffer_over_two_regions_becomes_two_segments(void **state)
{
	(void)state;
	each_lie(buffer_over_two_regions);
}

static void lie_about_direction(uint16_t flags)
{
	set_desc(w.area[0], 0, LOW, 64, flags ^ VRING_DESC_F_WRITE, 0);
	offer(0, 1);
	expect_fault(VRING_FAULT_DIRECTION);
}

static void the_wrong_direction_is_a_fault(void **state)
{
	(void)state;
	each_lie(lie_about_direction);
}

static void lie_about_indirect(uint16_t flags)
{
	const struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags;
	} bad[] = {
	    {LOW + TABLE, 0, 0}, {LOW + TABLE, 15, 0}, {LOW + TABLE, 24, 0},
	    {LOW + TABLE + 3, 32, 0}, {HIGH - 16, 32, 0}, {NOWHERE, 16, 0},
	    {LOW + TABLE, UINT32_MAX & ~15u, 0}, {LOW + TABLE, 16 * (VRING_TABLE_MIN + 1), 0},
	    {LOW + TABLE, 16, VRING_DESC_F_NEXT}, {LOW + TABLE, 16, 0}, /* nested */
	};

	for (unsigned i = 0; i < 10; i++) {
		restart(0);
		set_desc(w.region[0] + TABLE, 0, LOW, 16,
		    flags | (i == 9 ? VRING_DESC_F_INDIRECT : 0), 0);
		set_desc(
		    w.area[0], 0, bad[i].addr, bad[i].len, VRING_DESC_F_INDIRECT | bad[i].flags, 1);
		if (!w.packed || (bad[i].flags & VRING_DESC_F_NEXT))
			set_desc(w.area[0], 1, LOW, 16, flags, 0);
		else
			memset((uint8_t *)w.area[0] + 16, 0, 16);
		offer(0, 1);
		expect_fault(VRING_FAULT_INDIRECT);
	}
}

static void bad_indirect_tables_are_faults(void **state)
{
	(void)state;
	each_lie(lie_about_indirect);
}

static void indirect_must_have_been_negotiated(void **state)
{
	(void)state;
	open_world(false, false);
	w.ring.indirect = false;
	set_desc(w.region[0] + TABLE, 0, LOW, 16, 0, 0);
	set_desc(w.area[0], 0, LOW + TABLE, 16, VRING_DESC_F_INDIRECT, 0);
	offer(0, 1);
	expect_fault(VRING_FAULT_INDIRECT);
	close_world();
}

/* Loops of descriptors end, also if they are empty and so never reach the largest length. */
static void split_loops_end(void **state)
{
	(void)state;
	for (unsigned len = 0; len < 2; len++) {
		open_world(false, false);
		set_desc(w.area[0], 0, LOW, len, VRING_DESC_F_NEXT, 1);
		set_desc(w.area[0], 1, LOW, len, VRING_DESC_F_NEXT, 0);
		offer(0, 1);
		expect_fault(len ? VRING_FAULT_CHAIN : VRING_FAULT_EMPTY);
		restart(0);
		set_desc(w.area[0], 0, LOW, len, VRING_DESC_F_NEXT, SIZE);
		offer(0, 1);
		expect_fault(len ? VRING_FAULT_CHAIN : VRING_FAULT_EMPTY);
		close_world();
	}
}

static void packed_endless_chain_breaks_the_ring(void **state)
{
	(void)state;
	open_world(true, false);
	for (unsigned i = 0; i < SIZE; i++)
		set_desc(w.area[0], i, LOW, 0, VRING_DESC_F_NEXT, 0);
	assert_int_equal(vring_fetch(&w.ring, &w.batch, 32), 0);
	assert_int_equal(w.ring.broken, VRING_BREAK_CHAIN_ENDLESS);
	assert_int_equal(vring_fetch(&w.ring, &w.batch, 32), 0);
	close_world();
}

static void avail_index_that_jumps_breaks_the_ring(void **state)
{
	(void)state;
	open_world(false, false);
	offer(0, SIZE + 1);
	assert_int_equal(vring_fetch(&w.ring, &w.batch, 32), 0);
	assert_int_equal(w.ring.broken, VRING_BREAK_AVAIL_JUMP);
	assert_false(vring_has_avail(&w.ring));
	close_world();
}

static void head_out_of_range_breaks_the_ring(void **state)
{
	(void)state;
	for (unsigned chain_head = SIZE; chain_head < 0x10000; chain_head += 0x3fef) {
		open_world(false, false);
		offer(chain_head, 1);
		assert_int_equal(vring_fetch(&w.ring, &w.batch, 32), 0);
		assert_int_equal(w.ring.broken, VRING_BREAK_CHAIN_HEAD_RANGE);
		close_world();
	}
}

static void too_many_bytes(uint16_t flags)
{
	for (unsigned i = 0; i < SIZE; i++)
		set_desc(w.area[0], i, LOW, REGION, flags | (i < SIZE - 1 ? VRING_DESC_F_NEXT : 0),
		    i + 1);
	offer(0, 1);
	expect_fault(VRING_FAULT_TOO_LONG);
	assert_int_equal(w.batch.chain[0].slots, w.packed ? SIZE : 1);
}

static void as_many_bytes_as_there_may_be(uint16_t flags)
{
	set_desc(w.area[0], 0, LOW, VRING_CHAIN_BYTES_MAX - PAGE, flags | VRING_DESC_F_NEXT, 1);
	set_desc(w.area[0], 1, HIGH, PAGE, flags, 0);
	offer(0, 1);
	assert_int_equal(vring_fetch(&w.ring, &w.batch, 32), 1);
	assert_int_equal(w.batch.chain[0].fault, VRING_FAULT_NONE);
	assert_int_equal(w.batch.chain[0].len, VRING_CHAIN_BYTES_MAX);
	check_batch();
}

static void chains_longer_than_a_frame_are_faults(void **state)
{
	(void)state;
	each_lie(too_many_bytes);
	each_lie(as_many_bytes_as_there_may_be);
}

/*
 * A fetch of descriptor 0 finds the region. Then eight more descriptors are fetched. Number `lane`
 * of these is wrong. If this descriptor is too long, the fetch stops before it, because it may only
 * be too long for the rest of the batch.
 */
static void lie_in_lane(unsigned lane, struct vring_split_desc lie, enum vring_fault fault)
{
	struct vring_split_avail *avail = w.area[1];
	uint16_t good = w.receive ? VRING_DESC_F_WRITE : 0;
	unsigned more = fault == VRING_FAULT_TOO_LONG ? lane : 8;

	restart(0);
	if (!w.packed)
		avail->idx = 9;
	for (unsigned i = 0; i < 9; i++) {
		bool lies = i == 1 + lane;

		set_desc(w.area[0], i, lies ? lie.addr : LOW + 100 * i, lies ? lie.len : 100,
		    lies ? lie.flags : good, 0);
		if (!w.packed)
			avail->ring[i] = i;
	}
	assert_int_equal(vring_fetch(&w.ring, &w.batch, 1), 1);
	assert_int_equal(vring_fetch(&w.ring, &w.batch, 8), more);
	check_batch();
	for (unsigned i = 0; i <= more; i++) {
		const struct vring_chain *c = &w.batch.chain[i];

		assert_int_equal(c->fault, i == 1 + lane ? fault : VRING_FAULT_NONE);
		assert_int_equal(c->id, i);
		if (i != 1 + lane)
			assert_ptr_equal(w.batch.segment[c->segment].addr, w.region[0] + 100 * i);
	}
}

static void lie_among_good_ones(uint16_t flags)
{
	const uint16_t wrong = flags ^ VRING_DESC_F_WRITE;
	const struct {
		struct vring_split_desc desc;
		enum vring_fault fault;
	} lies[] = {
	    {{NOWHERE, 1, flags, 0}, VRING_FAULT_ADDRESS},
	    {{LOW - 1, 2, flags, 0}, VRING_FAULT_ADDRESS},
	    {{0, 64, flags, 0}, VRING_FAULT_ADDRESS},
	    {{UINT64_MAX, 2, flags, 0}, VRING_FAULT_ADDRESS},
	    {{LOW + (UINT64_C(1) << 63), 64, flags, 0}, VRING_FAULT_ADDRESS},
	    {{LOW + (UINT64_C(1) << 63) - 1, 64, flags, 0}, VRING_FAULT_ADDRESS},
	    {{HIGH + REGION - 64, 65, flags, 0}, VRING_FAULT_ADDRESS},
	    {{LOW, VRING_CHAIN_BYTES_MAX + 1, flags, 0}, VRING_FAULT_TOO_LONG},
	    {{LOW, UINT32_MAX, flags, 0}, VRING_FAULT_TOO_LONG},
	    {{LOW, 0, flags, 0}, VRING_FAULT_EMPTY},
	    {{LOW, 100, wrong, 0}, VRING_FAULT_DIRECTION},
	    {{LOW, 100, flags | VRING_DESC_F_INDIRECT, 0}, VRING_FAULT_INDIRECT},
	};

	for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
		for (unsigned lane = 0; lane < 8; lane++)
			lie_in_lane(lane, lies[i].desc, lies[i].fault);
	/* The last and the first good address. */
	for (unsigned lane = 0; lane < 8; lane++) {
		lie_in_lane(lane, (struct vring_split_desc){HIGH - 1, 1, flags, 0}, 0);
		lie_in_lane(lane, (struct vring_split_desc){LOW, 1, flags, 0}, 0);
	}
}

/*
 * The region is smaller than the longest chain, and the end of the buffer is nearly 2^63 behind the
 * region.
 */
static void lie_in_a_small_region(uint16_t flags)
{
	const struct guest_region r = {.gpa = LOW, .size = PAGE, .uaddr = LOW, .host = w.region[0]};
	const struct vring_split_desc lie = {
	    LOW + (UINT64_C(1) << 63) - 1, VRING_CHAIN_BYTES_MAX, flags, 0};

	guest_memory_destroy(w.memory);
	assert_int_equal(guest_memory_create(&r, 1, &w.memory), 0);
	for (unsigned lane = 0; lane < 8; lane++)
		lie_in_lane(lane, lie, VRING_FAULT_ADDRESS);
}

static void one_liar_is_found_among_honest_neighbours(void **state)
{
	(void)state;
	each_lie(lie_among_good_ones);
	each_lie(lie_in_a_small_region);
}

/* Offer simple chains to a batch that has room for two more segments. */
static void fill_batch(uint16_t flags)
{
	struct vring_split_avail *avail = w.area[1];

	restart(0);
	for (unsigned i = 0; i < 9; i++) {
		set_desc(w.area[0], i, LOW + 100 * i, 100, flags, 0);
		if (!w.packed)
			avail->ring[i] = i;
	}
	if (!w.packed)
		avail->idx = 9;
	assert_int_equal(vring_fetch(&w.ring, &w.batch, 1), 1);
	w.batch.n_segments = VRING_BATCH_SEGMENTS - 2;
	w.batch.writable[0] = 0x5a5a;
	assert_int_equal(vring_fetch(&w.ring, &w.batch, 8), 2);
	assert_int_equal(w.batch.n_segments, VRING_BATCH_SEGMENTS);
	assert_int_equal(w.batch.writable[0], 0x5a5a); /* the memory behind the segments */
	check_batch();
}

static void a_batch_takes_no_more_segments_than_it_has_room_for(void **state)
{
	(void)state;
	each_lie(fill_batch);
}

/* In a ring of requests no chain is simple, whatever its flags are. */
static void every_flag_at_once_is_a_fault_for_requests(void **state)
{
	const uint16_t all = VRING_DESC_F_NEXT | VRING_DESC_F_WRITE | VRING_DESC_F_INDIRECT;

	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct vring_split_avail *avail;

		open_world(packed, false);
		avail = w.area[1];
		w.request = true;
		restart(0);
		for (unsigned i = 0; i < 8; i++) {
			set_desc(w.area[0], i, LOW, 64, i == 0 ? 0 : all, 0);
			if (!packed)
				avail->ring[i] = i;
		}
		/* A packed chain that does not end within the ring breaks it. */
		set_desc(w.area[0], 8, LOW, 64, 0, 0);
		if (!packed)
			avail->idx = 8;
		assert_int_equal(vring_fetch(&w.ring, &w.batch, 1), 1);
		assert_int_equal(w.batch.chain[0].fault, VRING_FAULT_NONE);
		assert_true(vring_fetch(&w.ring, &w.batch, 7) >= 1);
		for (unsigned i = 1; i < w.batch.n; i++)
			assert_int_equal(w.batch.chain[i].fault, VRING_FAULT_INDIRECT);
		assert_false(w.batch.single_segment);
		close_world();
	}
}

/* The tests below write random values. */

static uint64_t seed = 88172645463325252u;

static uint64_t noise(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* Write a random value, often a nearly valid descriptor, so that it passes the first checks. */
static void scribble(uint64_t *s)
{
	static const uint64_t addrs[] = {LOW, HIGH - 8, LOW + TABLE, NOWHERE - 16, LOW - 4, HIGH};
	uint16_t *driver = w.area[1];
	uint64_t r = noise(s);
	void *table = r & 1 ? w.area[0] : w.region[0] + TABLE;
	uint64_t *word = (uint64_t *)table + 2 * (r >> 8) % (2 * SIZE);

	switch (r >> 60) {
	case 0:
		WRITE_ONCE(driver[(r >> 16) % (3 + SIZE)], (uint16_t)(r >> 32));
		return;
	case 1:
		WRITE_ONCE(driver[1], (uint16_t)(driver[1] + (r >> 32) % 4));
		return;
	case 2:
		WRITE_ONCE(driver[2 + (r >> 16) % SIZE], (r >> 32) % SIZE);
		return;
	case 3:
		WRITE_ONCE(word[0], noise(s));
		return;
	case 4:
		WRITE_ONCE(word[1], noise(s));
		return;
	default:
		WRITE_ONCE(word[0], addrs[(r >> 20) % 6] + (r >> 24) % 32);
		WRITE_ONCE(word[1],
		    (r >> 30) % 200 |
			(w.packed ? ((r >> 40) & 0xffff) << 48 | r % SIZE << 32
				  : (r >> 36 & 7) << 32 | (r >> 44) % SIZE << 48));
	}
}

/*
 * Start the ring again near the driver's index. Otherwise most starts would end with an index that
 * jumped.
 */
static void restart_nearby(void)
{
	uint64_t r = noise(&seed);
	struct vring_position p = {.avail = r % SIZE, .used = r % SIZE, .avail_wrap = r & 32};

	p.used_wrap = p.avail_wrap;
	if (!w.packed)
		p = (struct vring_position){
		    .avail = READ_ONCE(((uint16_t *)w.area[1])[1]) - r % 4, .used = r >> 40};
	restart_at(p, r & 64 ? VIRTIO_BIT(F_IN_ORDER) : 0);
}

static uint64_t good_chains;

static void use_ring(void)
{
	struct vring_reservation reserved[32];
	uint32_t len[32];

	vring_visit(&w.batch);
	if (w.receive) {
		for (unsigned i = 0; i < 32; i++)
			len[i] = 12 + noise(&seed) % 300;
		vring_reserve(&w.ring, &w.batch, len, 32, reserved);
	} else {
		vring_fetch(&w.ring, &w.batch, 32);
		vring_unfetch(&w.ring, &w.batch, noise(&seed) % 33);
	}
	check_batch();
	/* Write to the segments as a copy would. */
	for (unsigned i = 0; i < w.batch.n_segments; i++)
		if (w.receive && w.batch.segment[i].len < 8)
			WRITE_ONCE(*w.batch.segment[i].addr, (uint8_t)noise(&seed));
	vring_complete(&w.ring, &w.batch);
	vring_call_needed(&w.ring);
	for (unsigned i = 0; i < w.batch.n; i++)
		good_chains += w.batch.chain[i].len > 0;
	if (w.ring.broken || noise(&seed) % 16 == 0)
		restart_nearby();
}

static void noise_never_leads_outside_memory(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 4; v++) {
		open_world(v & 1, v & 2);
		for (unsigned i = 0; i < 600000; i++) {
			scribble(&seed);
			if (i % 4 == 0)
				use_ring();
		}
		assert_true(good_chains > 100);
		good_chains = 0;
		close_world();
	}
}

static atomic_bool done;

static void *scribbler(void *arg)
{
	uint64_t s = (uintptr_t)arg;

	while (!atomic_load(&done))
		scribble(&s);
	return NULL;
}

/*
 * Another thread changes the memory all the time. The device must use the values that it has
 * checked.
 */
static void concurrent_noise_never_leads_outside_memory(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 4; v++) {
		pthread_t thread;

		open_world(v & 1, v & 2);
		atomic_store(&done, false);
		assert_int_equal(pthread_create(&thread, NULL, scribbler, (void *)(v + 77ul)), 0);
		for (unsigned i = 0; i < 100000; i++)
			use_ring();
		atomic_store(&done, true);
		pthread_join(thread, NULL);
		close_world();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(addresses_outside_memory_are_faults),
	    cmocka_unit_test(a_buffer_over_two_regions_becomes_two_segments),
	    cmocka_unit_test(the_wrong_direction_is_a_fault),
	    cmocka_unit_test(bad_indirect_tables_are_faults),
	    cmocka_unit_test(indirect_must_have_been_negotiated),
	    cmocka_unit_test(split_loops_end),
	    cmocka_unit_test(packed_endless_chain_breaks_the_ring),
	    cmocka_unit_test(avail_index_that_jumps_breaks_the_ring),
	    cmocka_unit_test(head_out_of_range_breaks_the_ring),
	    cmocka_unit_test(chains_longer_than_a_frame_are_faults),
	    cmocka_unit_test(one_liar_is_found_among_honest_neighbours),
	    cmocka_unit_test(a_batch_takes_no_more_segments_than_it_has_room_for),
	    cmocka_unit_test(every_flag_at_once_is_a_fault_for_requests),
	    cmocka_unit_test(noise_never_leads_outside_memory),
	    cmocka_unit_test(concurrent_noise_never_leads_outside_memory),
	};

	return run_group_at_each_level(tests);
}
