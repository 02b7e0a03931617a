/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets that are stale, in use, protected, waiting, reconnecting, removed. */
#include "vhost/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/closer.h"
#include "endpoint_fixture.h"
#include "vhost/allowance.h"

#include "../emulated.h"

static bool exists(void)
{
	struct stat st;

	return lstat(t.path, &st) == 0;
}

static void a_server_serves_and_cleans_up(void **state)
{
	(void)state;
	assert_int_equal(serve(t.path), 0);
	assert_true(exists());
	assert_false(vhost_endpoint_connected(t.endpoint));
	int fd = front_end();
	run_until(&connects, 1);
	assert_true(vhost_endpoint_connected(t.endpoint));
	converse(fd);
	close(fd);
	run_until(&disconnects, 1);
	assert_false(vhost_endpoint_connected(t.endpoint));
	vhost_endpoint_destroy(t.endpoint);
	t.endpoint = NULL;
	assert_false(exists());
}

static void a_front_end_that_takes_long_is_left_alone_for_a_while(void **state)
{
	uint64_t protocol = VHOST_PROTOCOL_BIT(NET_MTU),
		 features = VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES);

	(void)state;
	assert_int_equal(serve(t.path), 0);
	int fd = front_end();
	converse(fd);
	t.fake.dev->state.features = features;
	t.fake.dev->state.protocol_features = protocol;
	/*
	 * A call of 45 ms is 40 ms too long. The first one has no effect. After the second one the
	 * port rests for 20 times 40 ms.
	 */
	t.fake.delay_us = 45000;
	send_mtus(fd, 3);
	run_ms(250);
	assert_int_equal(t.fake.mtu, 1501);
	t.fake.delay_us = 0;
	run_ms(1000);
	assert_int_equal(t.fake.mtu, 1502);
	/* The next front-end of this port has to wait, too. */
	t.fake.delay_us = 45000;
	send_mtus(fd, 1);
	run_ms(100);
	vhost_endpoint_drop(t.endpoint);
	assert_int_equal(disconnects, 1);
	close(fd);
	fd = front_end();
	run_ms(150);
	assert_int_equal(connects, 1);
	run_until(&connects, 2);
	close(fd);
}

static void who_had_much_time_comes_last_and_who_took_long_rests(void **state)
{
	const uint64_t ms = 1000000, start = 1000 * ms;
	struct allowance a = {0};
	uint64_t now = start;

	(void)state;
	for (unsigned i = 0; i < 100; i++, now += 100 * ms) {
		allowance_charge(&a, now, now + 9 * ms, 0);
		assert_false(allowance_busy(&a, now + 9 * ms));
	}
	a = (struct allowance){0};
	for (unsigned i = 0; i < 30; i++, now += ms)
		allowance_charge(&a, now, now + ms, 0);
	assert_true(allowance_busy(&a, now));
	assert_false(allowance_busy(&a, now + 300 * ms));
	assert_int_equal(allowance_rest(&a, now), 0);
	/* If the machine stood still for an hour, the port rests only for a short time. */
	allowance_charge(&a, now, now + 300 * ms, 299 * ms);
	assert_int_equal(allowance_rest(&a, now), 0);
	allowance_charge(&a, now, now + 3600000 * ms, 0);
	assert_int_equal(allowance_rest(&a, now), 0);
	allowance_charge(&a, now, now + 3600000 * ms, 0);
	assert_true(allowance_rest(&a, now) > ms);
	assert_true(allowance_rest(&a, now) <= 5000 * ms);
}

static void front_ends_come_and_go(void **state)
{
	(void)state;
	assert_int_equal(serve(t.path), 0);
	unsigned fds = count_fds();
	for (unsigned i = 1; i <= 20; i++) {
		int fd = front_end();

		converse(fd);
		assert_int_equal(connects, i);
		close(fd);
		run_until(&disconnects, i);
		assert_int_equal(count_fds(), fds);
	}
}

