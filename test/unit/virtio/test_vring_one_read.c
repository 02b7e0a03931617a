/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Values that the driver may change are read once. The pages of the ring and of indirect tables are
 * not accessible: every load by the device faults, is recorded, and is then allowed alone (the trap
 * flag stops after one instruction). After each fetch each descriptor was read in two words at
 * most, each of them once; no avail entry was read twice; and nothing was written.
 *
 * A wide read may be discarded and repeated. So it is also tested that the result is correct if
 * each load finds another value, good or bad.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "virtio/driver.h"
#include "virtio/vring.h"

#define SIZE     16
#define PAGE     4096
#define DESC     0
#define DRIVER   PAGE
#define TABLES   (2 * PAGE)
#define WATCHED  (3 * PAGE)
#define DEVICE   (3 * PAGE)
#define BUFFERS  (4 * PAGE)
#define MEMORY   (8 * PAGE)
#define TABLE    256 /* bytes for one */
#define ROUNDS   2000
#define TRAP     0x100 /* in the flags register */
#define IS_WRITE 0x2   /* in a page fault's error code */

static uint8_t *memory;
static unsigned reads[WATCHED], writes, faults;
static void (*after_load)(void);

static void on_fault(int number, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	size_t at = (uint8_t *)info->si_addr - memory;

	(void)number;
	if (at >= WATCHED)
		abort();
	faults++;
	if (uc->uc_mcontext.gregs[REG_ERR] & IS_WRITE)
		writes++;
	else
		reads[at]++;
	mprotect(memory, WATCHED, PROT_READ | PROT_WRITE);
	uc->uc_mcontext.gregs[REG_EFL] |= TRAP;
}

static void on_trap(int number, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)number;
	(void)info;
	uc->uc_mcontext.gregs[REG_EFL] &= ~TRAP;
	if (after_load)
		after_load();
	mprotect(memory, WATCHED, PROT_NONE);
}

static void watch(bool on)
{
	struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	struct sigaction trap = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};

	memset(reads, 0, sizeof(reads));
	writes = faults = 0;
	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGTRAP, &trap, NULL);
	mprotect(memory, WATCHED, on ? PROT_NONE : PROT_READ | PROT_WRITE);
}

struct lab {
	struct guest_memory *guest;
	struct driver_ring driver;
	struct vring device;
	struct vring_position position;
	struct vring_batch batch;
	uint32_t random;
	unsigned offered;
};

static uint32_t draw(struct lab *l, uint32_t n)
{
	l->random = l->random * 1664525 + 1013904223;
	return (l->random >> 8) % n;
}

static void offer(struct lab *l, enum vring_direction direction)
{
	struct driver_buffer b[4];
	unsigned n = 1 + draw(l, 4), in = direction == VRING_RECEIVE ? n : 0;
	unsigned table = TABLES + TABLE * (l->offered % (PAGE / TABLE));
	int error;

	for (unsigned i = 0; i < 4; i++)
		b[i] = (struct driver_buffer){BUFFERS + 128 * i, 100};
	if (draw(l, 2))
		error = driver_ring_add(&l->driver, b, n - in, in, l);
	else
		error =
		    driver_ring_add_indirect(&l->driver, b, n - in, in, memory + table, table, l);
	if (!error)
		driver_ring_publish(&l->driver);
	l->offered += !error;
}

/* Check that each word of these descriptors was read at most once, and nothing but whole words. */
static void check_table(unsigned from, unsigned bytes)
{
	for (unsigned at = from; at < from + bytes; at++) {
		assert_true(reads[at] <= 1);
		if (at % 8)
			assert_int_equal(reads[at], 0);
	}
}

static void check_avail(void)
{
	for (unsigned at = DRIVER; at < DRIVER + 4 + 2 * SIZE; at++) {
		assert_true(reads[at] <= 1);
		if (at % 2 || at == DRIVER)
			assert_int_equal(reads[at], 0); /* odd bytes, flags */
	}
}

/*
 * After a fetch of all slots of a packed ring the device reads the first slot again, for the next
 * lap. Allow this.
 */
static void forgive_next_lap(const struct lab *l, unsigned begin)
{
	unsigned slots = 0;

	for (unsigned i = 0; i < l->batch.n; i++)
		slots += l->batch.chain[i].slots;
	for (unsigned word = 0; slots == SIZE && word < 16; word += 8)
		reads[DESC + 16 * begin + word] -= reads[DESC + 16 * begin + word] == 2;
}

