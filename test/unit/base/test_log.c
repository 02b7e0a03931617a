/* SPDX-License-Identifier: BSD-3-Clause */
/* Logging never waits for a reader. Here stderr is a pipe that is read or not read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/util.h"

#define LINES 10000

static int real_stderr, end;
static FILE *log_lines;

static int setup(void **state)
{
	int pipe_fd[2];

	(void)state;
	alarm(30); /* a caller that hangs is a failure */
	if (pipe(pipe_fd) < 0)
		return -1;
	real_stderr = dup(STDERR_FILENO);
	dup2(pipe_fd[1], STDERR_FILENO);
	close(pipe_fd[1]);
	end = pipe_fd[0];
	log_lines = fdopen(end, "r");
	return real_stderr >= 0 && log_lines ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	log_flush(1000);
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	fclose(log_lines);
	return 0;
}

static const char *next_line(void)
{
	static char line[2048];

	assert_non_null(fgets(line, sizeof(line), log_lines));
	line[strcspn(line, "\n")] = '\0';
	return line;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static int may_not(void)
{
	log_error("it may not start");
	return -EPERM;
}

static void assert_written_at_once(const char *line)
{
	fcntl(end, F_SETFL, O_NONBLOCK);
	assert_string_equal(next_line(), line);
	fcntl(end, F_SETFL, 0);
}

static void without_a_thread_lines_are_written_at_once(void **state)
{
	(void)state;
	log_warn("number %d", 1);
	assert_written_at_once("vswitchd: warning: number 1");
}

static void a_thread_that_may_not_start_leaves_it_so(void **state)
{
	(void)state;
	assert_int_equal(log_start(may_not), -EPERM);
	assert_written_at_once("vswitchd: error: it may not start");
	log_warn("number %d", 2);
	assert_written_at_once("vswitchd: warning: number 2");
}

static int entered;

static int note_entered(void)
{
	entered++;
	return 0;
}

static void a_thread_writes_promptly_and_in_order(void **state)
{
	char wanted[64];

	(void)state;
	assert_int_equal(log_start(note_entered), 0);
	assert_int_equal(entered, 1);
	for (unsigned i = 0; i < LINES; i++) {
		log_info("number %u", i);
		snprintf(wanted, sizeof(wanted), "vswitchd: info: number %u", i);
		assert_string_equal(next_line(), wanted);
	}
	assert_true(log_flush(1000));
}

/* The log thread that the test before has started writes the lines. */
static void nobody_waits_for_a_reader_and_what_was_left_out_is_counted(void **state)
{
	int64_t start = now_ms();
	unsigned n, left_out, first = 0;
	const char *line;

	(void)state;
	for (unsigned i = 0; i < LINES; i++)
		log_info("number %u, which is a line of about a hundred bytes in all, as they "
			 "often are in real logs",
		    i);
	assert_false(log_flush(100));
	assert_in_range(now_ms() - start, 100, 5000);
	while (sscanf(line = next_line(), "vswitchd: info: number %u,", &n) == 1)
		assert_int_equal(n, first++);
	assert_int_equal(sscanf(line, "vswitchd: warning: %u lines were left out", &left_out), 1);
	assert_int_equal(first + left_out, LINES);
	assert_in_range(first, 256 * 1024 / 110, LINES / 2);
	log_info("the last");
	assert_string_equal(next_line(), "vswitchd: info: the last");
	assert_true(log_flush(1000));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(without_a_thread_lines_are_written_at_once),
	    TEST(a_thread_that_may_not_start_leaves_it_so),
	    TEST(a_thread_writes_promptly_and_in_order),
	    TEST(nobody_waits_for_a_reader_and_what_was_left_out_is_counted),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