static void a_second_front_end_waits_for_the_first_to_go(void **state)
{
	(void)state;
	assert_int_equal(serve(t.path), 0);
	int first = front_end();
	converse(first);
	int second = front_end();
	run_ms(30);
	assert_int_equal(connects, 1);
	converse(first);
	close(first);
	converse(second);
	assert_int_equal(connects, 2);
	assert_int_equal(disconnects, 1);
	close(second);
	run_until(&disconnects, 2);
}

static void a_front_end_that_breaks_the_protocol_is_dropped(void **state)
{
	char byte;

	(void)state;
	assert_int_equal(serve(t.path), 0);
	int fd = front_end();
	assert_int_equal(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
	run_until(&disconnects, 1);
	assert_true(recv(fd, &byte, 1, MSG_DONTWAIT) <= 0);
	close(fd);
	fd = front_end();
	converse(fd);
	close(fd);
	run_until(&disconnects, 2);
}

static void a_stale_socket_is_replaced(void **state)
{
	(void)state;
	close(bound_socket(SOCK_STREAM, true));
	assert_true(exists());
	assert_int_equal(serve(t.path), 0);
	int fd = front_end();
	converse(fd);
	close(fd);
	run_until(&disconnects, 1);
}

static void a_live_socket_is_left_alone(void **state)
{
	(void)state;
	int other = bound_socket(SOCK_STREAM, true);
	assert_int_equal(serve(t.path), -EADDRINUSE);
	assert_true(exists());
	close(front_end());
	close(other);
	unlink(t.path);
	other = bound_socket(SOCK_SEQPACKET, true);
	assert_int_equal(serve(t.path), -EADDRINUSE);
	close(other);
}

static void a_file_that_is_no_socket_is_left_alone(void **state)
{
	(void)state;
	int file = open(t.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(file >= 0);
	assert_int_equal(write(file, "mine", 4), 4);
	close(file);
	assert_int_equal(serve(t.path), -EEXIST);
	struct stat st;
	assert_int_equal(stat(t.path, &st), 0);
	assert_int_equal(st.st_size, 4);
	unlink(t.path);
	assert_int_equal(symlink("/etc/passwd", t.path), 0);
	assert_int_equal(serve(t.path), -EEXIST);
	unlink(t.path);
	assert_int_equal(mkdir(t.path, 0700), 0);
	assert_int_equal(serve(t.path), -EEXIST);
	rmdir(t.path);
}

static void bad_paths_are_errors(void **state)
{
	char path[200], longest[108];

	(void)state;
	snprintf(path, sizeof(path), "%s/none/socket", t.dir);
	assert_int_equal(serve(path), -ENOENT);
	assert_int_equal(serve(""), -EINVAL);
	memset(path, 'x', 150);
	path[150] = 0;
	assert_int_equal(serve(path), -ENAMETOOLONG);
	assert_int_equal(create_with(VHOST_ENDPOINT_CLIENT, path, -1, -1), -ENAMETOOLONG);
	/* 107 characters fit. */
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, t.dir, strlen(t.dir));
	longest[strlen(t.dir)] = '/';
	longest[107] = 0;
	assert_int_equal(serve(longest), 0);
	vhost_endpoint_destroy(t.endpoint);
	t.endpoint = NULL;
}

static void permissions_are_exact(void **state)
{
	static const int modes[] = {0600, 0660, 0666, 0777, 0};
	mode_t mask = umask(027);

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		struct stat st;

		assert_int_equal(create_with(VHOST_ENDPOINT_SERVER, t.path, -1, modes[i]), 0);
		assert_int_equal(stat(t.path, &st), 0);
		assert_int_equal(st.st_mode & 07777, modes[i]);
		vhost_endpoint_destroy(t.endpoint);
		t.endpoint = NULL;
	}
	assert_int_equal(umask(mask), 027);
}

