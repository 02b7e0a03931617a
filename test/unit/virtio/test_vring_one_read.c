/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the driver may change is read once. The pages of the ring, and of indirect tables, cannot be
 * accessed: every load by the device faults, is written down, and is let through alone (the trap
 * flag stops after one instruction). After each fetch, no descriptor was read but in two words,
 * each of them once; no avail entry twice; and nothing of it was written.
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
	struct vring_burst burst;
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

/* A table of 16-byte descriptors: the second word once, the first once after it, nothing else. */
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

/* All around a packed ring the device looks at where it began: that would be the next lap. */
static void forgive_next_lap(const struct lab *l, unsigned begin)
{
	unsigned slots = 0;

	for (unsigned i = 0; i < l->burst.n; i++)
		slots += l->burst.chain[i].slots;
	for (unsigned word = 0; slots == SIZE && word < 16; word += 8)
		reads[DESC + 16 * begin + word] -= reads[DESC + 16 * begin + word] == 2;
}

static void one_fetch(struct lab *l, bool packed)
{
	unsigned begin = l->position.avail, n;
	uint32_t len;
	void *token;

	l->burst.n = l->burst.n_segments = 0;
	watch(true);
	n = vring_fetch(&l->device, &l->burst, 1 + draw(l, SIZE));
	mprotect(memory, WATCHED, PROT_READ | PROT_WRITE);
	assert_int_equal(writes, 0);
	assert_true(faults >= n * 2);
	if (packed)
		forgive_next_lap(l, begin);
	check_table(DESC, 16 * SIZE);
	check_table(TABLES, PAGE);
	if (!packed)
		check_avail();
	for (unsigned i = 0; i < l->burst.n; i++)
		assert_int_equal(l->burst.chain[i].fault, VRING_FAULT_NONE);
	watch(false);
	vring_complete(&l->device, &l->burst);
	while (driver_ring_reap(&l->driver, &token, &len) == 1)
		;
}

static void run(uint64_t features, enum vring_direction direction)
{
	bool packed = VIRTIO_HAS(features, F_RING_PACKED);
	static struct lab l;
	struct guest_region region = {.size = MEMORY};
	struct vring_config config;

	memset(&l, 0, sizeof(l));
	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(memory, MAP_FAILED);
	region.host = memory;
	assert_int_equal(guest_memory_create(&region, 1, &l.guest), 0);
	features |= VIRTIO_BIT(F_VERSION_1) | VIRTIO_BIT(F_INDIRECT_DESC);
	config = (struct vring_config){.direction = direction,
	    .features = features,
	    .size = SIZE,
	    .desc = memory + DESC,
	    .driver = memory + DRIVER,
	    .device = memory + DEVICE,
	    .position = &l.position,
	    .memory = l.guest};
	assert_int_equal(
	    driver_ring_init(&l.driver, features, SIZE, config.desc, config.driver, config.device),
	    0);
	l.position = vring_position_initial(packed);
	assert_int_equal(vring_start(&l.device, &config), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		for (unsigned k = draw(&l, 6); k; k--)
			offer(&l, direction);
		one_fetch(&l, packed);
	}
	assert_true(l.offered > ROUNDS);
	signal(SIGSEGV, SIG_DFL);
	signal(SIGTRAP, SIG_DFL);
	driver_ring_cleanup(&l.driver);
	guest_memory_destroy(l.guest);
	munmap(memory, MEMORY);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_split_ring_is_read_once),
	    cmocka_unit_test(a_packed_ring_is_read_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