static void one_fetch(struct lab *l, bool packed)
{
	unsigned begin = l->position.avail, n;
	uint32_t len;
	void *token;

	l->batch.n = l->batch.n_segments = 0;
	watch(true);
	n = vring_fetch(&l->device, &l->batch, 1 + draw(l, SIZE));
	mprotect(memory, WATCHED, PROT_READ | PROT_WRITE);
	assert_int_equal(writes, 0);
	assert_true(faults >= n * 2);
	if (packed)
		forgive_next_lap(l, begin);
	check_table(DESC, 16 * SIZE);
	check_table(TABLES, PAGE);
	if (!packed)
		check_avail();
	for (unsigned i = 0; i < l->batch.n; i++)
		assert_int_equal(l->batch.chain[i].fault, VRING_FAULT_NONE);
	watch(false);
	vring_complete(&l->device, &l->batch);
	while (driver_ring_reap(&l->driver, &token, &len) == 1)
		;
}

static void open_lab(struct lab *l, uint64_t features, enum vring_direction direction)
{
	struct guest_region region = {.size = MEMORY};
	struct vring_config config;

	memset(l, 0, sizeof(*l));
	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(memory, MAP_FAILED);
	region.host = memory;
	assert_int_equal(guest_memory_create(&region, 1, &l->guest), 0);
	features |= VIRTIO_BIT(F_VERSION_1) | VIRTIO_BIT(F_INDIRECT_DESC);
	config = (struct vring_config){.direction = direction,
	    .features = features,
	    .size = SIZE,
	    .desc = memory + DESC,
	    .driver = memory + DRIVER,
	    .device = memory + DEVICE,
	    .position = &l->position,
	    .memory = l->guest};
	assert_int_equal(
	    driver_ring_init(&l->driver, features, SIZE, config.desc, config.driver, config.device),
	    0);
	l->position = vring_position_initial(VIRTIO_HAS(features, F_RING_PACKED));
	assert_int_equal(vring_start(&l->device, &config), 0);
}

static void close_lab(struct lab *l)
{
	signal(SIGSEGV, SIG_DFL);
	signal(SIGTRAP, SIG_DFL);
	driver_ring_cleanup(&l->driver);
	guest_memory_destroy(l->guest);
	munmap(memory, MEMORY);
}

static void run(uint64_t features, enum vring_direction direction)
{
	static struct lab l;

	open_lab(&l, features, direction);
	for (unsigned i = 0; i < ROUNDS; i++) {
		for (unsigned k = draw(&l, 6); k; k--)
			offer(&l, direction);
		one_fetch(&l, VIRTIO_HAS(features, F_RING_PACKED));
	}
	assert_true(l.offered > ROUNDS);
	close_lab(&l);
}

static void a_split_ring_is_read_once(void **state)
{
	(void)state;
	run(0, VRING_TRANSMIT);
	run(0, VRING_RECEIVE);
}

static void a_packed_ring_is_read_once(void **state)
{
	(void)state;
	run(VIRTIO_BIT(F_RING_PACKED), VRING_TRANSMIT);
	run(VIRTIO_BIT(F_RING_PACKED), VRING_RECEIVE);
}

static void a_packed_chain_without_end_is_read_once(void **state)
{
	static struct lab l;
	struct vring_packed_desc *desc;
	unsigned n;

	(void)state;
	open_lab(&l, VIRTIO_BIT(F_RING_PACKED), VRING_TRANSMIT);
	desc = (struct vring_packed_desc *)(memory + DESC);
	for (unsigned slot = 0; slot < SIZE; slot++)
		desc[slot] = (struct vring_packed_desc){
		    .addr = BUFFERS, .len = 100, .flags = VRING_DESC_F_AVAIL | VRING_DESC_F_NEXT};
	watch(true);
	n = vring_fetch(&l.device, &l.batch, SIZE);
	mprotect(memory, WATCHED, PROT_READ | PROT_WRITE);
	assert_int_equal(n, 0);
	assert_int_equal(l.device.broken, VRING_BREAK_CHAIN_ENDLESS);
	check_table(DESC, 16 * SIZE);
	close_lab(&l);
}

/* The values that the driver changes between two loads are random. */
static uint32_t dice;

static uint32_t throw(uint32_t n)
{
	dice = dice * 1664525 + 1013904223;
	return (dice >> 8) % n;
}

static uint64_t any_addr(void)
{
	return throw(60) ? BUFFERS + throw(3 * PAGE) : (uint64_t) throw(UINT32_MAX) << throw(32);
}

static uint32_t any_len(void)
{
	return throw(60) ? 1 + throw(200) : throw(UINT32_MAX >> throw(32));
}

/* Fill a slot like a good driver, with a wrong value now and then. */
static void scribble(bool is_packed, unsigned slot)
{
	if (is_packed) {
		struct vring_packed_desc *d = (struct vring_packed_desc *)(memory + DESC) + slot;

		d->addr = any_addr();
		d->len = any_len();
		d->id = throw(SIZE);
		if (throw(60) == 0)
			d->flags ^= 1u << throw(3);
	} else {
		struct vring_split_desc *d = (struct vring_split_desc *)(memory + DESC) + slot;
		struct vring_split_avail *avail = (void *)(memory + DRIVER);

		d->addr = any_addr();
		d->len = any_len();
		d->flags = throw(60) ? 0 : 1u << throw(3);
		avail->ring[slot] = throw(60) ? throw(SIZE) : throw(0x10000);
	}
}

