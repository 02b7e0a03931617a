/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Saving and loading the device state, and announcements, with correct and with wrong front-ends.
 */
#include "fake.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../emulated.h"
#include "../hostage.h"
#include "base/errand.h"
#include "vhost/channel.h"
#include "vhost/rate.h"
#include "vhost/transfer.h"

#define FAILED UINT64_C(0x101) /* no descriptor comes back, and an error */
#define FINE   UINT64_C(0x100)

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static int transfer_setup(void **state)
{
	signal(SIGPIPE, SIG_IGN);
	fake_setup(state);
	fake_negotiate(*state);
	return 0;
}

/* Run the session until it does not rest any more. The session itself never waits. */
static int run(struct fake *f)
{
	int error = SESSION_RESTS;

	for (unsigned i = 0; error == SESSION_RESTS && i < 2 * MOVE_WAIT_MS; i++) {
		int64_t start = now_ms();

		error = fake_run(f);
		assert_true(now_ms() - start < 500);
		if (error == SESSION_RESTS)
			usleep(1000);
	}
	return error;
}

static uint64_t set_fd(struct fake *f, uint32_t direction, uint32_t phase, int fd)
{
	struct vhost_wire_device_state wire = {.direction = direction, .phase = phase};
	union vhost_payload reply;
	struct vhost_header header;

	fake_send(f, VHOST_USER_SET_DEVICE_STATE_FD, 0, &wire, sizeof(wire), &fd, 1);
	assert_int_equal(run(f), LIVES);
	assert_true(fake_reply(f, &header, &reply));
	assert_int_equal(header.size, 8);
	return reply.u64;
}

static uint64_t check(struct fake *f)
{
	union vhost_payload reply;
	struct vhost_header header;

	fake_send(f, VHOST_USER_CHECK_DEVICE_STATE, 0, NULL, 0, NULL, 0);
	assert_int_equal(run(f), LIVES);
	assert_true(fake_reply(f, &header, &reply));
	assert_int_equal(header.size, 8);
	return reply.u64;
}

/*
 * Save the state into a pipe as a front-end does: only the back-end has the writing end. Read all
 * of it.
 */
static uint64_t save(struct fake *f, uint8_t *bytes, size_t room, ssize_t *ret_len)
{
	uint64_t result;
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	result = set_fd(f, VHOST_DEVICE_STATE_SAVE, VHOST_DEVICE_STATE_STOPPED, ends[1]);
	close(ends[1]);
	*ret_len = read(ends[0], bytes, room);
	close(ends[0]);
	return result;
}

static uint64_t load(struct fake *f, const void *bytes, size_t len)
{
	uint64_t result;
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	result = set_fd(f, VHOST_DEVICE_STATE_LOAD, VHOST_DEVICE_STATE_STOPPED, ends[0]);
	close(ends[0]);
	if (len)
		assert_int_equal(write(ends[1], bytes, len), len);
	close(ends[1]);
	return result;
}

static void a_state_goes_out_and_comes_in(void **state)
{
	struct fake *f = *state;
	uint8_t bytes[2000];
	ssize_t len;

	memset(f->state, 0x42, sizeof(f->state));
	f->state_len = sizeof(f->state);
	assert_int_equal(save(f, bytes, sizeof(bytes), &len), FINE);
	assert_int_equal(len, sizeof(f->state));
	assert_int_equal(check(f), 0);
	assert_int_equal(check(f), 1); /* no transfer was begun since */
	memset(f->state, 0, sizeof(f->state));
	f->state_len = 0;
	assert_int_equal(load(f, bytes, len), FINE);
	assert_int_equal(f->state_len, 0); /* the state is not applied before it is complete */
	assert_int_equal(check(f), 0);
	assert_int_equal(f->state_len, sizeof(f->state));
	assert_memory_equal(f->state, bytes, sizeof(f->state));
	assert_int_equal(load(f, NULL, 0), FINE);
	assert_int_equal(check(f), 0);
	assert_int_equal(f->state_len, 0);
}

static void a_state_the_device_refuses_is_reported(void **state)
{
	static uint8_t bytes[VHOST_DEVICE_STATE_MAX + 1] = {0xff};
	struct fake *f = *state;

	assert_int_equal(load(f, bytes, 10), FINE);
	assert_int_equal(check(f), 1);
	assert_int_equal(load(f, bytes, sizeof(bytes)), FINE); /* too long */
	assert_int_equal(check(f), 1);
	assert_int_equal(f->state_len, 0);
}

static void a_state_that_has_not_ended_is_not_waited_for(void **state)
{
	struct fake *f = *state;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(set_fd(f, VHOST_DEVICE_STATE_LOAD, 0, ends[0]), FINE);
	assert_int_equal(write(ends[1], "a", 1), 1);
	assert_int_equal(check(f), 1);
	close(ends[0]);
	close(ends[1]);
}

