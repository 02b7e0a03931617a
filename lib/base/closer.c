/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * closer_start() forks an overseer while the process is small. The overseer shares the table of
 * descriptors with the main process (CLONE_FILES), but no memory except what was shared before the
 * fork. The main process writes jobs into a pipe. A job is a descriptor and its owner. Closers are
 * children of the overseer; they read jobs and close the descriptors. A job may have a function,
 * which the closer calls first: the function and the shared memory have the same addresses in all
 * these processes. If jobs wait and no closer takes one for TIMEOUT_MS, all closers hang, and the
 * overseer forks another one. A closer without a job for IDLE_MS ends, unless it is the last one.
 *
 * The kernel closes the descriptors of a table when the last process that shares it ends. So a
 * closer that hangs would keep everything open after the main process has ended. The overseer waits
 * for this end and then gives all open descriptors to the closers. It closes none itself.
 */
#include "base/closer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"

#define TIMEOUT_MS    3      /* if no job is taken for this time, all closers hang */
#define IDLE_MS       2000   /* a closer that has no job for this time ends */
#define LAST_MS       3000   /* time limit for closing everything at the end */
#define AGAIN_US      100000 /* a timer interrupts a job's function this often */
#define NO_PROCESS_MS 100    /* pause after a failed fork */

struct job {
	int32_t fd;
	uint32_t owner;
	void (*fn)(int fd, void *arg); /* NULL: none */
	void *arg;
};

static struct counters {
	_Atomic(uint32_t) waiting[CLOSER_OWNERS];
	_Atomic(uint32_t) taken; /* jobs that closers have taken so far */
	_Atomic(uint32_t) n_closers;
} * counters;
static int job_in = -1, job_out = -1, main_end = -1;
/* Used in the main process only. */
static pid_t overseer;
static atomic_bool lost; /* the overseer has ended */

static void rest_ms(unsigned ms)
{
	const struct timespec time = {ms / 1000, ms % 1000 * 1000000L};

	nanosleep(&time, NULL);
}

/* No library notices this fork, so the child must not call functions that need to know of it. */
static pid_t fork_with_files(void)
{
	return (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
}

static void on_timer(int sig)
{
	(void)sig; /* it is enough that the call is interrupted */
}

/* A timer interrupts calls that wait, so that the job's function can check whether to go on. */
static void run(const struct job *job)
{
	const struct itimerval again = {{0, AGAIN_US}, {0, AGAIN_US}}, never = {0};
	const struct sigaction action = {.sa_handler = on_timer};

	/* syscalls(closer): setitimer rt_sigaction rt_sigreturn */
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &again, NULL);
	job->fn(job->fd, job->arg);
	setitimer(ITIMER_REAL, &never, NULL);
}

/* The main loop of a closer. It ends at the end of the pipe, or if the closer is not needed. */
static _Noreturn void close_jobs(void)
{
	struct pollfd wait = {.fd = job_out, .events = POLLIN};
	struct job job;

	for (;;) {
		int n = poll(&wait, 1, IDLE_MS);
		ssize_t got = read(job_out, &job, sizeof(job));

		if (got == sizeof(job)) {
			atomic_fetch_add(&counters->taken, 1);
			if (job.fn)
				run(&job);
			close(job.fd);
			atomic_fetch_sub(&counters->waiting[job.owner], 1);
		} else if (got == 0 || (n == 0 && atomic_load(&counters->n_closers) > 1)) {
			break;
		}
	}
	atomic_fetch_sub(&counters->n_closers, 1);
	_exit(0);
}

static void add_closer(void)
{
	pid_t pid, parent = getpid();

	if (atomic_load(&counters->n_closers) >= CLOSERS_MAX)
		return;
	atomic_fetch_add(&counters->n_closers, 1);
	pid = fork_with_files();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* syscalls(closer): prctl getppid */
		if (getppid() != parent)
			_exit(0); /* the parent ended before prctl() */
		close_jobs();
	}
	if (pid < 0) {
		atomic_fetch_sub(&counters->n_closers, 1);
		rest_ms(NO_PROCESS_MS);
	}
}

static bool jobs_wait(void)
{
	struct pollfd wait = {.fd = job_out, .events = POLLIN};

	return poll(&wait, 1, 0) == 1 && (wait.revents & POLLIN);
}

/* If jobs wait and no closer takes one within TIMEOUT_MS, all closers hang: add one. */
static void look_after(void)
{
	uint32_t taken = atomic_load(&counters->taken);

	if (atomic_load(&counters->n_closers) > 0)
		rest_ms(TIMEOUT_MS);
	if (jobs_wait() && atomic_load(&counters->taken) == taken)
		add_closer();
}

