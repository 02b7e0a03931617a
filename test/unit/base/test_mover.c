/* SPDX-License-Identifier: BSD-3-Clause */
/* Moves by closers: bytes arrive, and a pipe that hangs costs its owner one move. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../emulated.h"
#include "../hostage.h"
#include "base/closer.h"
#include "base/mover.h"

static uint8_t bytes[MOVE_BYTES_MAX + 1];

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* A process with closers; it ends with 0, or with the line that was wrong. */
static pid_t start(int (*body)(int fd), int fd)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (movers_prepare() < 0 || closer_start(NULL, NULL) < 0)
			_exit(1);
		_exit(body(fd));
	}
	return pid;
}

#define MUST(condition) \
	do { \
		if (!(condition)) \
			return __LINE__ % 256; \
	} while (0)

static ssize_t result_of(struct move *m, const uint8_t **ret_bytes)
{
	while (move_waits(m))
		usleep(1000);
	return move_result(m, ret_bytes);
}

static int write_and_read(int fd)
{
	static const unsigned lengths[] = {0, 1, 4095, 4096, 4097, MOVE_BYTES_MAX};
	const uint8_t *got;
	struct move *m[3];
	int end[2];

	(void)fd;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = i * 7;
	for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		ssize_t len = lengths[i];

		MUST(pipe2(end, O_CLOEXEC) == 0);
		MUST(move_begin_read(1, end[0], &m[0]) == 0);
		MUST(move_begin_write(2, end[1], bytes, len, &m[1]) == 0);
		MUST(move_begin_write(2, end[1], bytes, len, &m[2]) == -EBUSY);
		MUST(result_of(m[1], &got) == len);
		while (closer_waiting(2))
			usleep(100); /* the closer has not closed the pipe yet */
		MUST(result_of(m[0], &got) == len);
		MUST(memcmp(got, bytes, len) == 0);
		move_forget(m[0]);
		move_forget(m[1]);
	}
	MUST(pipe2(end, O_CLOEXEC) == 0);
	MUST(move_begin_read(1, end[0], &m[0]) == 0);
	MUST(write(end[1], bytes, sizeof(bytes)) == sizeof(bytes));
	MUST(result_of(m[0], &got) == -E2BIG);
	return 0;
}

static void bytes_go_through(void **state)
{
	pid_t pid = start(write_and_read, -1);
	int status;

	(void)state;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Begin as many moves as there may be, all on a pipe that hangs. */
static int hang(int fd)
{
	struct move *m, *begun[MOVES_MAX];
	int copy;

	for (unsigned owner = 0; owner < MOVES_MAX; owner++) {
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		MUST(move_begin_write(owner, copy, bytes, 1, &begun[owner]) == 0);
		MUST(move_begin_write(owner, copy, bytes, 1, &m) == -EBUSY);
	}
	usleep(1000000); /* closers have begun all of them by then */
	for (unsigned owner = 0; owner < MOVES_MAX; owner++)
		move_forget(begun[owner]);
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	MUST(move_begin_write(MOVES_MAX, copy, bytes, 1, &m) == -ENOBUFS);
	close(copy);
	MUST(move_hinders(1));
	usleep(1000 * MOVE_WAIT_MS);
	MUST(!move_hinders(1)); /* but the move has not ended */
	MUST(move_begin_write(1, copy, bytes, 1, &m) == -EBUSY);
	return 0;
}

static void a_process_whose_moves_hang_can_end(void **state)
{
	int64_t start_ms = now_ms();
	int end[2], status;
	pid_t holder, pid;

	(void)state;
	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	holder = hold_pipe(end[1]);
	pid = start(hang, end[1]);
	/* A thread of the process that waits for the lock would keep the process from ending. */
	while (waitpid(pid, &status, WNOHANG) == 0 && now_ms() - start_ms < 3 * MOVE_WAIT_MS)
		usleep(1000);
	release_holder(holder);
	assert_true(now_ms() - start_ms < 3 * MOVE_WAIT_MS);
	assert_int_equal(status, 0);
	close(end[0]);
	close(end[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bytes_go_through),
	    cmocka_unit_test(a_process_whose_moves_hang_can_end),
	};

	if (emulated())
		return not_tested_emulated();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