static void the_owner_is_set(void **state)
{
	struct vhost_endpoint_config config = {
	    .path = t.path, .socket_mode = 0640, .owner = getuid(), .group = getgid()};
	bool root = geteuid() == 0;
	struct stat st;

	(void)state;
	if (root) {
		config.owner = 12345;
		config.group = 54321;
	}
	assert_int_equal(vhost_endpoint_create(t.base, &config, t.fake.dev, &t.endpoint), 0);
	assert_int_equal(stat(t.path, &st), 0);
	assert_int_equal(st.st_uid, config.owner);
	assert_int_equal(st.st_gid, config.group);
	assert_int_equal(st.st_mode & 07777, 0640);
}

static void a_socket_that_is_not_ours_any_more_stays(void **state)
{
	(void)state;
	assert_int_equal(serve(t.path), 0);
	unlink(t.path);
	int other = bound_socket(SOCK_STREAM, true);
	vhost_endpoint_destroy(t.endpoint);
	t.endpoint = NULL;
	assert_true(exists());
	close(other);
}

static void a_client_connects_as_soon_as_somebody_listens(void **state)
{
	(void)state;
	assert_int_equal(create_with(VHOST_ENDPOINT_CLIENT, t.path, -1, -1), 0);
	run_ms(50);
	assert_int_equal(connects, 0);
	for (unsigned i = 1; i <= 3; i++) {
		int listener = bound_socket(SOCK_STREAM, true);

		run_until(&connects, i);
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		assert_true(fd >= 0);
		converse(fd);
		close(fd);
		close(listener);
		unlink(t.path);
		run_until(&disconnects, i);
	}
}

