/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * A thread of its own waits for signals, because the control thread may hang in a system call. It
 * tells the event loop by an eventfd, and rests for the longest time that an orderly end may take.
 * If the process still exists then, the thread removes the sockets and ends the process. So it
 * keeps a list of sockets, which the control thread fills. A client of the control socket can ask
 * for the end, too: the thread gets a signal.
 */
#include "ending.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "control/switch_port.h"
#include "sandbox.h"

/* The longest time for an orderly end, plus a time for each port. */
#define TIMEOUT_MS      800
#define PORT_MS         3
#define SOCKET_PATH_MAX 108

static struct {
	pthread_t thread; /* waits for signals; it does not end before the process */
	int fd;
	sem_t ready; /* the thread has entered the sandbox */
	int error;
	atomic_int signum;
	atomic_bool done;
	atomic_uint n_ports;
	/*
	 * By port. The control thread fills in a place before it says that it is taken. If it does
	 * so just while the signal thread reads it, which happens once, at the end, the file is not
	 * found to be ours.
	 */
	struct socket {
		atomic_bool taken;
		char path[SOCKET_PATH_MAX];
		dev_t dev;
		ino_t ino;
	} socket[PORTS_MAX + 1]; /* the last one is the control socket */
} ending;

static void signals(sigset_t *ret)
{
	sigemptyset(ret);
	sigaddset(ret, SIGTERM);
	sigaddset(ret, SIGINT);
}

void ending_hold_signals(void)
{
	sigset_t set;

	signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void rest(unsigned ms)
{
	struct timespec end;

	/* syscalls: clock_gettime clock_nanosleep */
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += ms / 1000;
	end.tv_nsec += ms % 1000 * 1000000L;
	end.tv_sec += end.tv_nsec / 1000000000;
	end.tv_nsec %= 1000000000;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR)
		; /* interrupted by another signal */
}

/* Does not use log_error(): this thread must not wait for what the control thread waits for. */
static void say(unsigned timeout_ms)
{
	struct pollfd writable = {.fd = STDERR_FILENO, .events = POLLOUT};
	char line[160];
	int n = snprintf(line, sizeof(line),
	    "vswitchd: error: the orderly end takes longer than %u ms: a thread hangs; "
	    "ending without it\n",
	    timeout_ms);

	/* syscalls: poll write */
	if (poll(&writable, 1, 0) == 1 && write(STDERR_FILENO, line, n) < 0)
		return; /* nobody reads stderr */
}

/* Remove only sockets that are still ours: another switch may have taken a path. */
static void remove_sockets(void)
{
	struct stat st;

	/* syscalls: lstat newfstatat unlink */
	for (unsigned i = 0; i < ARRAY_SIZE(ending.socket); i++) {
		const struct socket *s = &ending.socket[i];

		if (atomic_load(&s->taken) && lstat(s->path, &st) == 0 && st.st_dev == s->dev &&
		    st.st_ino == s->ino)
			unlink(s->path);
	}
}

static void *wait_for_signal(void *arg)
{
	unsigned timeout_ms;
	sigset_t set;
	int signum;

	(void)arg;
	prctl(PR_SET_NAME, "signals"); /* syscalls: prctl */
	/* This thread does not need the capability that a client keeps. */
	ending.error = sandbox_enter_control(false);
	sem_post(&ending.ready);
	signals(&set);
	/* syscalls: rt_sigtimedwait write exit_group */
	if (sigwait(&set, &signum))
		return NULL;
	atomic_store(&ending.signum, signum);
	eventfd_write(ending.fd, 1);
	timeout_ms = TIMEOUT_MS + PORT_MS * atomic_load(&ending.n_ports);
	rest(timeout_ms);
	if (atomic_load(&ending.done))
		return NULL;
	say(timeout_ms);
	remove_sockets();
	_exit(1);
}

static void note_socket(struct socket *s, const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return;
	snprintf(s->path, sizeof(s->path), "%s", path);
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	atomic_store(&s->taken, true);
}

void ending_note_port(struct switch_port *sp, enum port_event event, void *arg)
{
	const struct port_config *config = vswitch_port_config(sp);
	struct socket *s = &ending.socket[sp->index];

	(void)arg;
	if (event == PORT_REMOVED) {
		atomic_store(&s->taken, false);
		atomic_fetch_sub(&ending.n_ports, 1);
	}
	if (event != PORT_ADDED)
		return;
	atomic_fetch_add(&ending.n_ports, 1);
	if (config->mode == VHOST_ENDPOINT_SERVER)
		note_socket(s, config->path);
}

int ending_watch(void)
{
	int error;

	sem_init(&ending.ready, 0, 0);
	ending.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	error = ending.fd < 0 ? errno : pthread_create(&ending.thread, NULL, wait_for_signal, NULL);
	if (error) {
		log_error("cannot wait for signals: %s", error_text(error));
		return -error;
	}
	/* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): no call fails with errno 0 */
	pthread_detach(ending.thread);
	sem_wait(&ending.ready);
	return ending.error ? ending.error : ending.fd;
}

void ending_note_control(const char *path)
{
	note_socket(&ending.socket[PORTS_MAX], path);
}

void ending_ask(void)
{
	/*
	 * The thread waits for it. A second request comes when it does not wait any more: nothing
	 * happens.
	 */
	/* NOLINTNEXTLINE(bugprone-bad-signal-to-kill-thread) */
	pthread_kill(ending.thread, SIGTERM);
}

int ending_signal(void)
{
	return atomic_load(&ending.signum);
}

void ending_done(void)
{
	atomic_store(&ending.done, true);
}
