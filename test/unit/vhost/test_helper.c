/* SPDX-License-Identifier: BSD-3-Clause */
/* The helper opens what the switch may not open itself, and nothing else. Needs root. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "fake.h"
#include "vhost/endpoint.h"
#include "vhost/helper.h"
#include "vhost/listener.h"

#define NOBODY 65534
#define OWNER  12345
#define GROUP  54321

static char allowed[32], other[32], path[108];
static const struct helper_rights rights = {.owner = OWNER, .group = GROUP};
static struct endpoint_reason reason;
static struct vhost_listener l;

static struct vhost_endpoint_config config(void)
{
	return (struct vhost_endpoint_config){
	    .path = path, .socket_mode = 0640, .owner = OWNER, .group = GROUP, .reason = &reason};
}

/* This process may do nothing in either directory; the helper may. */
static int begin(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	reason.text[0] = '\0';
	snprintf(allowed, sizeof(allowed), "/tmp/helper-test-XXXXXX");
	snprintf(other, sizeof(other), "/tmp/helper-other-XXXXXX");
	assert_non_null(mkdtemp(allowed));
	assert_non_null(mkdtemp(other));
	snprintf(path, sizeof(path), "%s/socket", allowed);
	assert_int_equal(helper_allow(allowed), 0);
	assert_int_equal(helper_start(&rights, NULL), 0);
	setfsuid(NOBODY); /* this takes CAP_DAC_OVERRIDE and CAP_CHOWN from file operations */
	return 0;
}

static pid_t helper_process(void)
{
	char name[64];
	int pid = 0;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/self/task/%d/children", (int)getpid());
	f = fopen(name, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &pid), 1);
	fclose(f);
	return pid;
}

static int finish(void **state)
{
	(void)state;
	setfsuid(0);
	if (helper_running())
		kill(helper_process(), SIGCONT);
	helper_stop();
	unlink(path);
	assert_int_equal(rmdir(allowed), 0);
	assert_int_equal(rmdir(other), 0);
	return 0;
}

static int stat_as_root(struct stat *st)
{
	int error;

	setfsuid(0);
	error = lstat(path, st);
	setfsuid(NOBODY);
	return error;
}

static void a_socket_of_another_owner_is_made_and_removed(void **state)
{
	const struct vhost_endpoint_config c = config();
	int listening = 0;
	socklen_t len = sizeof(listening);
	struct stat st;

	(void)state;
	assert_int_equal(listener_open(&l, path, &c), 0);
	assert_int_equal(stat_as_root(&st), 0);
	assert_int_equal(st.st_uid, OWNER);
	assert_int_equal(st.st_gid, GROUP);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(getsockopt(l.fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len), 0);
	assert_true(listening);
	int fd = socket_connect(path);
	assert_true(fd >= 0);
	close(fd);
	listener_close(&l);
	assert_int_equal(stat_as_root(&st), -1);
}

static void other_directories_are_refused(void **state)
{
	const struct vhost_endpoint_config c = config();

	(void)state;
	snprintf(path, sizeof(path), "%s/socket", other);
	assert_int_equal(listener_open(&l, path, &c), -EACCES);
	assert_non_null(strstr(reason.text, "--socket-directory"));
	snprintf(path, sizeof(path), "%s/../%s/socket", allowed, other + strlen("/tmp/"));
	assert_int_equal(listener_open(&l, path, &c), -EACCES);
	listener_close(&l);
	snprintf(path, sizeof(path), "%s/socket", allowed);
}

/* Whatever the switch asks. */
static void other_owners_are_refused(void **state)
{
	struct vhost_endpoint_config c = config();

	(void)state;
	c.owner = 0;
	assert_int_equal(helper_listen(&l, path, &c), -EPERM);
	c.owner = -1;
	c.group = OWNER;
	assert_int_equal(helper_listen(&l, path, &c), -EPERM);
	c.group = -1;
	assert_int_equal(helper_listen(&l, path, &c), 0);
	listener_close(&l);
}

