/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Closers close the descriptors that they are given. When the main process ends, they also close
 * the descriptors that it left open.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../emulated.h"
#include "base/closer.h"

static void rest(unsigned ms)
{
	const struct timespec time = {ms / 1000, ms % 1000 * 1000000L};

	nanosleep(&time, NULL);
}

/* Has the other end been closed, within a second? */
static int ended(int fd)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	char byte;

	return poll(&wait, 1, 1000) == 1 && read(fd, &byte, 1) == 0;
}

/* A process with closers, which keeps one end of a socket pair; returns the other. */
static pid_t start(int (*body)(int fd), int *ret_fd)
{
	int end[2];
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, end), 0);
	pid = fork();
	if (pid == 0) {
		close(end[0]);
		if (closer_start(NULL, NULL) < 0)
			_exit(1);
		_exit(body(end[1]));
	}
	close(end[1]);
	*ret_fd = end[0];
	return pid;
}

static int close_it_and_many_more(int fd)
{
	if (!closer_take(7, fd))
		return 2;
	for (unsigned i = 0; i < 3000; i++) {
		int more = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);

		while (!closer_take(8, more))
			rest(1);
		while (closer_waiting(8) > 100)
			rest(1);
	}
	for (unsigned i = 0; i < 1000 && (closer_waiting(7) || closer_waiting(8)); i++)
		rest(1);
	if (closer_waiting(7) || closer_waiting(8))
		return 3;
	return fcntl(fd, F_GETFD) == -1 && errno == EBADF ? 0 : 4;
}

static void descriptors_are_closed_and_accounted_for(void **state)
{
	int fd, status;
	pid_t pid = start(close_it_and_many_more, &fd);

	(void)state;
	assert_true(ended(fd));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(fd);
}

static int wait_for_the_end(int fd)
{
	char byte = 'x';

	if (write(fd, &byte, 1) != 1)
		return 1;
	for (;;)
		pause();
}

static void what_a_killed_process_had_open_is_closed(void **state)
{
	int fd, status;
	pid_t pid = start(wait_for_the_end, &fd);
	char byte;

	(void)state;
	assert_int_equal(read(fd, &byte, 1), 1);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_true(ended(fd));
	close(fd);
}

static void without_closers_nothing_is_taken(void **state)
{
	(void)state;
	assert_false(closer_take(1, 0));
	assert_int_equal(closer_waiting(1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(descriptors_are_closed_and_accounted_for),
	    cmocka_unit_test(what_a_killed_process_had_open_is_closed),
	    cmocka_unit_test(without_closers_nothing_is_taken),
	};

	if (emulated())
		return not_tested_emulated();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
