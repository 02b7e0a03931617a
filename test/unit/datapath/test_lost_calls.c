/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver goes to sleep while a worker delivers a frame to it. Either the driver has seen the
 * frame, or it must get a call. A call could only be lost within less than a microsecond. So driver
 * and worker run at the same time, and the driver begins a little later in each round.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "burst_world.h"

#define ROUNDS   200000
#define MOST_NS  INT64_C(2000000000) /* the longest time of a test on a busy machine */
#define LOST_NS  INT64_C(1000000000)
#define SPINS    2000
#define DELAY    64 /* the driver begins up to so many pause instructions later */
#define NO_ROUND UINT32_MAX

static atomic_uint begun, ended; /* rounds */
static atomic_bool called, lost;

static void note_call(void)
{
	atomic_store(&called, true);
}

/* Wait a little. After many calls give up the CPU, because the other thread may need it. */
static void wait_a_little(unsigned *spins)
{
	if (++*spins < SPINS)
		__builtin_ia32_pause();
	else
		sched_yield();
}

/* Wait for the call. False: it did not come. */
static bool sleep_until_called(void)
{
	int64_t start = clock_ns();
	unsigned spins = 0;

	while (!atomic_load(&called)) {
		if (clock_ns() - start > LOST_NS)
			return false;
		wait_a_little(&spins);
	}
	return true;
}

static void *driver_main(void *arg)
{
	struct driver_ring *driver = &w.to[1].driver;
	uint8_t *buffer = arg;
	uint32_t len;
	void *token;

	for (unsigned round = 1;; round++) {
		unsigned spins = 0, now;

		while ((now = atomic_load(&begun)) != round && now != NO_ROUND)
			wait_a_little(&spins);
		if (now == NO_ROUND)
			return NULL;
		for (unsigned i = round % DELAY; i; i--)
			__builtin_ia32_pause();
		if (!driver_ring_call_enable(driver) && !sleep_until_called())
			atomic_store(&lost, true);
		driver_ring_call_disable(driver);
		while (driver_ring_reap(driver, &token, &len) == 0)
			wait_a_little(&spins);
		offer(&w.to[1], buffer, BUFFER, 1);
		atomic_store(&ended, round);
	}
}

/* Send one frame to port 1, and wait until the driver has taken it. */
static void do_round(unsigned round, uint8_t *frame)
{
	unsigned spins = 0;
	uint32_t len;
	void *token;

	offer(&w.from, frame, VIRTIO_NET_HDR_LEN + 100, 1);
	atomic_store(&called, false);
	atomic_store(&begun, round);
	assert_int_equal(run(), 1);
	assert_int_equal(driver_ring_reap(&w.from.driver, &token, &len), 1);
	while (atomic_load(&ended) != round)
		wait_a_little(&spins);
	assert_false(atomic_load(&lost));
}

static void no_call_is_lost(bool shared)
{
	const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
	int64_t start = clock_ns();
	uint8_t *buffer, *frame;
	pthread_t driver;

	open_world(2, UINT32_MAX);
	w.to[1].queue.call_fd = 3;
	w.to[1].queue.shared = shared;
	w.on_call = note_call;
	fdb_learn(w.fdb, mac_load(mac), 1, 0);
	frame = make_frame(1, 100, 0);
	buffer = take(BUFFER);
	offer(&w.to[1], buffer, BUFFER, 1);
	driver_ring_call_disable(&w.to[1].driver);
	atomic_store(&begun, 0);
	atomic_store(&ended, 0);
	assert_int_equal(pthread_create(&driver, NULL, driver_main, buffer), 0);
	for (unsigned round = 1; round <= ROUNDS && clock_ns() - start < MOST_NS; round++)
		do_round(round, frame);
	atomic_store(&begun, NO_ROUND);
	pthread_join(driver, NULL);
	close_world();
}

static void no_call_is_lost_of_a_queue_that_one_worker_writes(void **state)
{
	(void)state;
	no_call_is_lost(false);
}

static void no_call_is_lost_of_a_queue_that_several_workers_write(void **state)
{
	(void)state;
	no_call_is_lost(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_call_is_lost_of_a_queue_that_one_worker_writes),
	    cmocka_unit_test(no_call_is_lost_of_a_queue_that_several_workers_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