static void special_bits_are_left_out_of_the_mode(void **state)
{
	struct vhost_endpoint_config c = config();
	struct stat st;

	(void)state;
	c.socket_mode = 07600;
	assert_int_equal(helper_listen(&l, path, &c), 0);
	assert_int_equal(stat_as_root(&st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	listener_close(&l);
}

/* Start the helper anew. It may make sockets beside a socket in the other directory. */
static void start_beside(const char *socket, bool connect)
{
	const struct helper_rights may = {.owner = OWNER, .group = GROUP, .connect = connect};

	setfsuid(0);
	helper_stop();
	assert_int_equal(helper_allow_beside(socket), 0);
	assert_int_equal(helper_start(&may, NULL), 0);
	setfsuid(NOBODY);
}

/* Only a client needs to reach sockets of others beside those of the command line. */
static void it_connects_only_where_it_may(void **state)
{
	const struct vhost_endpoint_config c = config();
	char beside[64];
	int fd;

	(void)state;
	snprintf(beside, sizeof(beside), "%s/socket", other);
	start_beside(beside, false);
	assert_int_equal(helper_listen(&l, beside, &c), 0);
	assert_int_equal(helper_connect(beside), -EACCES);
	listener_close(&l);
	start_beside(beside, true);
	assert_int_equal(helper_listen(&l, beside, &c), 0);
	fd = helper_connect(beside);
	assert_true(fd >= 0);
	close(fd);
	listener_close(&l);
}

/* The owner of a directory may put links there. */
static void links_lead_nowhere(void **state)
{
	const struct vhost_endpoint_config c = config();
	char target[64], by_link[64], behind_link[80];
	struct stat st;
	int fd;

	(void)state;
	snprintf(target, sizeof(target), "%s/socket", other);
	snprintf(by_link, sizeof(by_link), "%s/link", allowed);
	setfsuid(0);
	const struct vhost_endpoint_config plain = {
	    .path = target, .socket_mode = -1, .owner = -1, .group = -1, .reason = &reason};
	assert_int_equal(listener_open(&l, target, &plain), 0);
	assert_int_equal(symlink(other, by_link), 0);
	assert_int_equal(symlink(target, path), 0);
	fd = socket_connect(path);
	assert_true(fd >= 0);
	close(fd);
	setfsuid(NOBODY);
	assert_int_equal(helper_connect(path), -ENOTSOCK);
	struct vhost_listener second;
	assert_int_equal(helper_listen(&second, path, &c), -EEXIST);
	assert_non_null(strstr(reason.text, path));
	snprintf(behind_link, sizeof(behind_link), "%s/socket", by_link);
	assert_int_equal(helper_connect(behind_link), -EACCES);
	setfsuid(0);
	assert_int_equal(lstat(path, &st), 0); /* the link is still there */
	listener_close(&l);
	unlink(by_link);
}

/* A link that takes the place of the directory after the start. */
static void a_directory_that_was_replaced_is_refused(void **state)
{
	const struct vhost_endpoint_config c = config();
	char moved[64];

	(void)state;
	assert_int_equal(listener_open(&l, path, &c), 0);
	snprintf(moved, sizeof(moved), "%s.moved", allowed);
	setfsuid(0);
	assert_int_equal(rename(allowed, moved), 0);
	assert_int_equal(symlink(other, allowed), 0);
	setfsuid(NOBODY);
	struct vhost_listener second;
	assert_int_equal(helper_listen(&second, path, &c), -EACCES);
	setfsuid(0);
	unlink(allowed);
	assert_int_equal(rename(moved, allowed), 0);
	setfsuid(NOBODY);
	listener_close(&l);
}

/* The helper stops at once, but the kernel tells this a little later. */
static void stop_helper(pid_t helper)
{
	int status;

	kill(helper, SIGSTOP);
	assert_int_equal(waitpid(helper, &status, WUNTRACED), helper);
}

/* Let it answer what it was asked, and take the answer. */
static void go_on(pid_t helper)
{
	kill(helper, SIGCONT);
	for (unsigned i = 0; i < 500 && helper_connect("/") == -EBUSY; i++)
		usleep(10000);
	helper_check();
}

/* The late answer has a socket that listens; it is not in the way. */
static void a_late_answer_is_dropped(void **state)
{
	const struct vhost_endpoint_config c = config();
	pid_t helper = helper_process();
	struct stat st;
	int error = -EBUSY;

	(void)state;
	stop_helper(helper);
	assert_int_equal(listener_open(&l, path, &c), -ETIMEDOUT);
	kill(helper, SIGCONT);
	for (unsigned i = 0; i < 500 && error == -EBUSY; i++) {
		usleep(10000);
		error = listener_open(&l, path, &c);
	}
	assert_int_equal(error, 0);
	helper_check();
	assert_int_equal(stat_as_root(&st), 0);
	listener_close(&l);
	assert_int_equal(stat_as_root(&st), -1);
}

static void a_socket_that_came_too_late_is_removed(void **state)
{
	const struct vhost_endpoint_config c = config();
	pid_t helper = helper_process();
	struct stat st;

	(void)state;
	stop_helper(helper);
	assert_int_equal(listener_open(&l, path, &c), -ETIMEDOUT);
	kill(helper, SIGCONT);
	for (unsigned i = 0; i < 500 && stat_as_root(&st) < 0; i++)
		usleep(10000);
	assert_int_equal(stat_as_root(&st), 0);
	for (unsigned i = 0; i < 500 && stat_as_root(&st) == 0; i++) {
		helper_check();
		usleep(10000);
	}
	assert_int_equal(stat_as_root(&st), -1);
}

/* It costs one wait, however often it is asked, and it is not taken for dead. */
static void a_helper_that_hangs_is_waited_for_once(void **state)
{
	const struct vhost_endpoint_config c = config();
	pid_t helper = helper_process();
	int64_t start;

	(void)state;
	stop_helper(helper);
	assert_int_equal(helper_connect(path), -ETIMEDOUT);
	start = clock_ms();
	for (unsigned i = 0; i < 2000; i++) {
		assert_int_equal(helper_connect(path), -EBUSY);
		helper_check();
	}
	assert_int_equal(listener_open(&l, path, &c), -EBUSY);
	assert_non_null(strstr(reason.text, "it does not answer"));
	assert_true(clock_ms() - start < HELPER_MS / 2);
	go_on(helper);
	assert_int_equal(listener_open(&l, path, &c), 0);
	listener_close(&l);
}

static void what_a_helper_that_hangs_should_remove_it_removes_later(void **state)
{
	const struct vhost_endpoint_config c = config();
	pid_t helper = helper_process();
	struct stat st;

	(void)state;
	assert_int_equal(listener_open(&l, path, &c), 0);
	stop_helper(helper);
	assert_int_equal(helper_connect(path), -ETIMEDOUT);
	listener_close(&l);
	assert_int_equal(stat_as_root(&st), 0);
	go_on(helper);
	assert_int_equal(stat_as_root(&st), -1);
}

static bool has_children(void)
{
	return waitpid(-1, NULL, WNOHANG) >= 0 || errno != ECHILD;
}

/* It is noticed although nothing is asked, and no zombie stays. */
static void its_death_is_noticed(void **state)
{
	pid_t helper = helper_process();

	(void)state;
	log_silence();
	helper_check();
	assert_true(helper_running());
	kill(helper, SIGKILL);
	for (unsigned ms = 0; helper_running() && ms < 5000; ms++) {
		helper_check();
		usleep(1000);
	}
	assert_false(helper_running());
	assert_false(has_children());
	assert_int_equal(helper_connect(path), -EPIPE);
}

/* The kernel tells of the request that was not read. */
static void its_death_before_an_answer_is_noticed(void **state)
{
	pid_t helper = helper_process();

	(void)state;
	log_silence();
	stop_helper(helper);
	assert_int_equal(helper_connect(path), -ETIMEDOUT);
	kill(helper, SIGKILL);
	for (unsigned ms = 0; has_children() && ms < 5000; ms++) {
		helper_check();
		usleep(1000);
	}
	assert_false(helper_running());
	assert_int_equal(helper_connect(path), -EPIPE);
}

static void fill(int pipe_in)
{
	static const char bytes[4096];

	assert_int_equal(fcntl(pipe_in, F_SETFL, O_NONBLOCK), 0);
	while (write(pipe_in, bytes, sizeof(bytes)) > 0)
		; /* there was room */
	assert_int_equal(fcntl(pipe_in, F_SETFL, 0), 0);
}

/* Start the helper anew, with stderr to a pipe that is full. */
static void start_with_full_stderr(void)
{
	int before = dup(STDERR_FILENO), unread[2];

	assert_int_equal(pipe(unread), 0);
	fill(unread[1]);
	setfsuid(0);
	helper_stop();
	dup2(unread[1], STDERR_FILENO);
	assert_int_equal(helper_start(&rights, NULL), 0);
	dup2(before, STDERR_FILENO);
	setfsuid(NOBODY);
	close(before);
	close(unread[1]); /* the helper has the other end */
}

static void leave_stale_socket(void)
{
	const struct vhost_endpoint_config c = config();

	setfsuid(0);
	assert_int_equal(listener_open(&l, path, &c), 0);
	close(l.fd);
	setfsuid(NOBODY);
}

/* The helper does not wait for the reader of stderr. The switch tells what the helper did. */
static void it_does_not_hang_if_nobody_reads_stderr(void **state)
{
	const struct vhost_endpoint_config c = config();
	int before = dup(STDERR_FILENO), told[2];
	char text[256] = "";

	(void)state;
	log_set_level(LOG_INFO);
	start_with_full_stderr();
	leave_stale_socket();
	assert_int_equal(pipe(told), 0);
	dup2(told[1], STDERR_FILENO);
	assert_int_equal(listener_open(&l, path, &c), 0);
	dup2(before, STDERR_FILENO);
	close(told[1]);
	assert_true(read(told[0], text, sizeof(text) - 1) > 0);
	assert_non_null(strstr(text, path));
	assert_non_null(strstr(text, ": removed a stale socket\n"));
	listener_close(&l);
	close(before);
	close(told[0]);
}

/* The switch made it when it still might, and closes it now. */
static void a_socket_from_the_start_is_removed(void **state)
{
	const struct vhost_endpoint_config c = config();
	struct stat st;

	(void)state;
	setfsuid(0);
	assert_int_equal(listener_open(&l, path, &c), 0);
	setfsuid(NOBODY);
	assert_false(l.by_helper);
	assert_int_equal(helper_remove(path), -EADDRINUSE);
	assert_int_equal(stat_as_root(&st), 0);
	listener_close(&l);
	assert_int_equal(stat_as_root(&st), -1);
}

/* The helper forgets them, also if the switch may remove them itself. */
static void any_number_of_sockets_may_come_and_go(void **state)
{
	const struct vhost_endpoint_config c = config();
	char where[64];

	(void)state;
	for (unsigned i = 0; i < 1500; i++) {
		snprintf(where, sizeof(where), "%s/%u", allowed, i);
		assert_int_equal(helper_listen(&l, where, &c), 0);
		setfsuid(0);
		listener_close(&l);
		setfsuid(NOBODY);
	}
}

static void other_files_are_not_removed(void **state)
{
	(void)state;
	setfsuid(0);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
	setfsuid(NOBODY);
	assert_int_equal(helper_remove(path), -EEXIST);
	assert_int_equal(helper_remove(""), -EACCES);
	const struct vhost_endpoint_config c = config();
	assert_int_equal(listener_open(&l, path, &c), -EEXIST);
	listener_close(&l);
	struct stat st;
	assert_int_equal(stat_as_root(&st), 0);
}

static void at_the_end_it_removes_what_is_left(void **state)
{
	const struct vhost_endpoint_config c = config();
	struct stat st;

	(void)state;
	assert_int_equal(listener_open(&l, path, &c), 0);
	assert_int_equal(stat_as_root(&st), 0);
	helper_stop();
	assert_int_equal(stat_as_root(&st), -1);
	listener_close(&l);
	assert_int_equal(helper_connect(path), -EPIPE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)
	const struct CMUnitTest tests[] = {
	    TEST(a_socket_of_another_owner_is_made_and_removed),
	    TEST(other_directories_are_refused),
	    TEST(other_owners_are_refused),
	    TEST(special_bits_are_left_out_of_the_mode),
	    TEST(it_connects_only_where_it_may),
	    TEST(links_lead_nowhere),
	    TEST(a_directory_that_was_replaced_is_refused),
	    TEST(a_late_answer_is_dropped),
	    TEST(a_socket_that_came_too_late_is_removed),
	    TEST(a_helper_that_hangs_is_waited_for_once),
	    TEST(what_a_helper_that_hangs_should_remove_it_removes_later),
	    TEST(its_death_is_noticed),
	    TEST(its_death_before_an_answer_is_noticed),
	    TEST(it_does_not_hang_if_nobody_reads_stderr),
	    TEST(a_socket_from_the_start_is_removed),
	    TEST(any_number_of_sockets_may_come_and_go),
	    TEST(other_files_are_not_removed),
	    TEST(at_the_end_it_removes_what_is_left),
	};

	if (geteuid() != 0)
		return 77; /* skipped */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
