/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Errands run in order. An errand that hangs delays no other. The number of their threads is
 * bounded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/errand.h"
#include "base/util.h"

static void rest(unsigned ms)
{
	const struct timespec time = {ms / 1000, ms % 1000 * 1000000L};

	nanosleep(&time, NULL);
}

static void wait_for(unsigned pending)
{
	for (unsigned i = 0; i < 5000 && errand_pending() != pending; i++)
		rest(1);
	assert_int_equal(errand_pending(), pending);
}

/* Threads before any test, except the main thread. An emulator of another CPU has some. */
static unsigned other_threads;

static unsigned count_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned n = 0;

	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));)
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n - other_threads;
}

static atomic_uint n_noted;
static unsigned noted[1000];
static pthread_t by[1000];

static void note(void *arg)
{
	unsigned i = atomic_fetch_add(&n_noted, 1);

	noted[i] = (uintptr_t)arg;
	by[i] = pthread_self();
}

/*
 * Each thread must run its errands in order. Between two threads the order may differ, because a
 * thread can lose its CPU after it has taken an errand.
 */
static void quick_errands_run_once_in_order_of_each_thread(void **state)
{
	unsigned last[ARRAY_SIZE(noted)] = {0};
	bool seen[ARRAY_SIZE(noted)] = {false};
	int64_t begin = clock_ns();
	unsigned n_threads;

	(void)state;
	n_noted = 0;
	for (uintptr_t i = 0; i < ARRAY_SIZE(noted); i++)
		assert_int_equal(errand_run(note, (void *)i), 0);
	wait_for(0);
	n_threads = count_threads();
	/*
	 * This thread, a running thread, a standby thread, and one more for each errand that took
	 * long.
	 */
	assert_in_range(n_threads, 2, 3 + (clock_ns() - begin) / ERRAND_TIMEOUT_NS);
	assert_int_equal(n_noted, ARRAY_SIZE(noted));
	for (unsigned i = 0; i < ARRAY_SIZE(noted); i++) {
		assert_false(seen[noted[i]]);
		seen[noted[i]] = true;
		assert_false(pthread_equal(by[i], pthread_self()));
		for (unsigned k = i; k-- > 0 && !last[i];)
			last[i] = pthread_equal(by[k], by[i]) ? 1 + noted[k] : 0;
		assert_true(!last[i] || last[i] <= noted[i]);
	}
}

/* An errand that hangs until its pipe is closed. */
static void hang(void *arg)
{
	char byte;

	assert_int_equal(read(*(int *)arg, &byte, 1), 0);
}

static void one_that_hangs_holds_up_nobody(void **state)
{
	int end[2];

	(void)state;
	n_noted = 0;
	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(errand_run(hang, &end[0]), 0);
	assert_int_equal(errand_run(note, NULL), 0);
	wait_for(10);
	assert_int_equal(n_noted, 1);
	close(end[1]);
	wait_for(0);
	close(end[0]);
}

static void threads_are_bounded_and_end(void **state)
{
	const unsigned n = 2 * ERRAND_THREADS_MAX;
	unsigned before = count_threads();
	int end[2];

	(void)state;
	n_noted = 0;
	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(errand_run(hang, &end[0]), 0);
	assert_int_equal(errand_run(note, NULL), 0);
	for (unsigned i = 0; i < 5000 && count_threads() < 1 + ERRAND_THREADS_MAX; i++)
		rest(1);
	rest(50);
	assert_int_equal(count_threads(), 1 + ERRAND_THREADS_MAX);
	assert_int_equal(n_noted, 0);
	close(end[1]);
	wait_for(0);
	assert_int_equal(n_noted, 1);
	for (unsigned i = 0; i < 5000 && count_threads() > 2; i++)
		rest(1);
	assert_int_equal(count_threads(), 2);
	assert_true(before <= 1 + ERRAND_THREADS_MAX);
	close(end[0]);
}

static void note_signals(void *arg)
{
	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, arg), 0);
}

static void signals_go_to_other_threads(void **state)
{
	sigset_t theirs, ours;

	(void)state;
	assert_int_equal(errand_run(note_signals, &theirs), 0);
	wait_for(0);
	assert_true(sigismember(&theirs, SIGTERM));
	assert_true(sigismember(&theirs, SIGALRM));
	assert_false(sigismember(&theirs, SIGSYS));
	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &ours), 0);
	assert_false(sigismember(&ours, SIGTERM));
}

static void a_descriptor_is_closed(void **state)
{
	int end[2];
	char byte;

	(void)state;
	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	errand_close(end[1]);
	assert_int_equal(read(end[0], &byte, 1), 0);
	wait_for(0);
	assert_int_equal(fcntl(end[1], F_GETFD), -1);
	assert_int_equal(errno, EBADF);
	close(end[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(quick_errands_run_once_in_order_of_each_thread),
	    cmocka_unit_test(one_that_hangs_holds_up_nobody),
	    cmocka_unit_test(threads_are_bounded_and_end),
	    cmocka_unit_test(signals_go_to_other_threads),
	    cmocka_unit_test(a_descriptor_is_closed),
	};

	other_threads = count_threads() - 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