static void a_pipe_that_takes_nothing_is_not_waited_for(void **state)
{
	struct fake *f = *state;
	char page[4096] = "";
	int ends[2];

	f->state_len = 100;
	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	while (write(ends[1], page, sizeof(page)) > 0)
		;
	assert_int_equal(set_fd(f, VHOST_DEVICE_STATE_SAVE, 0, ends[1]), FINE);
	assert_int_equal(check(f), 1);
	assert_int_equal(set_fd(f, VHOST_DEVICE_STATE_SAVE, 0, ends[0]), FINE); /* wrong end */
	assert_int_equal(check(f), 1);
	close(ends[0]);
	assert_int_equal(set_fd(f, VHOST_DEVICE_STATE_SAVE, 0, ends[1]), FINE); /* no reader */
	assert_int_equal(check(f), 1);
	close(ends[1]);
}

/*
 * The pipe is smaller than the state. The back-end waits until the front-end has read some of it.
 */
static void a_state_goes_through_a_pipe_that_is_full(void **state)
{
	struct fake *f = *state;
	char page[4096] = "", byte;
	unsigned n = 0;
	int ends[2];

	f->state_len = sizeof(f->state);
	memset(f->state, 0x42, sizeof(f->state));
	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	assert_int_equal(fcntl(ends[1], F_SETPIPE_SZ, sizeof(page)), sizeof(page));
	assert_int_equal(write(ends[1], page, sizeof(page)), sizeof(page));
	assert_int_equal(set_fd(f, VHOST_DEVICE_STATE_SAVE, 0, ends[1]), FINE);
	close(ends[1]);
	assert_int_equal(read(ends[0], page, sizeof(page)), sizeof(page));
	assert_int_equal(fcntl(ends[0], F_SETFL, 0), 0);
	while (read(ends[0], &byte, 1) == 1) {
		assert_int_equal(byte, 0x42);
		n++;
	}
	assert_int_equal(n, sizeof(f->state));
	assert_int_equal(check(f), 0);
	close(ends[0]);
}

/*
 * Another process holds the pipe's lock in a write that never ends. Messages and the end of the
 * connection do not wait for the lock. The transfer waits for the lock. Until it has ended, the
 * port can have no other transfer.
 */
static void a_pipe_whose_lock_is_held_hangs_nobody(void **state)
{
	struct fake *f = *state;
	int64_t start = now_ms();
	int ends[2], other[2];
	pid_t holder;

	f->state_len = 100;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(pipe2(other, O_CLOEXEC), 0);
	holder = hold_pipe(ends[1]);
	assert_int_equal(set_fd(f, VHOST_DEVICE_STATE_SAVE, 0, ends[1]), FINE);
	assert_true(now_ms() - start < MOVE_WAIT_MS / 2);
	assert_int_equal(check(f), 1);
	assert_true(now_ms() - start >= MOVE_WAIT_MS);
	start = now_ms();
	assert_int_equal(set_fd(f, VHOST_DEVICE_STATE_LOAD, 0, ends[0]), FAILED);
	assert_int_equal(set_fd(f, VHOST_DEVICE_STATE_SAVE, 0, other[1]), FAILED);
	fake_disconnect(f);
	fake_connect(f);
	fake_negotiate(f);
	assert_int_equal(set_fd(f, VHOST_DEVICE_STATE_SAVE, 0, other[1]), FAILED);
	assert_true(now_ms() - start < MOVE_WAIT_MS / 2);
	release_holder(holder);
	for (unsigned i = 0; errand_pending() && i < 5000; i++)
		usleep(1000);
	f->state_len = 100;
	assert_int_equal(set_fd(f, VHOST_DEVICE_STATE_SAVE, 0, other[1]), FINE);
	assert_int_equal(check(f), 0);
	for (unsigned i = 0; i < 2; i++) {
		close(ends[i]);
		close(other[i]);
	}
}

static void other_descriptors_and_directions_are_refused(void **state)
{
	struct fake *f = *state;
	int file = memory_file(4096), event = event_file(), ends[2];

	assert_int_equal(pipe(ends), 0);
	for (uint32_t direction = 0; direction < 2; direction++) {
		assert_int_equal(set_fd(f, direction, 0, file), FAILED);
		assert_int_equal(set_fd(f, direction, 0, event), FAILED);
		assert_int_equal(set_fd(f, direction, 1, ends[direction]), FAILED);
	}
	assert_int_equal(set_fd(f, 2, 0, ends[0]), FAILED);
	assert_int_equal(set_fd(f, UINT32_MAX, 0, ends[0]), FAILED);
	assert_int_equal(check(f), 1);
	close(file);
	close(event);
	close(ends[0]);
	close(ends[1]);
}

