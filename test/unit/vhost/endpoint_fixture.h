/* SPDX-License-Identifier: BSD-3-Clause */
/* An endpoint on an event loop of its own, and front-ends that are sockets and no more. */
#pragma once

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "fake.h"
#include "vhost/endpoint.h"

/* Everything a test needs; one at a time. */
static struct {
	struct fake fake;
	struct event_base *base;
	struct vhost_endpoint *endpoint;
	char dir[64], path[96];
	unsigned fds;
} t;

static unsigned connects, disconnects;

static inline void changed(struct vhost_device *dev, bool connected)
{
	static const struct vhost_device_state blank;

	assert_ptr_equal(dev, t.fake.dev);
	if (connected)
		connects++;
	else
		disconnects++;
	/* Before the first message and after a disconnect the device has no state. */
	assert_memory_equal(&dev->state, &blank, sizeof(blank));
}

static inline int setup(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	memset(&t, 0, sizeof(t));
	t.fds = count_fds();
	connects = disconnects = 0;
	snprintf(t.dir, sizeof(t.dir), "/tmp/vhost-test-XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	snprintf(t.path, sizeof(t.path), "%s/socket", t.dir);
	t.base = event_base_new();
	assert_non_null(t.base);
	fake_create(&t.fake);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	vhost_endpoint_destroy(t.endpoint);
	assert_int_equal(connects, disconnects);
	fake_destroy(&t.fake);
	event_base_free(t.base);
	unlink(t.path);
	assert_int_equal(rmdir(t.dir), 0);
	assert_int_equal(count_fds(), t.fds);
	return 0;
}

static inline int create_with(
    enum vhost_endpoint_mode mode, const char *path, int fd, int socket_mode)
{
	struct vhost_endpoint_config config = {
	    .mode = mode,
	    .path = path,
	    .fd = fd,
	    .socket_mode = socket_mode,
	    .owner = -1,
	    .group = -1,
	    .connection_changed = changed,
	};

	return vhost_endpoint_create(t.base, &config, t.fake.dev, &t.endpoint);
}

static inline int serve(const char *path)
{
	/* The log level hides the log lines of failures that a test provokes. */
	return create_with(VHOST_ENDPOINT_SERVER, path, -1, -1);
}

static inline void run_ms(unsigned ms)
{
	const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	event_base_loopexit(t.base, &tv);
	event_base_dispatch(t.base);
}

/* Run until the counter has that value, for at most five seconds. */
static inline void run_until(const unsigned *counter, unsigned value)
{
	for (unsigned i = 0; i < 250 && *counter != value; i++)
		run_ms(20);
	assert_int_equal(*counter, value);
}

static inline struct sockaddr_un address(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	snprintf(a.sun_path, sizeof(a.sun_path), "%.100s", t.path);
	return a;
}

/* A socket bound to the test's path; listening or not. */
static inline int bound_socket(int type, bool listening)
{
	struct sockaddr_un a = address();
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	if (listening)
		assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static inline int front_end(void)
{
	struct sockaddr_un a = address();
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* Ask for the features and wait for the answer. */
static inline void converse(int fd)
{
	struct vhost_header ask = {VHOST_USER_GET_FEATURES, VHOST_VERSION, 0};
	struct {
		struct vhost_header header;
		uint8_t features[8];
	} reply;
	ssize_t n = -1;

	assert_int_equal(send(fd, &ask, sizeof(ask), MSG_NOSIGNAL), sizeof(ask));
	for (unsigned i = 0; i < 100 && n != (ssize_t)sizeof(reply); i++) {
		run_ms(5);
		n = recv(fd, &reply, sizeof(reply), MSG_DONTWAIT);
	}
	assert_int_equal(n, sizeof(reply));
	assert_int_equal(reply.header.flags, 0x5);
}

static inline double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec * 1e-9;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static inline void send_mtus(int fd, unsigned n)
{
	for (uint64_t mtu = 1500; mtu < 1500 + n; mtu++) {
		struct {
			struct vhost_header header;
			uint64_t mtu;
		} __attribute__((packed))
		m = {{VHOST_USER_NET_SET_MTU, VHOST_VERSION, sizeof(mtu)}, mtu};

		assert_int_equal(send(fd, &m, sizeof(m), 0), sizeof(m));
	}
}
