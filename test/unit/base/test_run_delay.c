/* SPDX-License-Identifier: BSD-3-Clause */
/* The clock moves on by the CPU time, the time asleep, and the time without a CPU. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/run_delay.h"

#define MS INT64_C(1000000)

static _Atomic(bool) end;

static void *spin(void *arg)
{
	(void)arg;
	while (!atomic_load(&end))
		;
	return NULL;
}

/* All threads of this process get one CPU. */
static void share_a_cpu(void)
{
	cpu_set_t all, one;
	int cpu = 0;

	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	while (!CPU_ISSET(cpu, &all))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
}

static void only_time_without_a_cpu_counts(void **state)
{
	int64_t begin, used, all;
	uint64_t before, delay;
	pthread_t thread;

	(void)state;
	share_a_cpu();
	run_delay_open();
	if (run_delay_ns() == 0) {
		puts("not tested: schedstat: the kernel does not count how long threads wait for a "
		     "CPU");
		skip();
	}
	assert_int_equal(pthread_create(&thread, NULL, spin, NULL), 0);
	begin = clock_ns();
	used = clock_read(CLOCK_THREAD_CPUTIME_ID);
	before = run_delay_ns();
	while (clock_ns() < begin + 200 * MS)
		sched_yield(); /* the other thread gets the CPU */
	delay = run_delay_ns() - before;
	used = clock_read(CLOCK_THREAD_CPUTIME_ID) - used;
	all = clock_ns() - begin;
	atomic_store(&end, true);
	pthread_join(thread, NULL);
	assert_true((int64_t)delay > 20 * MS);
	assert_true((int64_t)delay <= all);
	/* The kernel may not count what a hypervisor takes. */
	assert_true(used + (int64_t)delay <= all + 5 * MS);

	begin = clock_ns();
	before = run_delay_ns();
	usleep(100000);
	delay = run_delay_ns() - before;
	assert_true((int64_t)delay <= clock_ns() - begin - 90 * MS);
	run_delay_close();
}

static void what_is_not_open_is_zero(void **state)
{
	(void)state;
	assert_int_equal(run_delay_ns(), 0);
	run_delay_open();
	run_delay_open();
	run_delay_close();
	run_delay_ns();
	run_delay_close();
	assert_int_equal(run_delay_ns(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_time_without_a_cpu_counts),
	    cmocka_unit_test(what_is_not_open_is_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
