/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory that is not shared: if a guest kicks and its memory does not change, one log line
 * says so. No other guest causes this line.
 */
#include "fake.h"

#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vhost/unshared.h"

#define UADDR    UINT64_C(0x7f0000000000)
#define MEM_SIZE 0x100000
#define AVAIL(i) (UADDR + (i)*0x3000 + 0x1000)

#define SPLIT  (VIRTIO_BIT(F_VERSION_1) | FAKE_BIT30)
#define PACKED (SPLIT | VIRTIO_BIT(F_RING_PACKED))

static int mem_fd, kick;
static uint8_t *mem;
static uint64_t now;

static int unshared_setup(void **state)
{
	mem_fd = memory_file(MEM_SIZE);
	mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, mem_fd, 0);
	assert_ptr_not_equal(mem, MAP_FAILED);
	now = 1;
	kick = event_file();
	/* QEMU's kick eventfd is readable from the beginning. */
	assert_int_equal(eventfd_write(kick, 1), 0);
	fake_setup(state);
	fake_negotiate(*state);
	return 0;
}

static int unshared_teardown(void **state)
{
	munmap(mem, MEM_SIZE);
	fake_teardown(state);
	close(kick);
	return close(mem_fd);
}

static void start(struct fake *f, uint64_t features, bool memory)
{
	struct vhost_wire_region region = {.gpa = 0, .size = MEM_SIZE, .uaddr = UADDR};

	assert_int_equal(fake_u64(f, VHOST_USER_SET_FEATURES, features), 0);
	if (memory)
		assert_int_equal(fake_table(f, &region, &mem_fd, 1), 0);
	for (unsigned i = 0; i < 2; i++) {
		uint64_t at = UADDR + i * 0x3000;

		assert_int_equal(fake_vring(f, VHOST_USER_SET_VRING_NUM, i, 64), 0);
		assert_int_equal(fake_addr(f, i, at, at + 0x1000, at + 0x2000), 0);
		assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_KICK, i, kick), 0);
	}
}

/*
 * Call the service for so many ms, with or without a kick before each call. Returns how many
 * complaints were logged.
 */
static unsigned look(struct fake *f, unsigned ms, bool kicks)
{
	unsigned before = f->dev->complaints;

	for (uint64_t end = now + ms; now < end; now += 100) {
		if (kicks)
			assert_int_equal(eventfd_write(kick, 1), 0);
		vhost_unshared_service(f->dev, now);
	}
	return f->dev->complaints - before;
}

static void kicks_for_nothing_are_reported(struct fake *f, uint64_t features)
{
	start(f, features, true);
	assert_int_equal(look(f, 5000, false), 0); /* a guest without a driver yet */
	assert_int_equal(look(f, 1000, true), 0);
	assert_int_equal(look(f, 500, true), 1);
	assert_int_equal(look(f, 5000, true), 0); /* logged only once */
	fake_disconnect(f);
	fake_connect(f);
	fake_negotiate(f);
	start(f, features, true);
	/* One kick is enough. */
	assert_int_equal(look(f, 200, false), 0);
	assert_int_equal(look(f, 100, true), 0);
	assert_int_equal(look(f, 1500, false), 1);
}

static void kicks_of_empty_split_rings_are_reported(void **state)
{
	kicks_for_nothing_are_reported(*state, SPLIT);
}

static void kicks_of_empty_packed_rings_are_reported(void **state)
{
	kicks_for_nothing_are_reported(*state, PACKED);
}

static void whoever_writes_is_in_no_doubt(void **state)
{
	struct fake *f = *state;
	unsigned fds;

	start(f, SPLIT, true);
	fds = count_fds();
	assert_int_equal(look(f, 900, true), 0);
	/* One ring that was written to is enough. */
	((struct vring_split_avail *)(void *)(mem + (AVAIL(1) - UADDR)))->idx = 1;
	assert_int_equal(look(f, 5000, true), 0);
	assert_true(f->dev->unshared.settled);
	assert_int_equal(count_fds(), fds);
}

static void rings_that_wait_for_memory_are_reported(void **state)
{
	struct fake *f = *state;

	start(f, SPLIT, false);
	assert_int_equal(look(f, 1000, false), 0);
	assert_int_equal(look(f, 100, false), 1);
	assert_int_equal(look(f, 5000, false), 0);
}

static void memory_that_comes_in_time_is_in_no_doubt(void **state)
{
	struct vhost_wire_region region = {.gpa = 0, .size = MEM_SIZE, .uaddr = UADDR};
	struct fake *f = *state;

	assert_int_equal(look(f, 5000, false), 0); /* nothing is started */
	start(f, SPLIT, false);
	assert_int_equal(look(f, 900, false), 0);
	assert_int_equal(fake_table(f, &region, &mem_fd, 1), 0);
	assert_int_equal(look(f, 5000, false), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, unshared_setup, unshared_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(kicks_of_empty_split_rings_are_reported),
	    TEST(kicks_of_empty_packed_rings_are_reported),
	    TEST(whoever_writes_is_in_no_doubt),
	    TEST(rings_that_wait_for_memory_are_reported),
	    TEST(memory_that_comes_in_time_is_in_no_doubt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
