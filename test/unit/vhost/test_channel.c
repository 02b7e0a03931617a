/* SPDX-License-Identifier: BSD-3-Clause */
/* The back-end channel, and changes of the configuration space, which are sent over it. */
#include "fake.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../emulated.h"
#include "../hostage.h"
#include "base/clock.h"
#include "vhost/channel.h"

#define SENT VHOST_USER_BACKEND_CONFIG_CHANGE_MSG

/* Sends that take 6 ms of CPU time from now on, as if a front-end had made its socket slow. */
static unsigned slow_sends;

static void spend(clockid_t clock, int64_t ns)
{
	int64_t end = clock_read(clock) + ns;

	while (clock_read(clock) < end)
		;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	if (slow_sends) {
		slow_sends--;
		spend(CLOCK_THREAD_CPUTIME_ID, 6000000);
	}
	return syscall(SYS_sendmsg, fd, message, flags);
}

/* Give the device a channel. Returns the front-end's end of it. */
static int open_channel(struct fake *f)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(fake_ask(f, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1), 0);
	close(pair[1]);
	return pair[0];
}

static void start_a_ring(struct fake *f)
{
	int kick = event_file();

	assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_KICK, 0, kick), 0);
	close(kick);
}

static void test_a_request_arrives(void **state)
{
	struct fake *f = *state;
	struct vhost_header header;
	int channel;

	fake_negotiate(f);
	assert_int_equal(vhost_device_config_changed(f->dev), -ENOTCONN);
	channel = open_channel(f);
	assert_int_equal(vhost_device_config_changed(f->dev), -ESHUTDOWN);
	start_a_ring(f);
	assert_int_equal(vhost_device_config_changed(f->dev), 0);
	assert_int_equal(recv(channel, &header, sizeof(header), MSG_DONTWAIT), sizeof(header));
	assert_int_equal(header.request, SENT);
	assert_int_equal(header.flags, VHOST_VERSION);
	assert_int_equal(header.size, 0);
	fake_get_base(f, 0);
	assert_int_equal(vhost_device_config_changed(f->dev), -ESHUTDOWN);
	close(channel);
}

static void test_a_descriptor_goes_along(void **state)
{
	struct fake *f = *state;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	char bytes[64];
	struct iovec iov = {bytes, sizeof(bytes)};
	struct msghdr mh = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control,
	    .msg_controllen = sizeof(control)};
	uint64_t payload[3] = {1, 2, 3};
	int channel, event = event_file(), got;

	fake_negotiate(f);
	channel = open_channel(f);
	start_a_ring(f);
	assert_int_equal(vhost_channel_send(f->dev, 3, payload, sizeof(payload), event, false), 0);
	assert_int_equal(recvmsg(channel, &mh, MSG_DONTWAIT), 12 + sizeof(payload));
	assert_memory_equal(bytes + 12, payload, sizeof(payload));
	assert_int_equal(mh.msg_controllen, CMSG_SPACE(sizeof(int)));
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&mh)), sizeof(got));
	close(got);
	close(event);
	close(channel);
}

static void send_answer(int channel, uint32_t request, uint32_t flags, uint64_t value)
{
	struct vhost_header header = {request, flags, sizeof(value)};

	assert_int_equal(send(channel, &header, sizeof(header), 0), sizeof(header));
	assert_int_equal(send(channel, &value, sizeof(value), 0), sizeof(value));
}

/* Wait for an answer, which another thread reads. */
static int get_answer(struct fake *f, uint64_t *ret_value)
{
	int got = 0;

	for (unsigned i = 0; i < 5000 && got == 0; i++) {
		got = vhost_channel_answer(f->dev, ret_value);
		usleep(got ? 0 : 1000);
	}
	return got;
}

static void test_an_answer_is_waited_for_without_waiting(void **state)
{
	struct fake *f = *state;
	uint64_t value = 7;
	int channel;

	fake_negotiate(f);
	channel = open_channel(f);
	start_a_ring(f);
	assert_int_equal(vhost_channel_answer(f->dev, &value), 0);
	assert_int_equal(vhost_channel_send(f->dev, 3, NULL, 0, -1, true), 0);
	assert_int_equal(vhost_channel_answer(f->dev, &value), 0);
	assert_int_equal(vhost_channel_send(f->dev, 3, NULL, 0, -1, true), -EBUSY);
	assert_int_equal(vhost_channel_send(f->dev, SENT, NULL, 0, -1, false), 0);
	assert_int_equal(send(channel, "\3", 1, 0), 1); /* the first byte of the answer */
	assert_int_equal(vhost_channel_answer(f->dev, &value), 0);
	assert_int_equal(send(channel, "\0\0\0\5\0\0\0\10\0\0\0\1\0\0\0\0\0\0\0", 19, 0), 19);
	assert_int_equal(get_answer(f, &value), 1);
	assert_int_equal(value, 1);
	assert_int_equal(vhost_channel_answer(f->dev, &value), 0);
	close(channel);
}

