/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * There is one queue. While errands are quick, one thread runs them one after the other. Another
 * thread stands by. If the errand that began last has not ended after ERRAND_TIMEOUT_NS, the
 * standby thread creates a new standby thread and runs the next errand itself. So errand_run()
 * creates a thread only if none stands by.
 */
#include "base/errand.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/closer.h"
#include "base/log.h"

#define IDLE_NS    INT64_C(1000000000)
#define STACK_SIZE (128 << 10)

struct errand {
	struct errand *next;
	void (*fn)(void *);
	void *arg;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t news = PTHREAD_COND_INITIALIZER;
/* The lock protects all of these. */
static struct errand *first, **last = &first;
static unsigned n_pending, n_threads;
static unsigned n_running;  /* threads that run an errand; the others stand by or are starting */
static int64_t quick_until; /* the errand begun last counts as quick until then; 0: it has ended */
static uint64_t n_begun;

static void wait_until(int64_t ns)
{
	const struct timespec when = {ns / 1000000000, ns % 1000000000};

	pthread_cond_clockwait(&news, &lock, CLOCK_MONOTONIC, &when);
}

static void *errand_thread(void *arg);

/* Block all signals except those that report a fault of the thread itself. */
static void block_signals(sigset_t *ret_before)
{
	static const int faults[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};
	sigset_t blocked;

	sigfillset(&blocked);
	for (unsigned i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&blocked, faults[i]);
	pthread_sigmask(SIG_BLOCK, &blocked, ret_before);
}

/* Create a standby thread if there is none and the limit allows it. */
static void keep_standby(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t before;

	if (n_threads > n_running || n_threads >= ERRAND_THREADS_MAX)
		return;
	/* syscalls: clone clone3 mmap mprotect munmap madvise futex rt_sigprocmask exit */
	/* syscalls: set_robust_list rseq gettid sched_yield clock_gettime prctl close */
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	block_signals(&before);
	if (pthread_create(&thread, &attr, errand_thread, NULL) == 0)
		n_threads++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
}

static void run_first(void)
{
	struct errand *errand = first;
	uint64_t number = ++n_begun;

	first = errand->next;
	if (!first)
		last = &first;
	quick_until = clock_ns() + ERRAND_TIMEOUT_NS;
	n_running++;
	keep_standby();
	pthread_mutex_unlock(&lock);
	errand->fn(errand->arg);
	free(errand);
	pthread_mutex_lock(&lock);
	n_running--;
	n_pending--;
	if (n_begun == number)
		quick_until = 0;
}

static void *errand_thread(void *arg)
{
	bool idle = false;

	(void)arg;
	pthread_setname_np(pthread_self(), "errand");
	pthread_mutex_lock(&lock);
	/* The last thread stays: it may be impossible to create another one later. */
	while (first || !idle || n_threads == 1) {
		int64_t now = clock_ns();

		if (first && now >= quick_until) {
			run_first();
			idle = false;
		} else if (first) {
			wait_until(quick_until);
		} else {
			wait_until(now + IDLE_NS);
			idle = clock_ns() >= now + IDLE_NS;
		}
	}
	n_threads--;
	pthread_mutex_unlock(&lock);
	return NULL;
}

int errand_run(void (*fn)(void *), void *arg)
{
	struct errand *errand = malloc(sizeof(*errand));

	if (!errand)
		return -ENOMEM;
	*errand = (struct errand){.fn = fn, .arg = arg};
	pthread_mutex_lock(&lock);
	*last = errand;
	last = &errand->next;
	n_pending++;
	keep_standby();
	pthread_cond_signal(&news);
	pthread_mutex_unlock(&lock);
	return 0;
}

static void close_it(void *arg)
{
	close((int)(intptr_t)arg);
}

void errand_close_for(unsigned owner, int fd)
{
	/* Without memory fd stays open: to close it here could block this thread. */
	if (!closer_take(owner, fd) && errand_run(close_it, (void *)(intptr_t)fd) < 0)
		log_error("no memory to close descriptor %d, which stays open", fd);
}

void errand_close(int fd)
{
	errand_close_for(0, fd);
}

unsigned errand_pending(void)
{
	unsigned n;

	pthread_mutex_lock(&lock);
	n = n_pending;
	pthread_mutex_unlock(&lock);
	return n;
}
