/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls reach the driver soon, and the thread that asks for them never waits: not for an eventfd
 * that blocks, and not for an eventfd that is slow because it has many watchers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/errand.h"
#include "base/nudge.h"
#include "vhost/call.h"
#include "vhost/device.h"

#define SOON_MS 5000
#define RINGS   VHOST_RINGS_MAX

static struct vhost_device dev;

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void expect_call(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	eventfd_t count;

	assert_int_equal(poll(&p, 1, SOON_MS), 1);
	assert_int_equal(eventfd_read(fd, &count), 0);
}

/* An eventfd with a full counter: the next write to it blocks. */
static int full_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(eventfd_write(fd, UINT64_MAX - 1), 0);
	return fd;
}

static void wait_for_the_end(void)
{
	for (unsigned i = 0; vhost_calls_pending() && i < SOON_MS; i++) {
		vhost_calls_service();
		usleep(1000);
	}
	assert_int_equal(vhost_calls_pending(), 0);
	vhost_calls_service();
}

static void every_driver_is_called(void **state)
{
	int fd[RINGS];

	(void)state;
	for (unsigned i = 0; i < RINGS; i++)
		fd[i] = eventfd(0, EFD_CLOEXEC);
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < RINGS; i++)
			assert_int_equal(vhost_call(&dev, i, i % 2, fd[i]), 0);
		for (unsigned i = 0; i < RINGS; i++)
			expect_call(fd[i]);
	}
	assert_true(vhost_calls_quick(&dev) > 0);
	vhost_calls_restart(&dev);
	for (unsigned i = 0; i < RINGS; i++)
		close(fd[i]);
	vhost_calls_forget(&dev);
	wait_for_the_end();
}

static void full_eventfds_that_block_hold_up_nobody(void **state)
{
	int fd = full_eventfd(), other = eventfd(0, EFD_CLOEXEC);
	static struct vhost_device neighbour;
	int64_t start = now_ns();
	unsigned index = 0;

	(void)state;
	for (unsigned i = 0; i < RINGS; i++)
		assert_int_equal(vhost_call(&dev, i, VHOST_CALL_USED, fd), 0);
	assert_int_equal(vhost_call(&neighbour, 0, VHOST_CALL_USED, other), 0);
	expect_call(other);
	for (unsigned i = 0; i < SOON_MS && !vhost_calls_hang(&dev, 50000000, &index); i++)
		usleep(1000);
	assert_true(vhost_calls_hang(&dev, 50000000, &index));
	assert_int_equal(index, 0);
	assert_false(vhost_calls_hang(&neighbour, 50000000, &index));
	assert_true(vhost_calls_pending() > 0);
	/* When the front-end has gone, the blocked write ends although the counter stays full. */
	vhost_calls_forget(&dev);
	wait_for_the_end();
	assert_true(now_ns() - start < SOON_MS * INT64_C(1000000));
	vhost_calls_forget(&neighbour);
	wait_for_the_end();
	close(fd);
	close(other);
}

static void what_is_full_but_does_not_block_is_no_fault(void **state)
{
	int fd = full_eventfd();
	unsigned index;

	(void)state;
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(vhost_call(&dev, 3, VHOST_CALL_USED, fd), 0);
	wait_for_the_end();
	assert_false(vhost_calls_hang(&dev, 0, &index));
	/* The eventfd is not trusted, because the front-end could make it blocking at any time. */
	assert_int_equal(*vhost_call_trust(&dev, 3) & 1, 0);
	vhost_calls_forget(&dev);
	wait_for_the_end();
	close(fd);
}

enum { SETS = 200, COPIES = 300 };

/* An eventfd with many watchers: a write notifies all epoll sets, which takes long. */
static struct slow_eventfd {
	int fd, set[SETS], copy[COPIES];
} slow;