static void while_rings_run_there_is_no_state(void **state)
{
	struct fake *f = *state;
	uint8_t bytes[10];
	ssize_t len;

	assert_int_equal(load(f, NULL, 0), FINE);
	assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_KICK, VHOST_VRING_NOFD, -1), 0);
	assert_int_equal(check(f), 1);
	assert_int_equal(save(f, bytes, sizeof(bytes), &len), FAILED);
	assert_int_equal(load(f, NULL, 0), FAILED);
	fake_get_base(f, 0);
	assert_int_equal(load(f, NULL, 0), FINE);
	assert_int_equal(check(f), 0);
}

/* The teardown also checks this: it counts descriptors. */
static void a_transfer_begun_again_and_again_leaks_nothing(void **state)
{
	struct fake *f = *state;
	unsigned before = count_fds();

	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(load(f, NULL, 0), FINE);
	assert_true(count_fds() <= before + 1);
}

static void only_some_announcements_may_be_made_at_once(void **state)
{
	struct fake *f = *state;
	const uint64_t mac = UINT64_C(0x010000000002);
	unsigned n, most = RATE_BURST / RATE_ANNOUNCEMENT;
	int error = LIVES;

	for (n = 0; error == LIVES && n < 2 * most; n++) {
		fake_send(f, VHOST_USER_SEND_RARP, 0, &mac, sizeof(mac), NULL, 0);
		error = fake_run(f);
	}
	assert_int_equal(error, SESSION_RESTS);
	assert_in_range(n, most - most / 10, 2 * most - 1);
	/* Its messages do not wait any more if it has gone. */
	for (n = 0; n < 100; n++)
		fake_send(f, VHOST_USER_SEND_RARP, 0, &mac, sizeof(mac), NULL, 0);
	assert_int_equal(fake_run(f), SESSION_RESTS);
	close(f->peer);
	f->peer = -1;
	assert_int_equal(fake_run(f), -EPIPE);
}

static void an_announcement_names_a_station(void **state)
{
	const uint8_t mac[6] = {0x02, 1, 2, 3, 4, 5};
	struct fake *f = *state;
	uint64_t value = 0;

	memcpy(&value, mac, 6);
	assert_int_equal(fake_u64(f, VHOST_USER_SEND_RARP, value | UINT64_C(0xabcd) << 48), 0);
	assert_memory_equal(f->announced, mac, 6);
	assert_int_equal(fake_u64(f, VHOST_USER_SEND_RARP, 0x1), 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, transfer_setup, fake_teardown)

static void start_a_ring(struct fake *f)
{
	int kick = event_file();

	assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_KICK, 0, kick), 0);
	close(kick);
}
static void send_answer(int channel, uint32_t request, uint32_t flags, uint64_t value)
{
	struct vhost_header header = {request, flags, sizeof(value)};

	assert_int_equal(send(channel, &header, sizeof(header), 0), sizeof(header));
	assert_int_equal(send(channel, &value, sizeof(value), 0), sizeof(value));
}

/* An answer about a doorbell that has arrived and was not read yet does not hinder a transfer. */
static void an_answer_on_the_channel_does_not_hinder_a_transfer(void **state)
{
	struct fake *f = *state;
	uint64_t value = 7;
	int pair[2], ends[2];

	start_a_ring(f);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(fake_ask(f, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1), 0);
	assert_int_equal(vhost_channel_send(f->dev, 3, NULL, 0, -1, true), 0);
	send_answer(pair[0], 3, VHOST_REPLY_FLAGS, 0);
	assert_int_equal(vhost_channel_answer(f->dev, &value), 0);
	usleep(100000);
	fake_get_base(f, 0);
	assert_int_equal(pipe(ends), 0);
	f->state_len = 100;
	assert_int_equal(set_fd(f, VHOST_DEVICE_STATE_SAVE, 0, ends[1]), FINE);
	assert_int_equal(check(f), 0);
	close(ends[0]);
	close(ends[1]);
	close(pair[0]);
	close(pair[1]);
}
int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(a_state_goes_out_and_comes_in),
	    T(a_state_the_device_refuses_is_reported),
	    T(a_state_that_has_not_ended_is_not_waited_for),
	    T(a_pipe_that_takes_nothing_is_not_waited_for),
	    T(a_state_goes_through_a_pipe_that_is_full),
	    T(a_pipe_whose_lock_is_held_hangs_nobody),
	    T(other_descriptors_and_directions_are_refused),
	    T(while_rings_run_there_is_no_state),
	    T(a_transfer_begun_again_and_again_leaks_nothing),
	    T(an_answer_on_the_channel_does_not_hinder_a_transfer),
	    T(an_announcement_names_a_station),
	    T(only_some_announcements_may_be_made_at_once),
	};

	if (emulated())
		return not_tested_emulated();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
