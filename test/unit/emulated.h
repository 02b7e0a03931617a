/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * qemu-user runs programs for another CPU, but it does not know all system calls of Linux: it has
 * no ptrace, no userfaultfd and no processes that share their descriptors, and its recvmsg does not
 * tell that descriptors were cut off. There, tests that need these calls are left out. On x86, and
 * on every real kernel, no test is left out.
 *
 * To be included after cmocka.h.
 */
#pragma once

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOT_TESTED 77

static inline bool emulated(void)
{
#ifdef __x86_64__
	return false;
#else
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);

	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return pid < 0 && errno == EINVAL; /* Linux knows this flag */
#endif
}

static inline int not_tested_emulated(void)
{
	puts("not tested: qemu-user: it has no ptrace, userfaultfd and shared descriptor tables");
	return NOT_TESTED;
}

/* At the beginning of a test that needs one of them. */
static inline void skip_if_emulated(void)
{
	if (emulated())
		skip();
}

/* The result of a program with such tests, from that of its other tests. */
static inline int emulated_result(int failed)
{
	return failed || !emulated() ? failed : not_tested_emulated();
}