/* The front-end holds the lock of the socket that it gave us. */
static void test_an_answer_that_cannot_be_read_holds_up_nobody(void **state)
{
	struct fake *f = *state;
	uint64_t value = 7;
	int64_t start;
	int pair[2];
	pid_t holder;

	skip_if_emulated();
	fake_negotiate(f);
	start_a_ring(f);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(fake_ask(f, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1), 0);
	assert_int_equal(vhost_channel_send(f->dev, 3, NULL, 0, -1, true), 0);
	send_answer(pair[0], 3, VHOST_REPLY_FLAGS, 1);
	holder = hold_socket(pair[1]);
	start = clock_ms();
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(vhost_channel_answer(f->dev, &value), 0);
		usleep(1000);
	}
	assert_in_range(clock_ms() - start, 5, 500);
	release_holder(holder);
	assert_int_equal(get_answer(f, &value), 1);
	assert_int_equal(value, 1);
	close(pair[0]);
	close(pair[1]);
}

static void test_a_wrong_answer_ends_the_channel_not_the_port(void **state)
{
	static const char *const why[] = {
	    "is not the answer", "is not the answer", "has closed it", "has closed it"};
	struct fake *f = *state;
	uint64_t value;

	fake_negotiate(f);
	start_a_ring(f);
	for (unsigned i = 0; i < ARRAY_SIZE(why); i++) {
		int channel = open_channel(f), error;
		struct fake_log log;

		assert_int_equal(vhost_channel_send(f->dev, 3, NULL, 0, -1, true), 0);
		if (i == 0)
			send_answer(channel, 4, VHOST_REPLY_FLAGS, 0);
		else if (i == 1)
			send_answer(channel, 3, VHOST_VERSION, 0);
		else if (i == 2)
			close(channel);
		else if (send(channel, "\3", 1, 0) == 1) /* only the first byte of an answer */
			shutdown(channel, SHUT_WR);
		fake_log_begin(&log);
		error = get_answer(f, &value);
		assert_int_equal(fake_log_end(&log, why[i]), 1);
		assert_int_equal(error, -EIO);
		assert_int_equal(vhost_device_config_changed(f->dev), -ENOTCONN);
		if (i != 2)
			close(channel);
	}
	assert_int_equal(fake_ask(f, VHOST_USER_SET_OWNER, NULL, 0, NULL, 0), 0);
}

static void test_a_front_end_that_does_not_read_loses_the_channel(void **state)
{
	struct fake *f = *state;
	unsigned sent = 0;
	int channel, error;

	fake_negotiate(f);
	channel = open_channel(f);
	start_a_ring(f);
	while ((error = vhost_device_config_changed(f->dev)) == 0)
		assert_true(++sent < 1000000);
	assert_int_equal(error, -EIO);
	assert_true(sent > 0);
	assert_int_equal(vhost_device_config_changed(f->dev), -ENOTCONN);
	close(channel);
}