static void slow_open(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	unsigned n = 0;
	int64_t start;

	slow.fd = eventfd(0, EFD_CLOEXEC);
	for (unsigned i = 0; i < COPIES; i++)
		slow.copy[i] = dup(slow.fd);
	for (unsigned i = 0; i < SETS; i++) {
		slow.set[i] = epoll_create1(EPOLL_CLOEXEC);
		for (unsigned k = 0; k < COPIES; k++)
			n += epoll_ctl(slow.set[i], EPOLL_CTL_ADD, slow.copy[k], &event) == 0;
	}
	start = now_ns();
	assert_int_equal(eventfd_write(slow.fd, 1), 0);
	if (now_ns() - start < 5 * VHOST_CALL_SLOW_NS) {
		print_message("a write to an eventfd of %u watchers is quick here\n", n);
		fail();
	}
}

static void slow_end_watchers(void)
{
	for (unsigned i = 0; i < SETS; i++)
		close(slow.set[i]);
}

static void slow_close(void)
{
	for (unsigned i = 0; i < COPIES; i++)
		close(slow.copy[i]);
	close(slow.fd);
}

static void slow_writes_are_told_from_quick_ones(void **state)
{
	(void)state;
	slow_open();
	assert_int_equal(vhost_call(&dev, 0, VHOST_CALL_USED, slow.fd), 0);
	wait_for_the_end();
	assert_int_equal(vhost_calls_quick(&dev), 0);
	assert_int_equal(*vhost_call_trust(&dev, 0) & 1, 0);
	assert_true(vhost_calls_were_slow(&dev));
	slow_end_watchers();
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(vhost_call(&dev, 0, VHOST_CALL_USED, slow.fd), 0);
		wait_for_the_end();
	}
	assert_in_range(vhost_calls_quick(&dev), 1, 3);
	vhost_calls_forget(&dev);
	wait_for_the_end();
	slow_close();
}

/*
 * A device has one errand at a time, even if front-ends reconnect. The errand rests after slow
 * writes.
 */
static void front_ends_that_come_and_go_share_one_errand(void **state)
{
	struct rusage before, after;
	int64_t start, used;

	(void)state;
	slow_open();
	getrusage(RUSAGE_SELF, &before);
	start = now_ns();
	while (now_ns() - start < INT64_C(500000000)) {
		assert_int_equal(vhost_call(&dev, 0, VHOST_CALL_USED, slow.fd), 0);
		usleep(1000);
		vhost_calls_forget(&dev);
		assert_in_range(vhost_calls_pending(), 0, 1);
		assert_false(vhost_calls_were_slow(&dev));
	}
	wait_for_the_end();
	getrusage(RUSAGE_SELF, &after);
	used = (after.ru_stime.tv_sec - before.ru_stime.tv_sec) * INT64_C(1000000) +
	    after.ru_stime.tv_usec - before.ru_stime.tv_usec;
	print_message(
	    "500 ms of front-ends with slow eventfds used %lld us of CPU time\n", (long long)used);
	assert_in_range(used, 0, 250000);
	slow_end_watchers();
	slow_close();
}

/*
 * A write that blocks ends when its front-end disconnects. A write for the next front-end is not
 * interrupted.
 */
static void the_next_front_end_is_called_after_one_that_blocked(void **state)
{
	int full = full_eventfd(), fd = eventfd(0, EFD_CLOEXEC);
	unsigned index;

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(vhost_call(&dev, 0, VHOST_CALL_USED, full), 0);
		usleep(i % 2 * 2000);
		vhost_calls_forget(&dev);
		assert_int_equal(vhost_call(&dev, 1, VHOST_CALL_USED, fd), 0);
		assert_false(vhost_calls_hang(&dev, 0, &index) && index == 0);
		for (unsigned ms = 0; ms < SOON_MS && vhost_calls_pending(); ms++) {
			vhost_calls_service();
			usleep(1000);
		}
		expect_call(fd);
		vhost_calls_forget(&dev);
	}
	wait_for_the_end();
	close(full);
	close(fd);
}

static bool trusted(unsigned index)
{
	return *vhost_call_trust(&dev, index) & 1;
}

