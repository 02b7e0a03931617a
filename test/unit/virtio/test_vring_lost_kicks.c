/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device enables kicks while the driver offers a chain. Then the device sees the chain, or the
 * driver sees that it must kick.
 *
 * A kick can be lost only while the device's store waits in the store buffer of its CPU. The test
 * makes this time longer: it first stores to a cache line that is in no cache. x86 CPUs make stores
 * visible in program order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "../apart.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "virtio/driver.h"
#include "virtio/vring.h"

#define ROUNDS  20000
#define MAX_NS  INT64_C(300000000) /* for one ring, if the machine is busy */
#define DELAYS  512
#define SPINS   2000
#define NO_KICK 0
#define KICK    1
#define STOP    UINT32_MAX

#define SIZE   256
#define PAGE   4096
#define DRIVER (4 * PAGE)
#define DEVICE (8 * PAGE)
#define BUFFER (12 * PAGE)
#define MEMORY (16 * PAGE)

static uint8_t memory[MEMORY] __attribute__((aligned(PAGE)));
static struct vring_batch batch;

static struct lab {
	struct guest_memory *guest;
	struct vring_position position;
	struct vring ring CACHE_ALIGNED;
	struct driver_ring driver CACHE_ALIGNED;
	atomic_uint slow CACHE_ALIGNED;
	atomic_uint round CACHE_ALIGNED;  /* written by the device */
	atomic_uint answer CACHE_ALIGNED; /* written by the driver: 2 * round + KICK or NO_KICK */
} lab;

static void open_lab(uint64_t features)
{
	struct guest_region region = {.size = MEMORY, .host = memory};
	struct vring_config config = {.direction = VRING_TRANSMIT,
	    .features = features,
	    .size = SIZE,
	    .desc = memory,
	    .driver = memory + DRIVER,
	    .device = memory + DEVICE,
	    .position = &lab.position};

	memset(memory, 0, sizeof(memory));
	memset(&lab, 0, sizeof(lab));
	lab.position = vring_position_initial(VIRTIO_HAS(features, F_RING_PACKED));
	assert_int_equal(guest_memory_create(&region, 1, &lab.guest), 0);
	config.memory = lab.guest;
	assert_int_equal(vring_start(&lab.ring, &config), 0);
	assert_int_equal(
	    driver_ring_init(&lab.driver, features, SIZE, memory, memory + DRIVER, memory + DEVICE),
	    0);
}

/* Spin, but not for long: the other thread may need this CPU. */
static void wait_a_little(unsigned *spins)
{
	if (++*spins < SPINS)
		cpu_pause();
	else
		sched_yield();
}

static void *driver_main(void *arg)
{
	const struct driver_buffer buffer = {.addr = BUFFER, .len = 64};
	unsigned now;

	run_on_cpu(1);
	for (unsigned round = 1;; round++) {
		unsigned spins = 0;
		uint32_t len;
		void *token;

		while (driver_ring_reap(&lab.driver, &token, &len) == 1)
			;
		driver_ring_add(&lab.driver, &buffer, 1, 0, arg);
		while ((now = atomic_load(&lab.round)) != round && now != STOP)
			wait_a_little(&spins);
		if (now == STOP)
			return NULL;
		driver_ring_publish(&lab.driver);
		now = driver_ring_kick_needed(&lab.driver) ? KICK : NO_KICK;
		atomic_store(&lab.answer, 2 * round + now);
	}
}

/* Make the next store to this line slow. */
static void flush(const void *at)
{
#ifdef __x86_64__
	__builtin_ia32_clflush(at);
#else
	__asm__ volatile("dc civac, %0" ::"r"(at) : "memory");
#endif
}

/* False: the device has not seen the chain, and the driver does not kick. */
static bool one_round(unsigned round)
{
	unsigned spins = 0, answer;
	bool seen;

	vring_kick_disable(&lab.ring);
	flush(&lab.slow);
	atomic_store(&lab.round, round);
	for (unsigned i = round % DELAYS; i; i--)
		__asm__ volatile("");
	atomic_store_explicit(&lab.slow, round, memory_order_relaxed);
	seen = vring_kick_enable(&lab.ring);
	while ((answer = atomic_load(&lab.answer)) / 2 != round)
		wait_a_little(&spins);
	vring_visit(&batch);
	assert_int_equal(vring_fetch(&lab.ring, &batch, 1), 1);
	vring_complete(&lab.ring, &batch);
	return seen || answer % 2 == KICK;
}

static void no_kick_is_lost(uint64_t features)
{
	int64_t start = clock_ns();
	unsigned round, lost = 0;
	pthread_t driver;

	open_lab(VIRTIO_BIT(F_VERSION_1) | features);
	assert_int_equal(pthread_create(&driver, NULL, driver_main, &lab), 0);
	run_on_cpu(0);
	for (round = 1; round <= ROUNDS && clock_ns() - start < MAX_NS; round++)
		lost += !one_round(round);
	atomic_store(&lab.round, STOP);
	pthread_join(driver, NULL);
	print_message("%u rounds, %u lost kicks\n", round - 1, lost);
	assert_int_equal(lost, 0);
	driver_ring_cleanup(&lab.driver);
	guest_memory_destroy(lab.guest);
}

static void no_kick_of_a_split_ring_is_lost(void **state)
{
	(void)state;
	no_kick_is_lost(0);
	no_kick_is_lost(VIRTIO_BIT(F_EVENT_IDX));
}

static void no_kick_of_a_packed_ring_is_lost(void **state)
{
	(void)state;
	no_kick_is_lost(VIRTIO_BIT(F_RING_PACKED));
	no_kick_is_lost(VIRTIO_BIT(F_RING_PACKED) | VIRTIO_BIT(F_EVENT_IDX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_kick_of_a_split_ring_is_lost),
	    cmocka_unit_test(no_kick_of_a_packed_ring_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