static int listening_socket(void)
{
	const struct sockaddr any = {.sa_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, &any, sizeof(any.sa_family)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void test_only_a_local_stream_socket_will_do(void **state)
{
	struct fake *f = *state;
	int wrong[] = {event_file(), memory_file(4096), socket(AF_INET, SOCK_STREAM, 0),
	    socket(AF_UNIX, SOCK_DGRAM, 0), listening_socket()};

	fake_negotiate(f);
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(
		    fake_ask(f, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &wrong[i], 1), 1);
		close(wrong[i]);
	}
}

static void test_a_thousand_channels_leak_nothing(void **state)
{
	struct fake *f = *state;
	unsigned before;

	fake_negotiate(f);
	close(open_channel(f));
	before = count_fds();
	for (unsigned i = 0; i < 1000; i++)
		close(open_channel(f));
	assert_int_equal(count_fds(), before);
}

static uint32_t get_config(
    struct fake *f, uint32_t offset, uint32_t size, uint32_t really, struct vhost_wire_config *ret)
{
	struct vhost_wire_config config = {.offset = offset, .size = size};
	struct vhost_header header;
	union vhost_payload payload;

	fake_send(f, VHOST_USER_GET_CONFIG, 0, &config, 12 + really, NULL, 0);
	assert_int_equal(fake_run(f), LIVES);
	assert_true(fake_reply(f, &header, &payload));
	*ret = payload.config;
	return header.size;
}

static void test_configuration_is_read_and_written_within_bounds(void **state)
{
	struct vhost_wire_config config = {.offset = 8, .size = 4, .bytes = {1, 2, 3, 4}};
	struct fake *f = *state;

	fake_negotiate(f);
	assert_int_equal(fake_ask(f, VHOST_USER_SET_CONFIG, &config, 16, NULL, 0), 0);
	assert_memory_equal(f->config + 8, config.bytes, 4);
	assert_int_equal(get_config(f, 9, 2, 2, &config), 14);
	assert_int_equal(config.bytes[0], 2);
	assert_int_equal(get_config(f, 0, FAKE_CONFIG, FAKE_CONFIG, &config), 12 + FAKE_CONFIG);
	/* Sizes beyond the end, ranges that wrap, or a wrong length: the answer has no payload. */
	assert_int_equal(get_config(f, 0, FAKE_CONFIG + 1, FAKE_CONFIG + 1, &config), 0);
	assert_int_equal(get_config(f, FAKE_CONFIG, 1, 1, &config), 0);
	assert_int_equal(get_config(f, UINT32_MAX, 2, 2, &config), 0);
	assert_int_equal(get_config(f, 0, 8, 4, &config), 0);
	assert_int_equal(get_config(f, 0, 4, 8, &config), 0);
	assert_int_equal(get_config(f, 0, UINT32_MAX, 0, &config), 0);
	config = (struct vhost_wire_config){.offset = FAKE_CONFIG - 1, .size = 2};
	assert_int_equal(fake_ask(f, VHOST_USER_SET_CONFIG, &config, 14, NULL, 0), 1);
}

static void test_a_second_slow_send_within_a_minute_ends_the_channel(void **state)
{
	struct fake *f = *state;
	struct fake_log log;
	int channel;

	fake_negotiate(f);
	channel = open_channel(f);
	start_a_ring(f);
	slow_sends = 1; /* a hypervisor may have taken the CPU away */
	assert_int_equal(vhost_device_config_changed(f->dev), 0);
	assert_int_equal(vhost_device_config_changed(f->dev), 0);
	f->dev->channel.slow_ms -= 60001;
	slow_sends = 1;
	assert_int_equal(vhost_device_config_changed(f->dev), 0);
	slow_sends = 1;
	fake_log_begin(&log);
	assert_int_equal(vhost_device_config_changed(f->dev), -EIO);
	assert_int_equal(fake_log_end(&log, "took more than 5 ms"), 1);
	assert_int_equal(vhost_device_config_changed(f->dev), -ENOTCONN);
	close(channel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_a_request_arrives, fake_setup, fake_teardown),
	    cmocka_unit_test_setup_teardown(
		test_a_descriptor_goes_along, fake_setup, fake_teardown),
	    cmocka_unit_test_setup_teardown(
		test_an_answer_is_waited_for_without_waiting, fake_setup, fake_teardown),
	    cmocka_unit_test_setup_teardown(
		test_an_answer_that_cannot_be_read_holds_up_nobody, fake_setup, fake_teardown),
	    cmocka_unit_test_setup_teardown(
		test_a_wrong_answer_ends_the_channel_not_the_port, fake_setup, fake_teardown),
	    cmocka_unit_test_setup_teardown(
		test_a_front_end_that_does_not_read_loses_the_channel, fake_setup, fake_teardown),
	    cmocka_unit_test_setup_teardown(
		test_a_second_slow_send_within_a_minute_ends_the_channel, fake_setup,
		fake_teardown),
	    cmocka_unit_test_setup_teardown(
		test_only_a_local_stream_socket_will_do, fake_setup, fake_teardown),
	    cmocka_unit_test_setup_teardown(
		test_a_thousand_channels_leak_nothing, fake_setup, fake_teardown),
	    cmocka_unit_test_setup_teardown(
		test_configuration_is_read_and_written_within_bounds, fake_setup, fake_teardown),
	};

	return emulated_result(cmocka_run_group_tests(tests, NULL, NULL));
}
