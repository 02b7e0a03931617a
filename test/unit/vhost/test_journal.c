/* SPDX-License-Identifier: BSD-3-Clause */
/* The file of ring positions is never accessed where its pages may be missing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../skips.h"
#include "vhost/journal.h"

#define RING 3
#define DESC 0x1000
#define SIZE 256

static char dir[] = "/tmp/journal-XXXXXX";
static char path[64];

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/rings", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

/* Leave a journal as after a crash, with a word of a running ring. */
static void leave_word(uint64_t word)
{
	struct vhost_device dev = {0};

	assert_int_equal(vhost_journal_open(&dev, path), 0);
	*vhost_journal_start(&dev, RING, DESC, SIZE) = word;
	vhost_journal_close(&dev);
}

static bool finds_word(uint64_t *ret_word)
{
	struct vhost_device dev = {0};
	bool found;

	assert_int_equal(vhost_journal_open(&dev, path), 0);
	found = vhost_journal_recall(&dev, RING, DESC, SIZE, ret_word);
	vhost_journal_close(&dev);
	return found;
}

static void test_the_place_on_disk_is_taken_at_once(void **state)
{
	struct stat st;
	uint64_t word;

	(void)state;
	leave_word(7);
	assert_int_equal(truncate(path, 4096), 0); /* valid, but a page is missing */
	assert_true(finds_word(&word));
	assert_int_equal(word, 7);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size > 4096);
	assert_true(st.st_blocks * 512 >= st.st_size);
	unlink(path);
}

static void test_the_file_is_left_to_the_next_device(void **state)
{
	struct vhost_device before = {0}, after = {0};
	uint64_t word, *running;

	(void)state;
	assert_int_equal(vhost_journal_open(&before, path), 0);
	vhost_journal_leave(&before); /* no ring runs: the file is gone */
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(vhost_journal_open(&after, path), 0);
	vhost_journal_close(&before);
	assert_int_equal(access(path, F_OK), 0);
	/* A worker still uses the ring for a moment. */
	running = vhost_journal_start(&after, RING, DESC, SIZE);
	vhost_journal_leave(&after);
	assert_int_equal(vhost_journal_open(&before, path), 0);
	*running = 9;
	vhost_journal_close(&after);
	assert_true(vhost_journal_recall(&before, RING, DESC, SIZE, &word));
	assert_int_equal(word, 9);
	vhost_journal_stop(&before, RING);
	vhost_journal_close(&before);
	assert_int_equal(access(path, F_OK), -1);
}

static void test_a_file_that_others_may_write_is_not_used(void **state)
{
	uint64_t word;

	(void)state;
	leave_word(7);
	assert_int_equal(chmod(path, 0620), 0);
	assert_false(finds_word(&word));
	assert_int_equal(chmod(path, 0602), 0);
	assert_false(finds_word(&word));
	assert_int_equal(chmod(path, 0600), 0);
	assert_true(finds_word(&word));
	unlink(path);
}

static void test_a_file_of_somebody_else_is_not_used(void **state)
{
	uint64_t word;

	(void)state;
	if (geteuid())
		skip_without("root", "a journal that somebody else owns");
	leave_word(7);
	assert_int_equal(chown(path, 65534, 65534), 0);
	assert_false(finds_word(&word));
	unlink(path);
}

static void test_a_file_with_another_name_is_not_used(void **state)
{
	char other[sizeof(path) + 8];
	uint64_t word;

	(void)state;
	leave_word(7);
	snprintf(other, sizeof(other), "%s.other", path);
	assert_int_equal(link(path, other), 0);
	assert_false(finds_word(&word));
	assert_int_equal(unlink(other), 0);
	assert_true(finds_word(&word));
	unlink(path);
}

static void test_a_pipe_does_not_keep_us_waiting(void **state)
{
	uint64_t word;

	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_false(finds_word(&word));
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_place_on_disk_is_taken_at_once),
	    cmocka_unit_test(test_the_file_is_left_to_the_next_device),
	    cmocka_unit_test(test_a_file_that_others_may_write_is_not_used),
	    cmocka_unit_test(test_a_file_of_somebody_else_is_not_used),
	    cmocka_unit_test(test_a_file_with_another_name_is_not_used),
	    cmocka_unit_test(test_a_pipe_does_not_keep_us_waiting),
	};

	return group_status(cmocka_run_group_tests(tests, make_dir, remove_dir));
}
