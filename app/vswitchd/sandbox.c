/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * Capabilities and filters belong to a thread, and later threads inherit them. The EAL creates
 * threads before the sandbox is ready. So each thread enters the sandbox by itself: a worker before
 * its first turn, the control thread and the signal thread when the sockets exist, the EAL's
 * interrupt thread by an alarm, the log thread before its first line. no_new_privs is set before
 * that.
 *
 * If a thread makes a call that is not on its list, it gets a signal (SIGSYS), not an error code:
 * unexpected code must not continue. The handler may only write, so the names of calls are looked
 * up beforehand. mmap and mprotect are allowed only without PROT_EXEC, so no thread can make new
 * code. All libraries have been loaded by then.
 *
 * System calls that libraries make are listed in this file. All other system calls are listed
 * beside the code that makes them.
 */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cap-ng.h>
#include <rte_alarm.h>
#include <seccomp.h>

#include "base/log.h"
#include "base/util.h"
#include "syscalls.h"

/* libevent: */
/* syscalls: epoll_wait epoll_ctl read write rt_sigprocmask rt_sigaction rt_sigreturn clock_gettime
 */
/* glibc, allocating: */
/* syscalls: brk mmap munmap mremap madvise mprotect futex getrandom */
/* glibc, streams and time: */
/* syscalls: write writev lseek fstat newfstatat ioctl openat read close */
/* glibc, ending: */
/* syscalls: exit exit_group rt_sigprocmask tgkill gettid getpid restart_syscall */
/* The EAL's clean-up, its interrupt thread, and telling lcores to start and to stop: */
/* syscalls: epoll_create epoll_ctl epoll_wait unlink munmap timerfd_settime timerfd_create */
/* syscalls: access sched_setaffinity sched_getaffinity fcntl getdents64 flock */
/* syscalls(worker): read write close access futex exit munmap madvise rt_sigprocmask */
/* A thread that aborts or faults says so: */
/* syscalls(log): gettid getpid tgkill rt_sigaction rt_sigreturn rt_sigprocmask exit_group */
/* syscalls(worker): gettid getpid tgkill rt_sigaction rt_sigreturn restart_syscall exit_group */

#define NAMES 512

static bool on;
static char *name_of[NAMES];

static void say(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		return; /* nobody reads stderr */
}

static void on_sigsys(int sig, siginfo_t *info, void *context)
{
	const struct sigaction usual = {.sa_handler = SIG_DFL};
	unsigned nr = info->si_syscall;

	(void)context;
	say("vswitchd: error: the sandbox stopped the system call '");
	say(nr < NAMES && name_of[nr] ? name_of[nr] : "unknown");
	say("', which is not on its list: this is a bug, or a library has changed. Please report "
	    "it; --no-sandbox turns the sandbox off\n");
	sigaction(sig, &usual, NULL);
	raise(sig);
}

int sandbox_init(bool enabled)
{
	struct sigaction action = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};

	on = enabled;
	if (!on)
		return 0;
	for (int nr = 0; nr < NAMES; nr++)
		name_of[nr] = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);
	sigemptyset(&action.sa_mask);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || sigaction(SIGSYS, &action, NULL) < 0) {
		log_error("cannot set up the sandbox: %s", error_text(errno));
		return -errno;
	}
	return 0;
}

#define KEPT_MAX 3

/* The capabilities that a thread keeps, if it has them; zeros at the end. CAP_CHOWN is 0. */
struct kept {
	unsigned n;
	unsigned capability[KEPT_MAX];
};

static const struct kept keep_none = {0}, keep_client = {1, {CAP_DAC_OVERRIDE}},
			 keep_helper = {3, {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER}};

/* Adding a capability that the process does not have would fail. */
static int drop_capabilities(const struct kept *keep)
{
	bool had[KEPT_MAX];

	if (capng_get_caps_process() < 0)
		return -EPERM;
	for (unsigned i = 0; i < keep->n; i++)
		had[i] = capng_have_capability(CAPNG_PERMITTED, keep->capability[i]);
	capng_clear(CAPNG_SELECT_CAPS);
	for (unsigned i = 0; i < keep->n; i++)
		if (had[i])
			capng_update(
			    CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, keep->capability[i]);
	return capng_apply(CAPNG_SELECT_CAPS) == 0 ? 0 : -EPERM;
}

