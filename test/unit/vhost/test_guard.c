/* SPDX-License-Identifier: BSD-3-Clause */
/* What a front-end can do to descriptors and memory after it has shared them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../emulated.h"
#include "base/closer.h"
#include "vhost/descriptor.h"
#include "vhost/device.h"
#include "vhost/guard.h"
#include "vhost/limits.h"

#define PAGE  4096
#define PAGES 8

static uint8_t *map_file(int *ret_fd)
{
	uint8_t *at;

	*ret_fd = memfd_create("guard", MFD_CLOEXEC);
	assert_true(*ret_fd >= 0);
	assert_int_equal(ftruncate(*ret_fd, PAGES * PAGE), 0);
	at = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, *ret_fd, 0);
	assert_ptr_not_equal(at, MAP_FAILED);
	memset(at, 1, PAGES * PAGE);
	return at;
}

static void test_a_file_cut_short_is_noticed_and_survived(void **state)
{
	int notify = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), fd;
	volatile uint8_t *at = map_file(&fd);
	uint32_t guard;
	eventfd_t told;
	size_t offset;

	(void)state;
	assert_int_equal(guard_install(notify), 0);
	assert_int_equal(guard_add((void *)(uintptr_t)at, PAGES * PAGE, &guard), 0);
	assert_false(guard_lost(guard, &offset));
	assert_int_equal(ftruncate(fd, 2 * PAGE), 0);
	assert_int_equal(at[PAGE], 1);
	assert_int_equal(eventfd_read(notify, &told), -1);
	assert_int_equal(at[5 * PAGE + 7], 0);
	at[6 * PAGE] = 3;
	assert_int_equal(at[6 * PAGE], 3);
	assert_true(guard_lost(guard, &offset));
	assert_int_equal(offset / PAGE, 5);
	assert_int_equal(eventfd_read(notify, &told), 0);
	assert_int_equal(told, 1); /* the whole mapping at once */
	guard_remove(guard);
	munmap((void *)(uintptr_t)at, PAGES * PAGE);
	close(fd);
	close(notify);
}

/* Two mappings are adjacent: a fault in one of them is not taken for a fault in the other. */
static void test_neighbours_are_told_apart(void **state)
{
	volatile uint8_t *at;
	uint32_t guard[2];
	size_t offset;
	int fd[2];

	(void)state;
	assert_int_equal(guard_install(-1), 0);
	at = mmap(NULL, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (unsigned i = 0; i < 2; i++) {
		void *page = (void *)(uintptr_t)(at + i * PAGE);

		fd[i] = memfd_create("guard", MFD_CLOEXEC);
		assert_int_equal(ftruncate(fd[i], i ? 0 : PAGE), 0);
		assert_ptr_equal(
		    mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd[i], 0),
		    page);
		assert_int_equal(guard_add(page, PAGE, &guard[i]), 0);
	}
	at[PAGE - 1] = 1;
	assert_int_equal(at[PAGE], 0);
	assert_false(guard_lost(guard[0], &offset));
	assert_true(guard_lost(guard[1], &offset));
	assert_int_equal(at[PAGE - 1], 1);
	for (unsigned i = 0; i < 2; i++) {
		guard_remove(guard[i]);
		close(fd[i]);
	}
	munmap((void *)(uintptr_t)at, 2 * PAGE);
}

static void test_slots_are_used_again(void **state)
{
	static uint8_t page[PAGE];
	uint32_t first, guard;
	size_t offset;

	(void)state;
	assert_int_equal(guard_add(page, PAGE, &first), 0);
	guard_remove(first);
	for (unsigned i = 0; i < 200000; i++) {
		assert_int_equal(guard_add(page, PAGE, &guard), 0);
		assert_int_equal(guard, first);
		assert_false(guard_lost(guard, &offset));
		guard_remove(guard);
	}
	guard_remove(GUARD_NONE);
	assert_false(guard_lost(GUARD_NONE, &offset));
}

#ifndef __SANITIZE_ADDRESS__ /* its own handler would report the fault and exit */
static void test_other_faults_still_end_the_process(void **state)
{
	const struct rlimit no_core = {0, 0};
	int fd, status;
	volatile uint8_t *at = map_file(&fd);
	pid_t child;

	(void)state;
	child = fork();
	if (child == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		guard_install(-1);
		if (ftruncate(fd, 0) == 0)
			at[PAGE] = 1; /* this mapping is not guarded */
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
	munmap((void *)(uintptr_t)at, PAGES * PAGE);
	close(fd);
}
#endif

static _Atomic(bool) *closing_may_go_on;

static void take_long(int fd, void *arg)
{
	(void)fd;
	(void)arg;
	while (!*closing_may_go_on)
		usleep(1000);
}

/* Close descriptors of two ports, of which one port's take long. 0: all is right. */
static int close_many(void)
{
	static struct vhost_device dev = {.owner = 5}, neighbour = {.owner = 6};

	if (closer_start(NULL, NULL) < 0)
		return 1;
	for (unsigned i = 0; i < VHOST_CLOSING_MAX; i++) {
		if (vhost_fd_flooded(&dev))
			return 2;
		if (!closer_run(5, dup(STDERR_FILENO), take_long, NULL))
			return 3;
	}
	if (!vhost_fd_flooded(&dev) || vhost_fd_flooded(&neighbour))
		return 4;
	*closing_may_go_on = true;
	for (unsigned i = 0; i < 5000 && vhost_fd_flooded(&dev); i++)
		usleep(1000);
	return vhost_fd_flooded(&dev) ? 5 : 0;
}

static void test_a_port_has_16_descriptors_being_closed_at_most(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	skip_if_emulated();
	closing_may_go_on =
	    mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(closing_may_go_on, MAP_FAILED);
	pid = fork();
	if (pid == 0)
		_exit(close_many());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	munmap(closing_may_go_on, PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_file_cut_short_is_noticed_and_survived),
	    cmocka_unit_test(test_neighbours_are_told_apart),
	    cmocka_unit_test(test_a_port_has_16_descriptors_being_closed_at_most),
	    cmocka_unit_test(test_slots_are_used_again),
#ifndef __SANITIZE_ADDRESS__
	    cmocka_unit_test(test_other_faults_still_end_the_process),
#endif
	};

	return emulated_result(cmocka_run_group_tests(tests, NULL, NULL));
}
