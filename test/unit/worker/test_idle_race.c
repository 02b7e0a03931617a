/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * No wake-up is lost: a driver and a device run in two threads with real eventfds, and both sleep
 * whenever they may. The device uses lib/worker/idle. It ends a sleep by itself after a second, and
 * the driver never does. So a round that takes nearly a second has lost a kick or a call. Between
 * rounds the driver waits for about as long as the device takes to fall asleep.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "virtio/driver.h"
#include "virtio/vring.h"
#include "worker/idle.h"

#define ROUNDS      60000
#define LATE_MS     800
#define MEMORY      65536
#define DRIVER_AREA 16384
#define DEVICE_AREA 20480
#define BUFFER      32768

struct lab {
	uint8_t *memory;
	struct guest_memory *guest;
	struct driver_ring driver;
	struct vring device;
	struct vring_position position;
	int kick, call;
	struct idle idle;
	struct queue queue;
	struct queue *queues[1];
	struct poll_entry entry[1];
	uint64_t key[1];
	struct poll_list list;
	atomic_bool stop;
	uint64_t sleeps, driver_sleeps;
};

static struct vring_batch batch;

static bool kick_enable(const struct queue *q)
{
	return vring_kick_enable(q->private);
}

static void kick_disable(const struct queue *q)
{
	vring_kick_disable(q->private);
}

static const struct queue_ops ops = {.kick_enable = kick_enable, .kick_disable = kick_disable};

static void *device_main(void *arg)
{
	struct lab *l = arg;
	uint64_t kicked[IDLE_KICKS];

	while (!atomic_load(&l->stop)) {
		batch.n = batch.n_segments = 0;
		if (vring_fetch(&l->device, &batch, 32)) {
			idle_disable_kick(&l->entry[0], &l->queue);
			vring_complete(&l->device, &batch);
			if (vring_call_needed(&l->device))
				eventfd_write(l->call, 1);
			continue;
		}
		if (!idle_prepare(&l->idle, &l->list, l->entry))
			continue;
		atomic_store(&l->idle.asleep, true);
		if (!atomic_load(&l->stop)) {
			idle_wait(&l->idle, kicked);
			l->sleeps++;
		}
		atomic_store(&l->idle.asleep, false);
	}
	return NULL;
}

static void lab_open(struct lab *l, uint64_t features, uint16_t size)
{
	struct guest_region r = {.gpa = 0, .size = MEMORY, .uaddr = 0};
	struct vring_config c = {.direction = VRING_TRANSMIT,
	    .features = features,
	    .size = size,
	    .position = &l->position};

	memset(l, 0, sizeof(*l));
	r.host = l->memory = aligned_alloc(64, MEMORY);
	assert_non_null(l->memory);
	memset(l->memory, 0, MEMORY);
	assert_int_equal(guest_memory_create(&r, 1, &l->guest), 0);
	assert_int_equal(driver_ring_init(&l->driver, features, size, l->memory,
			     l->memory + DRIVER_AREA, l->memory + DEVICE_AREA),
	    0);
	c.desc = l->memory;
	c.driver = l->memory + DRIVER_AREA;
	c.device = l->memory + DEVICE_AREA;
	c.memory = l->guest;
	l->position = vring_position_initial(VIRTIO_HAS(features, F_RING_PACKED));
	assert_int_equal(vring_start(&l->device, &c), 0);
	l->kick = eventfd(0, EFD_NONBLOCK);
	l->call = eventfd(0, EFD_NONBLOCK);
	assert_int_equal(idle_init(&l->idle, 1000000000), 0);
	l->queue = (struct queue){.ops = &ops, .private = &l->device};
	l->queues[0] = &l->queue;
	assert_int_equal(idle_watch(&l->idle, l->kick, l->key[0]), 0);
	l->list = (struct poll_list){.n = 1, .kicks = true, .queue = l->queues, .key = l->key};
}

static void lab_close(struct lab *l)
{
	idle_cleanup(&l->idle);
	close(l->kick);
	close(l->call);
	driver_ring_cleanup(&l->driver);
	guest_memory_destroy(l->guest);
	free(l->memory);
}

/* Sleep until the device calls. False: it does not. */
static bool wait_for_call(struct lab *l)
{
	struct pollfd p = {.fd = l->call, .events = POLLIN};
	eventfd_t count;

	if (driver_ring_call_enable(&l->driver))
		return true;
	l->driver_sleeps++;
	if (poll(&p, 1, LATE_MS) != 1)
		return false;
	eventfd_read(l->call, &count);
	return true;
}

static bool one_round(struct lab *l)
{
	const struct driver_buffer buffer = {BUFFER, 64};
	uint32_t len;
	void *token;

	if (driver_ring_add(&l->driver, &buffer, 1, 0, l) < 0)
		return false;
	driver_ring_publish(&l->driver);
	if (driver_ring_kick_needed(&l->driver))
		eventfd_write(l->kick, 1);
	while (driver_ring_reap(&l->driver, &token, &len) == 0) {
		if (!wait_for_call(l))
			return false;
	}
	driver_ring_call_disable(&l->driver);
	return true;
}

static void pause_a_little(uint32_t *random)
{
	*random = *random * 1664525 + 1013904223;
	for (volatile unsigned spin = *random >> 20; spin; spin--)
		; /* up to some microseconds */
}

static void race(uint64_t features, uint16_t size)
{
	static struct lab l;
	pthread_t device;
	uint32_t random = 1;
	unsigned done = 0;

	lab_open(&l, features | VIRTIO_BIT(F_VERSION_1), size);
	assert_int_equal(pthread_create(&device, NULL, device_main, &l), 0);
	while (done < ROUNDS && one_round(&l)) {
		pause_a_little(&random);
		done++;
	}
	atomic_store(&l.stop, true);
	idle_wake(&l.idle);
	pthread_join(device, NULL);
	printf("%u rounds, the device slept %llu times, the driver %llu times\n", done,
	    (unsigned long long)l.sleeps, (unsigned long long)l.driver_sleeps);
	lab_close(&l);
	assert_int_equal(done, ROUNDS);
	assert_true(l.sleeps > ROUNDS / 10);
}

static void split_with_flags(void **state)
{
	(void)state;
	race(0, 256);
}

static void split_with_event_index(void **state)
{
	(void)state;
	race(VIRTIO_BIT(F_EVENT_IDX), 4);
}

static void packed_with_flags(void **state)
{
	(void)state;
	race(VIRTIO_BIT(F_RING_PACKED), 1000);
}

static void packed_with_event_index(void **state)
{
	(void)state;
	race(VIRTIO_BIT(F_RING_PACKED) | VIRTIO_BIT(F_EVENT_IDX), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(split_with_flags),
	    cmocka_unit_test(split_with_event_index),
	    cmocka_unit_test(packed_with_flags),
	    cmocka_unit_test(packed_with_event_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