static void an_eventfd_is_trusted_when_a_write_was_quick(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	(void)state;
	assert_false(trusted(3));
	assert_int_equal(vhost_call(&dev, 3, VHOST_CALL_ERR, fd), 0);
	wait_for_the_end();
	assert_false(trusted(3));
	for (unsigned i = 0; i < 3; i++) {
		/* A write may be slow for want of a CPU. */
		for (unsigned try = 0; !trusted(3) && try < 20; try++) {
			assert_int_equal(vhost_call(&dev, 3, VHOST_CALL_USED, fd), 0);
			wait_for_the_end();
		}
		assert_true(trusted(3));
		assert_false(trusted(2));
		/* As if the ring had got another eventfd. */
		vhost_call_doubt(&dev, 3);
		assert_false(trusted(3));
	}
	vhost_calls_forget(&dev);
	wait_for_the_end();
	close(fd);
}

static void block_the_errand(int full)
{
	unsigned index;

	assert_int_equal(vhost_call(&dev, 0, VHOST_CALL_USED, full), 0);
	for (unsigned i = 0; i < SOON_MS && !vhost_calls_hang(&dev, 1000000, &index); i++)
		usleep(1000);
	assert_true(vhost_calls_hang(&dev, 1000000, &index));
}

/*
 * The errand of the last front-end still uses the table. The next front-end uses the same table, so
 * workers can read its words.
 */
static void a_table_in_use_outlives_the_errand_of_the_last_front_end(void **state)
{
	int full = full_eventfd();
	const atomic_uint *trust;
	struct vhost_caller *table;

	(void)state;
	block_the_errand(full);
	table = dev.caller;
	vhost_calls_forget(&dev);
	trust = vhost_call_trust(&dev, 3);
	wait_for_the_end();
	assert_ptr_equal(dev.caller, table);
	assert_ptr_equal(vhost_call_trust(&dev, 3), trust);
	vhost_calls_forget(&dev);
	assert_null(dev.caller);
	close(full);
}

static void the_last_front_end_s_eventfd_is_not_trusted_for_the_next(void **state)
{
	int full = full_eventfd(), fd = eventfd(0, EFD_CLOEXEC);

	(void)state;
	for (unsigned try = 0; !trusted(3) && try < 20; try++) {
		assert_int_equal(vhost_call(&dev, 3, VHOST_CALL_USED, fd), 0);
		wait_for_the_end();
	}
	assert_true(trusted(3));
	block_the_errand(full);
	vhost_calls_forget(&dev);
	assert_non_null(dev.caller);
	assert_false(trusted(3));
	vhost_calls_forget(&dev);
	wait_for_the_end();
	close(full);
	close(fd);
}

/*
 * A device ends before its errand. A new device at the same address gets a table of its own. The
 * end of the errand does not free this table.
 */
static void a_device_may_end_while_its_errand_is_on_its_way(void **state)
{
	int full = full_eventfd(), fd = eventfd(0, EFD_CLOEXEC);
	struct vhost_caller *next;

	(void)state;
	block_the_errand(full);
	vhost_calls_end(&dev);
	assert_null(dev.caller);
	vhost_call_trust(&dev, 1);
	next = dev.caller;
	assert_non_null(next);
	wait_for_the_end();
	assert_ptr_equal(dev.caller, next);
	assert_int_equal(vhost_call(&dev, 1, VHOST_CALL_USED, fd), 0);
	expect_call(fd);
	wait_for_the_end();
	vhost_calls_end(&dev);
	assert_null(dev.caller);
	close(full);
	close(fd);
}

static int allow_files(void **state)
{
	struct rlimit limit;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	return nudge_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_driver_is_called),
	    cmocka_unit_test(full_eventfds_that_block_hold_up_nobody),
	    cmocka_unit_test(what_is_full_but_does_not_block_is_no_fault),
	    cmocka_unit_test(an_eventfd_is_trusted_when_a_write_was_quick),
	    cmocka_unit_test(slow_writes_are_told_from_quick_ones),
	    cmocka_unit_test(front_ends_that_come_and_go_share_one_errand),
	    cmocka_unit_test(the_next_front_end_is_called_after_one_that_blocked),
	    cmocka_unit_test(a_table_in_use_outlives_the_errand_of_the_last_front_end),
	    cmocka_unit_test(the_last_front_end_s_eventfd_is_not_trusted_for_the_next),
	    cmocka_unit_test(a_device_may_end_while_its_errand_is_on_its_way),
	};

	return cmocka_run_group_tests(tests, allow_files, NULL);
}