/* 100, 200, 400 ... ms: attempts are few, and the first are quick. */
static void a_client_backs_off(void **state)
{
	(void)state;
	int listener = bound_socket(SOCK_STREAM, true);
	assert_int_equal(create_with(VHOST_ENDPOINT_CLIENT, t.path, -1, -1), 0);
	double gaps[5], last = now();
	for (unsigned i = 0; i < 4; i++) {
		run_until(&connects, i + 1);
		close(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
		run_until(&disconnects, i + 1);
		gaps[i] = now() - last;
		last = now();
	}
	/*
	 * A successful connection resets the wait. A busy machine may delay some attempts, but not
	 * all.
	 */
	assert_true(gaps[1] + gaps[2] + gaps[3] > 0.2);
	assert_true(MIN(MIN(gaps[1], gaps[2]), gaps[3]) < 0.5);
	close(listener);
	unlink(t.path);
	/*
	 * Attempts at 0.1, 0.3, 0.7, 1.5 and 3.1 s fail. The next one is at 5.1 s, because the
	 * longest wait is 2 s.
	 */
	last = now();
	run_ms(3500);
	listener = bound_socket(SOCK_STREAM, true);
	run_until(&connects, 5);
	assert_true(now() - last > 4.9);
	assert_true(now() - last < 6.0);
	/* Connected: the next wait is short again. */
	close(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	run_until(&disconnects, 5);
	last = now();
	run_until(&connects, 6);
	assert_true(now() - last < 1.0); /* without the reset it would be 2 s */
	close(listener);
}

static void a_given_connection_is_served_once(void **state)
{
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(create_with(VHOST_ENDPOINT_FD, "fd", pair[1], -1), 0);
	assert_int_equal(connects, 0);
	converse(pair[0]);
	assert_int_equal(connects, 1);
	close(pair[0]);
	run_until(&disconnects, 1);
	run_ms(150);
	assert_int_equal(connects, 1);
}

static void a_given_listener_is_served(void **state)
{
	(void)state;
	assert_int_equal(
	    create_with(VHOST_ENDPOINT_FD, "fd", bound_socket(SOCK_STREAM, true), -1), 0);
	for (unsigned i = 1; i <= 2; i++) {
		int fd = front_end();

		converse(fd);
		close(fd);
		run_until(&disconnects, i);
	}
	/* The socket file stays, because the endpoint did not make it. */
	vhost_endpoint_destroy(t.endpoint);
	t.endpoint = NULL;
	assert_true(exists());
}

static void a_given_descriptor_must_be_a_stream_socket(void **state)
{
	(void)state;
	unsigned fds = count_fds();
	assert_int_equal(create_with(VHOST_ENDPOINT_FD, "fd", memory_file(1), -1), -ENOTSOCK);
	assert_int_equal(
	    create_with(VHOST_ENDPOINT_FD, "fd", socket(AF_UNIX, SOCK_DGRAM, 0), -1), -EINVAL);
	assert_int_equal(create_with(VHOST_ENDPOINT_FD, "fd", -1, -1), -EBADF);
	assert_int_equal(count_fds(), fds);
}

static void destroying_a_connected_endpoint_ends_the_connection(void **state)
{
	char byte;

	(void)state;
	assert_int_equal(serve(t.path), 0);
	int fd = front_end();
	converse(fd);
	vhost_endpoint_destroy(t.endpoint);
	t.endpoint = NULL;
	assert_int_equal(disconnects, 1);
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
	close(fd);
}

static int hang(void *arg)
{
	(void)arg;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
	return 0;
}

/* Closers that never close anything. 0: all is right. */
static int halt_while_closers_hang(void)
{
	int fd, more = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un a = address();
	char byte;

	if (closer_start(hang, NULL) < 0 || serve(t.path) < 0)
		return 1;
	fd = front_end();
	vhost_endpoint_halt(t.endpoint);
	if (closer_waiting(t.fake.dev->owner) != 1)
		return 2; /* it was closed here, with all that front-ends have sent */
	if (recv(fd, &byte, 1, MSG_DONTWAIT) != -1 || errno != EAGAIN)
		return 3;
	if (exists())
		return 4;
	vhost_endpoint_destroy(t.endpoint);
	if (closer_waiting(t.fake.dev->owner) != 1)
		return 5; /* it is closed twice */
	if (serve(t.path) < 0 || connect(more, (struct sockaddr *)&a, sizeof(a)) < 0)
		return 6;
	vhost_endpoint_destroy(t.endpoint);
	closer_stop();
	return 0;
}

/* To close the socket of a listener may take any time. */
static void what_waits_in_the_backlog_is_left_to_closers(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	skip_if_emulated();
	pid = fork();
	if (pid == 0)
		_exit(halt_while_closers_hang());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* The socket still listens for the process that has given it. */
static void a_given_listener_is_not_shut_down(void **state)
{
	int fd = bound_socket(SOCK_STREAM, true), kept = dup(fd);

	(void)state;
	assert_int_equal(create_with(VHOST_ENDPOINT_FD, "given", fd, -1), 0);
	vhost_endpoint_destroy(t.endpoint);
	t.endpoint = NULL;
	close(front_end());
	close(kept);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_server_serves_and_cleans_up),
	    TEST(a_front_end_that_takes_long_is_left_alone_for_a_while),
	    TEST(who_had_much_time_comes_last_and_who_took_long_rests),
	    TEST(front_ends_come_and_go),
	    TEST(a_second_front_end_waits_for_the_first_to_go),
	    TEST(a_front_end_that_breaks_the_protocol_is_dropped),
	    TEST(a_stale_socket_is_replaced),
	    TEST(a_live_socket_is_left_alone),
	    TEST(a_file_that_is_no_socket_is_left_alone),
	    TEST(bad_paths_are_errors),
	    TEST(permissions_are_exact),
	    TEST(the_owner_is_set),
	    TEST(a_socket_that_is_not_ours_any_more_stays),
	    TEST(a_client_connects_as_soon_as_somebody_listens),
	    TEST(a_client_backs_off),
	    TEST(a_given_connection_is_served_once),
	    TEST(a_given_listener_is_served),
	    TEST(a_given_descriptor_must_be_a_stream_socket),
	    TEST(destroying_a_connected_endpoint_ends_the_connection),
	    TEST(what_waits_in_the_backlog_is_left_to_closers),
	    TEST(a_given_listener_is_not_shut_down),
	};

	return emulated_result(cmocka_run_group_tests(tests, NULL, NULL));
}
