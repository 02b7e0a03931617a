/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SIGTERM ends the switch within a second, even if one of its threads hangs for ever. The test
 * stops the thread with ptrace, in place of a page fault in a file system that does not answer, or
 * of a system call that blocks.
 */
#include "functional.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define END_MS 1000
#define LINE   "vswitchd: error: the orderly end takes longer than"

static void stop_thread(pid_t thread)
{
	must(ptrace(PTRACE_SEIZE, thread, NULL, NULL) == 0, "cannot trace a thread");
	must(ptrace(PTRACE_INTERRUPT, thread, NULL, NULL) == 0, "cannot stop a thread");
	must(waitpid(thread, NULL, __WALL) == thread, "the thread does not stop");
}

/* The thread of the first worker. */
static pid_t worker_of(pid_t pid)
{
	char command[96];
	pid_t thread = 0;
	FILE *out;

	snprintf(command, sizeof(command), "grep -l worker-1 /proc/%d/task/*/comm", pid);
	out = popen(command, "r");
	must(out && fscanf(out, "/proc/%*d/task/%d", &thread) == 1, "no thread of a worker");
	pclose(out);
	return thread;
}

/* Send SIGTERM, and return the exit status. A traced thread has to be waited for, too. */
static int end(struct switch_process *sw, pid_t stopped)
{
	uint64_t deadline = now_ns() + END_MS * UINT64_C(1000000);
	bool reaped = stopped == sw->pid;
	int status, thread_status;
	pid_t pid = sw->pid;

	kill(pid, SIGTERM);
	while (waitpid(pid, &status, WNOHANG) != pid || !WIFEXITED(status)) {
		if (!reaped && waitpid(stopped, &thread_status, WNOHANG | __WALL) == stopped)
			reaped = true;
		if (now_ns() > deadline) {
			kill(pid, SIGKILL);
			must(false, "vswitchd does not end within a second");
		}
		usleep(2000);
	}
	sw->pid = 0;
	return WEXITSTATUS(status);
}

static void hang_and_end(bool control)
{
	struct net_config c = usual_config(FEATURES_BASE, 1);
	struct switch_process sw;
	struct net_driver *nd;
	pid_t stopped;

	switch_start(&sw, 2, 1, false);
	nd = attach(&sw, 0, &c);
	stopped = control ? sw.pid : worker_of(sw.pid);
	stop_thread(stopped);
	must_equal(end(&sw, stopped), 1, "exit status");
	must(switch_log_contains(&sw, LINE), "no line about the end");
	for (unsigned i = 0; i < 2; i++)
		must(access(sw.path[i], F_OK) < 0, "a socket stays behind");
	net_driver_destroy(nd);
	switch_remove(&sw);
}

static void test_a_worker_that_hangs_does_not_delay_the_end(void **state)
{
	(void)state;
	hang_and_end(false);
}

static void test_nor_does_the_control_thread(void **state)
{
	(void)state;
	hang_and_end(true);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_worker_that_hangs_does_not_delay_the_end),
	    cmocka_unit_test(test_nor_does_the_control_thread),
	};

	if (argc > 1)
		switch_binary(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
