/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Processes that hold the kernel's lock of a pipe or socket, so that other users of it wait and
 * cannot be killed.
 */
#pragma once

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOSTAGE_SIZE 65536

/* Memory with pages that never come: an access to it waits for ever. */
static inline void *hostage_memory(void)
{
	void *at =
	    mmap(NULL, HOSTAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register range = {.range = {.start = (uintptr_t)at, .len = HOSTAGE_SIZE},
	    .mode = UFFDIO_REGISTER_MODE_MISSING};
	struct uffdio_api api = {.api = UFFD_API};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, UFFDIO_API, &api), 0);
	assert_int_equal(ioctl(fd, UFFDIO_REGISTER, &range), 0);
	return at;
}

/* Start a process that holds the pipe's lock, in a write that never ends, until it is killed. */
static inline pid_t hold_pipe(int fd)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(write(fd, hostage_memory(), 4096) != 4096);
	}
	usleep(100000); /* it has the lock by then */
	return pid;
}

/*
 * Start a process that holds the socket's lock, in a read that never ends, until it is killed. The
 * socket must have something to read.
 */
static inline pid_t hold_socket(int fd)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(read(fd, hostage_memory(), 4096) <= 0);
	}
	usleep(100000); /* it has the lock by then */
	return pid;
}

static inline void release_holder(pid_t holder)
{
	kill(holder, SIGKILL);
	waitpid(holder, NULL, 0);
}