static void scribble_packed(void)
{
	for (unsigned slot = 0; slot < SIZE; slot++)
		scribble(true, slot);
}

static void scribble_split(void)
{
	for (unsigned slot = 0; slot < SIZE; slot++)
		scribble(false, slot);
}

static void check_handed_out(const struct vring_batch *batch)
{
	for (unsigned i = 0; i < batch->n; i++) {
		const struct vring_chain *c = &batch->chain[i];
		uint32_t len = 0;

		assert_true(c->segment + c->n_segments <= batch->n_segments);
		for (unsigned k = 0; k < c->n_segments; k++) {
			const struct vring_segment *s = &batch->segment[c->segment + k];
			size_t at = s->addr - memory;

			assert_true(s->len > 0 && at < MEMORY && s->len <= MEMORY - at);
			len += s->len;
		}
		assert_int_equal(c->len, len);
		assert_true(c->len <= VRING_CHAIN_BYTES_MAX);
		if (batch->single_segment) {
			assert_int_equal(c->slots, 1);
			assert_int_equal(c->segment, i);
			assert_int_equal(c->n_segments, 1);
			assert_int_equal(c->fault, VRING_FAULT_NONE);
		}
	}
}

/* Offer all slots anew, so that fetching begins anywhere. */
static void offer_all(bool is_packed, const struct vring_position *position)
{
	for (unsigned slot = 0; slot < SIZE; slot++) {
		struct vring_packed_desc *d = (struct vring_packed_desc *)(memory + DESC) + slot;
		bool wrap = position->avail_wrap ^ (slot < position->avail);

		scribble(is_packed, slot);
		if (is_packed)
			d->flags = wrap ? VRING_DESC_F_AVAIL : VRING_DESC_F_USED;
	}
	if (!is_packed)
		((struct vring_split_avail *)(void *)(memory + DRIVER))->idx =
		    position->avail + SIZE;
}

/* Fetch while the memory changes with each load. Returns how many chains were in plain batches. */
static unsigned race(uint64_t features, enum cpu_level level)
{
	bool is_packed = VIRTIO_HAS(features, F_RING_PACKED);
	static struct vring_batch batch;
	struct guest_region region = {.size = MEMORY};
	struct guest_memory *guest;
	struct vring_position position = vring_position_initial(is_packed);
	unsigned n_single = 0;

	cpu_allow_level(level);
	dice = 1;
	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(memory, MAP_FAILED);
	region.host = memory;
	assert_int_equal(guest_memory_create(&region, 1, &guest), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct vring device;
		const struct vring_config config = {.direction = VRING_TRANSMIT,
		    .features = features | VIRTIO_BIT(F_VERSION_1) | VIRTIO_BIT(F_INDIRECT_DESC),
		    .size = SIZE,
		    .desc = memory + DESC,
		    .driver = memory + DRIVER,
		    .device = memory + DEVICE,
		    .position = &position,
		    .memory = guest};

		assert_int_equal(vring_start(&device, &config), 0);
		offer_all(is_packed, &position);
		batch.n = batch.n_segments = 0;
		vring_fetch(&device, &batch, 1); /* so that the region is found */
		after_load = is_packed ? scribble_packed : scribble_split;
		watch(true);
		vring_fetch(&device, &batch, throw(SIZE));
		watch(false);
		after_load = NULL;
		check_handed_out(&batch);
		n_single += batch.single_segment ? batch.n : 0;
		position.used = position.avail;
		position.used_wrap = position.avail_wrap;
	}
	signal(SIGSEGV, SIG_DFL);
	signal(SIGTRAP, SIG_DFL);
	guest_memory_destroy(guest);
	munmap(memory, MEMORY);
	cpu_allow_level(CPU_LEVEL_COUNT - 1);
	return n_single;
}

static void what_changes_with_every_load_is_handed_out_checked(void **state)
{
	(void)state;
	for (unsigned level = 0; level <= cpu_level(); level++) {
		assert_true(race(0, level) > 1000);
		assert_true(race(VIRTIO_BIT(F_RING_PACKED), level) > 1000);
	}
}

static int without_wide_reads(void **state)
{
	(void)state;
	cpu_allow_level(CPU_LEVEL_BASELINE);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(a_split_ring_is_read_once, without_wide_reads),
	    cmocka_unit_test_setup(a_packed_ring_is_read_once, without_wide_reads),
	    cmocka_unit_test_setup(a_packed_chain_without_end_is_read_once, without_wide_reads),
	    cmocka_unit_test(what_changes_with_every_load_is_handed_out_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
