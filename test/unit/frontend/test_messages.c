/* SPDX-License-Identifier: BSD-3-Clause */
/* The front-end never waits for ever, and accepts only a correct reply. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "frontend/frontend.h"

struct pair {
	struct frontend fe;
	int peer;
};

static int setup(void **state)
{
	struct pair *p = malloc(sizeof(*p));
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	frontend_init(&p->fe);
	p->fe.fd = fds[0];
	p->fe.timeout_ms = 50;
	p->peer = fds[1];
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;

	frontend_cleanup(&p->fe);
	if (p->peer >= 0)
		close(p->peer);
	free(p);
	return 0;
}

static void reply_u64(struct pair *p, uint32_t id, uint32_t flags, uint64_t value)
{
	struct vhost_header h = {.request = id, .flags = flags, .size = sizeof(value)};

	assert_int_equal(write(p->peer, &h, sizeof(h)), sizeof(h));
	assert_int_equal(write(p->peer, &value, sizeof(value)), sizeof(value));
}

static void test_a_silent_peer_times_out(void **state)
{
	struct pair *p = *state;
	struct timespec a, b;
	uint64_t value;

	clock_gettime(CLOCK_MONOTONIC, &a);
	assert_int_equal(frontend_get_u64(&p->fe, VHOST_USER_GET_FEATURES, &value), -ETIMEDOUT);
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_true((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 < 1000);
}

static void test_half_a_reply_times_out(void **state)
{
	struct pair *p = *state;
	uint64_t value;

	assert_int_equal(write(p->peer, "\1\0\0\0\5", 5), 5);
	assert_int_equal(frontend_get_u64(&p->fe, VHOST_USER_GET_FEATURES, &value), -ETIMEDOUT);
}

static void test_a_peer_that_hung_up_is_told(void **state)
{
	struct pair *p = *state;
	uint64_t value;

	close(p->peer);
	p->peer = -1;
	assert_int_equal(frontend_get_u64(&p->fe, VHOST_USER_GET_FEATURES, &value), -ECONNRESET);
}

static void test_a_reader_that_stopped_times_out(void **state)
{
	struct pair *p = *state;
	uint8_t payload[4096] = {0};
	int err = 0;

	for (unsigned i = 0; i < 10000 && !err; i++)
		err = frontend_send(&p->fe, 1, VHOST_VERSION, payload, sizeof(payload), NULL, 0);
	assert_int_equal(err, -ETIMEDOUT);
}

static void test_another_message_is_not_the_reply(void **state)
{
	struct pair *p = *state;
	uint64_t value;

	reply_u64(p, VHOST_USER_GET_QUEUE_NUM, VHOST_REPLY_FLAGS, 5);
	assert_int_equal(frontend_get_u64(&p->fe, VHOST_USER_GET_FEATURES, &value), -EPROTO);
}

static void test_a_reply_without_the_reply_flag_is_none(void **state)
{
	struct pair *p = *state;
	uint64_t value;

	reply_u64(p, VHOST_USER_GET_FEATURES, VHOST_VERSION, 5);
	assert_int_equal(frontend_get_u64(&p->fe, VHOST_USER_GET_FEATURES, &value), -EPROTO);
}

static void test_with_reply_ack_a_refusal_is_an_error(void **state)
{
	struct pair *p = *state;
	struct vhost_header h;

	p->fe.protocol_features = VHOST_PROTOCOL_BIT(REPLY_ACK);
	reply_u64(p, VHOST_USER_SET_FEATURES, VHOST_REPLY_FLAGS, 1);
	assert_int_equal(frontend_set_u64(&p->fe, VHOST_USER_SET_FEATURES, 7), -EREMOTEIO);
	assert_int_equal(read(p->peer, &h, sizeof(h)), sizeof(h));
	assert_int_equal(h.request, VHOST_USER_SET_FEATURES);
	assert_int_equal(h.flags, VHOST_VERSION | VHOST_NEED_REPLY);
	assert_int_equal(h.size, 8);
}

static void test_a_region_can_be_found_by_both_addresses(void **state)
{
	struct pair *p = *state;
	int i = frontend_region_create(&p->fe, 0x10000, 0x3000, 0x7000000000, false);

	assert_true(i >= 0);
	assert_ptr_equal(frontend_memory(&p->fe, 0x10000, 0x3000), p->fe.region[i].host);
	assert_ptr_equal(frontend_memory(&p->fe, 0x12fff, 1), p->fe.region[i].host + 0x2fff);
	assert_null(frontend_memory(&p->fe, 0x12fff, 2));
	assert_null(frontend_memory(&p->fe, 0xffff, 1));
	assert_int_equal(frontend_uaddr(&p->fe, 0x10800), 0x7000000800);
	assert_int_equal(frontend_uaddr(&p->fe, 0x13000), 0);
	frontend_region_destroy(&p->fe, i);
	assert_null(frontend_memory(&p->fe, 0x10000, 1));
}

#define PAIR(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    PAIR(test_a_silent_peer_times_out),
	    PAIR(test_half_a_reply_times_out),
	    PAIR(test_a_peer_that_hung_up_is_told),
	    PAIR(test_a_reader_that_stopped_times_out),
	    PAIR(test_another_message_is_not_the_reply),
	    PAIR(test_a_reply_without_the_reply_flag_is_none),
	    PAIR(test_with_reply_ack_a_refusal_is_an_error),
	    PAIR(test_a_region_can_be_found_by_both_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