static void hand_over(int fd, int64_t until_ms)
{
	struct job job = {.fd = fd};

	if (fd == job_in || fd == job_out || fd == main_end)
		return;
	atomic_fetch_add(&counters->waiting[0], 1);
	while (write(job_in, &job, sizeof(job)) < 0 && clock_ms() < until_ms)
		look_after(); /* the pipe is full */
}

static bool all_is_closed(void)
{
	for (unsigned i = 0; i < CLOSER_OWNERS; i++) {
		if (atomic_load(&counters->waiting[i]) > 0)
			return false;
	}
	return true;
}

/* The main process has ended: close its descriptors. The closers are killed with this process. */
static _Noreturn void end(void)
{
	int64_t until_ms = clock_ms() + LAST_MS; /* syscalls(closer): clock_gettime */
	DIR *dir = opendir("/proc/self/fd");

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread has this directory open */
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(dir))
			hand_over(atoi(entry->d_name), until_ms);
	}
	while (!all_is_closed() && clock_ms() < until_ms) {
		look_after();
		rest_ms(1);
	}
	_exit(0);
}

static _Noreturn void oversee(int (*enter)(void *), void *arg)
{
	static const int ignored[] = {
	    SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE, SIGTSTP, SIGCHLD};
	struct pollfd wait[] = {{.fd = main_end, .events = POLLIN}, {.events = POLLIN}};

	/* syscalls(closer): clone poll read write close nanosleep clock_nanosleep exit_group */
	/* syscalls(closer): openat fstat newfstatat getdents64 brk mmap munmap futex rt_sigreturn
	 */
	/* syscalls(closer): rt_sigaction gettid getpid tgkill restart_syscall */
	/* A terminal sends signals to this process, too, but it must outlive the main process. */
	for (unsigned i = 0; i < ARRAY_SIZE(ignored); i++)
		signal(ignored[i], SIG_IGN);
	prctl(PR_SET_NAME, "vswitchd-close");
	if (enter && enter(arg) < 0)
		_exit(1);
	wait[1].fd = job_out;
	for (;;) {
		if (poll(wait, ARRAY_SIZE(wait), -1) < 0)
			continue; /* a signal */
		if (wait[0].revents)
			end();
		look_after();
	}
}

int closer_start(int (*enter)(void *), void *arg)
{
	int pipe_end[2] = {-1, -1};
	void *shared = mmap(
	    NULL, sizeof(*counters), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (shared == MAP_FAILED)
		return -errno;
	counters = shared;
	main_end = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (main_end < 0 || fcntl(main_end, F_SETFD, FD_CLOEXEC) < 0 ||
	    pipe2(pipe_end, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	job_out = pipe_end[0];
	job_in = pipe_end[1];
	overseer = fork_with_files();
	if (overseer == 0)
		oversee(enter, arg);
	return overseer < 0 ? -errno : 0;
}

void closer_stop(void)
{
	if (overseer <= 0)
		return;
	kill(overseer, SIGKILL);
	waitpid(overseer, NULL, 0);
	overseer = 0;
	atomic_store(&lost, true);
}

void closer_check(void (*take)(int fd))
{
	struct job job;

	/* syscalls: wait4 read */
	if (overseer <= 0 || waitpid(overseer, NULL, WNOHANG) != overseer)
		return;
	overseer = 0;
	atomic_store(&lost, true);
	log_error("the process that closes descriptors, vswitchd-close, has ended; now threads "
		  "close them, and a file that hangs can keep vswitchd from ending: restart "
		  "vswitchd at a convenient time");
	while (read(job_out, &job, sizeof(job)) == sizeof(job))
		take(job.fd);
}

bool closer_lost(void)
{
	return atomic_load(&lost);
}

bool closer_running(void)
{
	return job_in >= 0;
}

bool closer_run(unsigned owner, int fd, void (*fn)(int fd, void *arg), void *arg)
{
	struct job job = {
	    .fd = fd, .owner = owner < CLOSER_OWNERS ? owner : 0, .fn = fn, .arg = arg};

	if (job_in < 0 || atomic_load(&lost))
		return false;
	atomic_fetch_add(&counters->waiting[job.owner], 1);
	/* syscalls: write */
	if (write(job_in, &job, sizeof(job)) == sizeof(job))
		return true;
	atomic_fetch_sub(&counters->waiting[job.owner], 1);
	return false;
}

bool closer_take(unsigned owner, int fd)
{
	return closer_run(owner, fd, NULL, NULL);
}

unsigned closer_waiting(unsigned owner)
{
	return counters && owner < CLOSER_OWNERS && !closer_lost()
	    ? atomic_load(&counters->waiting[owner])
	    : 0;
}
