/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cost of a wake-up without a switch. On one CPU a thread waits for an eventfd as a worker
 * does. On another CPU a thread that never sleeps writes the eventfd now and then, and notes when
 * the first thread has run. Prints latencies in the format of vswitch-pktgen.
 *
 * usage: vswitch-wake SLEEPER-CPU WAKER-CPU WAKES-PER-SECOND WAKES
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/cpu.h"
#include "traffic/histogram.h"

#define SLEEP_MS 1000 /* as in a worker */

static int event_fd, epoll_fd;
static atomic_ulong woken;
static atomic_bool stop;

static void run_on(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0) {
		perror("vswitch-wake: sched_setaffinity");
		exit(1);
	}
}

static void *sleeper(void *arg)
{
	struct epoll_event event;

	run_on(*(const unsigned *)arg);
	while (!atomic_load(&stop)) {
		if (epoll_wait(epoll_fd, &event, 1, SLEEP_MS) == 1)
			atomic_fetch_add(&woken, 1);
	}
	return NULL;
}

static double cycles_per_ns(void)
{
	const struct timespec pause = {.tv_nsec = 50000000};
	struct timespec begin, end;
	uint64_t tsc;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	tsc = cpu_clock();
	nanosleep(&pause, NULL);
	clock_gettime(CLOCK_MONOTONIC, &end);
	return (cpu_clock() - tsc) /
	    ((end.tv_sec - begin.tv_sec) * 1e9 + (end.tv_nsec - begin.tv_nsec));
}

static void measure(struct histogram *h, double rate, unsigned wakes)
{
	double per_ns = cycles_per_ns();
	uint64_t interval = 1e9 / rate * per_ns, next = cpu_clock();

	for (unsigned i = 0; i < wakes; i++) {
		unsigned long before = atomic_load(&woken);

		next += interval;
		while (cpu_clock() < next)
			;
		eventfd_write(event_fd, 1);
		while (atomic_load(&woken) == before)
			;
		histogram_add(h, (cpu_clock() - next) / per_ns);
	}
}

int main(int argc, char *argv[])
{
	static struct histogram h;
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	unsigned cpu;
	pthread_t thread;

	if (argc != 5) {
		fprintf(
		    stderr, "usage: vswitch-wake SLEEPER-CPU WAKER-CPU WAKES-PER-SECOND WAKES\n");
		return 2;
	}
	cpu = strtoul(argv[1], NULL, 10);
	event_fd = eventfd(0, EFD_NONBLOCK);
	epoll_fd = epoll_create1(0);
	if (event_fd < 0 || epoll_fd < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event_fd, &event) < 0 ||
	    pthread_create(&thread, NULL, sleeper, &cpu) != 0) {
		perror("vswitch-wake");
		return 1;
	}
	run_on(strtoul(argv[2], NULL, 10));
	measure(&h, strtod(argv[3], NULL), strtoul(argv[4], NULL, 10));
	atomic_store(&stop, true);
	eventfd_write(event_fd, 1);
	pthread_join(thread, NULL);
	printf("{\"samples\": %lu, \"p50\": %lu, \"p90\": %lu, \"p99\": %lu, \"max\": %lu}\n", h.n,
	    histogram_quantile(&h, 0.5), histogram_quantile(&h, 0.9), histogram_quantile(&h, 0.99),
	    h.max);
	return 0;
}
