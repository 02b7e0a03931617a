/* SPDX-License-Identifier: BSD-3-Clause */
/* The owner of the directory puts another file in the place of a socket that was just bound. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fake.h"
#include "vhost/endpoint.h"
#include "vhost/listener.h"

static char directory[32], path[64], aside[64];
static bool linked; /* the socket has a second name, instead of another file in its place */

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t len);
int __real_bind(int fd, const struct sockaddr *address, socklen_t len);

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t len)
{
	int result = __real_bind(fd, address, len);

	if (linked) {
		assert_int_equal(link(path, aside), 0);
		return result;
	}
	assert_int_equal(rename(path, aside), 0);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
	return result;
}

static int begin(void **state)
{
	(void)state;
	snprintf(directory, sizeof(directory), "/tmp/listener-test-XXXXXX");
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/socket", directory);
	snprintf(aside, sizeof(aside), "%s/aside", directory);
	return 0;
}

static int finish(void **state)
{
	(void)state;
	unlink(path);
	unlink(aside);
	return rmdir(directory);
}

static void check_that_it_stays(void)
{
	struct endpoint_reason reason;
	const struct vhost_endpoint_config config = {
	    .path = path, .socket_mode = -1, .owner = -1, .group = -1, .reason = &reason};
	struct vhost_listener l;
	struct stat st;

	assert_int_equal(listener_open(&l, path, &config), -EEXIST);
	listener_close(&l);
	assert_int_equal(lstat(path, &st), 0);
}

static void a_file_in_its_place_is_not_removed(void **state)
{
	(void)state;
	linked = false;
	check_that_it_stays();
}

static void a_socket_with_a_second_name_is_not_removed(void **state)
{
	(void)state;
	linked = true;
	check_that_it_stays();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)
	const struct CMUnitTest tests[] = {
	    TEST(a_file_in_its_place_is_not_removed),
	    TEST(a_socket_with_a_second_name_is_not_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