#define X(name) SCMP_SYS(name),
static const int control_calls[] = {SYSCALLS_CONTROL(X)};
static const int worker_calls[] = {SYSCALLS_WORKER(X)};
static const int closer_calls[] = {SYSCALLS_CLOSER(X)};
static const int log_calls[] = {SYSCALLS_LOG(X)};
static const int helper_calls[] = {SYSCALLS_HELPER(X)};
#undef X

/*
 * No memory becomes executable. Sockets are Unix sockets: a thread that may bind them reaches no
 * network. Only closers may create processes; other threads may create threads. The filter cannot
 * read the arguments of clone3. So clone3 fails with ENOSYS, and glibc uses clone instead. The
 * helper cannot read or write files, although it has the capability for all files.
 */
static int allow(scmp_filter_ctx filter, int call, const int calls[])
{
	bool protects = call == SCMP_SYS(mmap) || call == SCMP_SYS(mprotect);

	if (protects)
		return seccomp_rule_add(
		    filter, SCMP_ACT_ALLOW, call, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (call == SCMP_SYS(socket))
		return seccomp_rule_add(
		    filter, SCMP_ACT_ALLOW, call, 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
	if (call == SCMP_SYS(openat) && calls == helper_calls)
		return seccomp_rule_add(
		    filter, SCMP_ACT_ALLOW, call, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, O_PATH, O_PATH));
	if (call == SCMP_SYS(clone3))
		return seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), call, 0);
	if (call == SCMP_SYS(clone) && calls != closer_calls)
		return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1,
		    SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
}

static int load_filter(const int calls[], unsigned n)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);
	int error = filter ? 0 : -ENOMEM;

	for (unsigned i = 0; i < n && !error; i++)
		error = allow(filter, calls[i], calls);
	if (!error)
		error = seccomp_load(filter);
	if (filter)
		seccomp_release(filter);
	return error;
}

/* libcap-ng has one state for all threads. */
static int enter(const int calls[], unsigned n, const struct kept *keep)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	int error;

	if (!on)
		return 0;
	pthread_mutex_lock(&lock);
	capng_setpid(gettid());
	error = capng_get_caps_process() == 0 ? 0 : -EPERM;
	if (!error)
		error = drop_capabilities(keep);
	if (!error)
		error = load_filter(calls, n);
	pthread_mutex_unlock(&lock);
	if (error)
		log_error("cannot enter the sandbox: %s; --no-sandbox turns the sandbox off",
		    error_text(-error));
	return error;
}

int sandbox_enter_control(bool client)
{
	return enter(control_calls, ARRAY_SIZE(control_calls), client ? &keep_client : &keep_none);
}

int sandbox_enter_worker(void)
{
	return enter(worker_calls, ARRAY_SIZE(worker_calls), &keep_none);
}

int sandbox_enter_closer(void)
{
	return enter(closer_calls, ARRAY_SIZE(closer_calls), &keep_none);
}

int sandbox_enter_log(void)
{
	return enter(log_calls, ARRAY_SIZE(log_calls), &keep_none);
}

int sandbox_enter_helper(void)
{
	return enter(helper_calls, ARRAY_SIZE(helper_calls), &keep_helper);
}

bool sandbox_takes_privileges(void)
{
	bool takes = false;

	if (!on || capng_get_caps_process() < 0)
		return false;
	for (unsigned i = 0; i < keep_helper.n; i++)
		takes |= capng_have_capability(CAPNG_EFFECTIVE, keep_helper.capability[i]);
	return takes;
}

static void in_interrupt_thread(void *arg)
{
	int error = enter(control_calls, ARRAY_SIZE(control_calls), &keep_none);

	atomic_store((atomic_int *)arg, error ? error : 1);
}

int sandbox_enter_interrupts(void)
{
	static atomic_int outcome; /* 1: entered */
	const struct timespec rest = {.tv_nsec = 100000};
	int error = on ? rte_eal_alarm_set(1, in_interrupt_thread, &outcome) : 1;

	while (error == 0) {
		nanosleep(&rest, NULL);
		error = atomic_load(&outcome);
	}
	if (error < 0)
		log_error(
		    "the EAL's interrupt thread is not in the sandbox: %s", error_text(-error));
	return MIN(error, 0);
}
