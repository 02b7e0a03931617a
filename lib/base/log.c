/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * Lines wait in a ring buffer of bytes. The log thread takes whole lines from it under the lock and
 * writes them to stderr without the lock, so only this thread waits for the reader of stderr. If a
 * line does not fit, it is left out and counted, and so are all lines after it until half of the
 * buffer is free. Then the thread puts a line with their number into the buffer, and new lines are
 * accepted again. The thread is never joined, because it may hang in write(). At its end the
 * process calls log_flush() instead, which has a time limit.
 */
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"

#define LINE_MAX_LEN 1024
#define ROOM         (256ul << 10)
/* One write has whole lines and at most this many bytes, which a pipe takes in one piece. */
#define PIECE 4096

static int max_level = LOG_INFO; /* of enum log_level; -1: no line is written */

static const char *const level_names[] = {
#define X(id, name) [LOG_##id] = (name),
    LOG_LEVELS(X)
#undef X
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t news = PTHREAD_COND_INITIALIZER;  /* the log thread waits for this */
static pthread_cond_t quiet = PTHREAD_COND_INITIALIZER; /* log_start and log_flush wait for this */
/* The lock protects all of these. */
static char waiting[ROOM];
static uint64_t n_put, n_taken; /* bytes, since the start */
static uint64_t left_out;       /* lines */
static bool running;            /* the log thread takes lines */
static bool writing;            /* the log thread is writing lines that it took */
static int entered;             /* what enter() returned; 1: it has not returned yet */

void log_set_level(enum log_level level)
{
	max_level = level;
}

void log_silence(void)
{
	max_level = -1;
}

bool log_level_shown(enum log_level level)
{
	return (int)level <= max_level;
}

bool log_level_parse(const char *name, enum log_level *ret_level)
{
	for (unsigned i = 0; i < ARRAY_SIZE(level_names); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*ret_level = i;
			return true;
		}
	}
	return false;
}

static void put(const char *line, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		waiting[n_put++ % ROOM] = line[i];
	pthread_cond_signal(&news);
}

/*
 * Put the line into the buffer, or count it as left out. False: there is no log thread. After a
 * line was left out, all others are, until the line with their number is in its place.
 */
static bool hand_over(const char *line, unsigned n)
{
	bool taken;

	pthread_mutex_lock(&lock);
	taken = running;
	if (taken && (left_out || n_put - n_taken + n > ROOM))
		left_out++;
	else if (taken)
		put(line, n);
	pthread_mutex_unlock(&lock);
	return taken;
}

/* If half of the buffer is free again, put a line that says how many lines were left out. */
static void tell_left_out(void)
{
	char line[128];

	if (!left_out || n_put - n_taken > ROOM / 2)
		return;
	put(line,
	    snprintf(line, sizeof(line),
		"vswitchd: warning: %llu lines were left out here, because nobody read the log\n",
		(unsigned long long)left_out));
	left_out = 0;
}

/* Take whole lines, at most PIECE bytes. Returns the number of bytes. */
static unsigned take(char *piece)
{
	unsigned n = MIN(n_put - n_taken, PIECE);

	for (unsigned i = 0; i < n; i++)
		piece[i] = waiting[(n_taken + i) % ROOM];
	while (n > 0 && piece[n - 1] != '\n')
		n--;
	n_taken += n;
	return n;
}

/* Wait for the reader of stderr for any time. */
static void write_all(const char *bytes, size_t n)
{
	struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};

	/* syscalls(log): write poll futex clock_gettime restart_syscall */
	while (n > 0) {
		ssize_t written = write(STDERR_FILENO, bytes, n);

		if (written > 0) {
			bytes += written;
			n -= written;
		} else if (written < 0 && errno == EAGAIN) {
			poll(&room, 1, -1); /* another process made stderr non-blocking */
		} else if (written == 0 || errno != EINTR) {
			return; /* stderr cannot be written: drop the lines */
		}
	}
}

static void write_for_ever(void)
{
	char piece[PIECE];

	for (;;) {
		unsigned n = take(piece);

		tell_left_out();
		writing = n > 0;
		if (n == 0) {
			pthread_cond_broadcast(&quiet);
			pthread_cond_wait(&news, &lock);
			continue; /* look for new lines */
		}
		pthread_mutex_unlock(&lock);
		write_all(piece, n);
		pthread_mutex_lock(&lock);
	}
}

static void *log_thread(void *arg)
{
	int (*const *enter)(void) = arg;
	int error = *enter ? (*enter)() : 0;

	pthread_mutex_lock(&lock);
	entered = error;
	running = error == 0;
	pthread_cond_broadcast(&quiet);
	if (running)
		write_for_ever();
	pthread_mutex_unlock(&lock);
	return NULL;
}

/* Block all signals except those that report a fault of the thread itself. */
static void block_signals(sigset_t *ret_before)
{
	static const int faults[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};
	sigset_t blocked;

	sigfillset(&blocked);
	for (unsigned i = 0; i < ARRAY_SIZE(faults); i++)
		sigdelset(&blocked, faults[i]);
	pthread_sigmask(SIG_BLOCK, &blocked, ret_before);
}

int log_start(int (*enter)(void))
{
	pthread_t thread;
	sigset_t before;
	int error;

	entered = 1;
	block_signals(&before);
	error = -pthread_create(&thread, NULL, log_thread, &enter);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error) {
		log_error("cannot make a thread for the log: %s", error_text(-error));
		return error;
	}
	/* It is not joined, because it may hang in write(). */
	pthread_setname_np(thread, "log");
	pthread_detach(thread);
	pthread_mutex_lock(&lock);
	while (entered > 0)
		pthread_cond_wait(&quiet, &lock);
	error = entered;
	pthread_mutex_unlock(&lock);
	return error;
}

bool log_flush(unsigned timeout_ms)
{
	struct timespec until;
	int error = 0;
	bool done;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += timeout_ms % 1000 * 1000000L;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&lock);
	while (!(done = !running || (n_put == n_taken && !writing)) && !error)
		error = pthread_cond_clockwait(&quiet, &lock, CLOCK_MONOTONIC, &until);
	pthread_mutex_unlock(&lock);
	return done;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char line[LINE_MAX_LEN];
	va_list ap;
	int n, body;

	if (!log_level_shown(level))
		return;
	n = snprintf(line, sizeof(line), "vswitchd: %s: ", level_names[level]);
	va_start(ap, fmt);
	body = vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	va_end(ap);
	if (body > 0)
		n += MIN(body, (int)sizeof(line) - n - 2);
	line[n++] = '\n';
	/* One write per line, so that lines of several threads do not mix. */
	if (!hand_over(line, n) && write(STDERR_FILENO, line, n) < 0)
		return;
}
