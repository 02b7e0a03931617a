/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The order in which front-ends are served. Some of them wait, are silent, connect too often, or
 * were dropped before.
 */
#include "endpoint_fixture.h"
#include "vhost/work_queue.h"

/*
 * A front-end that has sent a message may stay, although another one waits for more than five
 * seconds.
 */
static void a_front_end_that_talks_keeps_its_socket(void **state)
{
	(void)state;
	assert_int_equal(serve(t.path), 0);
	int first = front_end();
	converse(first);
	int second = front_end();
	run_ms(5500);
	converse(first);
	assert_int_equal(connects, 1);
	close(first);
	converse(second);
	close(second);
	run_until(&disconnects, 2);
}

/* Connect a front-end that must rest because serving it took long, and disconnect it. */
static void be_slow_and_go(void)
{
	int fd = front_end();

	run_until(&connects, 1);
	t.fake.dev->state.features = VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	t.fake.dev->state.protocol_features = VHOST_PROTOCOL_BIT(NET_MTU);
	t.fake.delay_us = 35000;
	/* A single long visit has no effect. */
	send_mtus(fd, 3);
	run_ms(150);
	assert_int_equal(t.fake.mtu, 1501);
	t.fake.delay_us = 0;
	close(fd);
	run_until(&disconnects, 1);
	connects = disconnects = 0;
}

static void a_silent_front_end_gives_way_to_one_that_waits(void **state)
{
	double begin;
	char byte;

	(void)state;
	assert_int_equal(serve(t.path), 0);
	be_slow_and_go();
	begin = now();
	int silent = front_end();
	run_until(&connects, 1);
	/* A part of a message does not count as a message. */
	assert_int_equal(send(silent, "abc", 3, 0), 3);
	int second = front_end();
	run_ms(3000);
	assert_int_equal(disconnects, 0);
	run_until(&connects, 2);
	assert_true(now() - begin > 4.5);
	converse(second);
	assert_int_equal(disconnects, 1);
	assert_true(recv(silent, &byte, 1, MSG_DONTWAIT) <= 0);
	close(silent);
	close(second);
	run_until(&disconnects, 2);
}

static void a_silent_front_end_may_stay_while_nobody_waits(void **state)
{
	(void)state;
	assert_int_equal(serve(t.path), 0);
	int silent = front_end();
	run_ms(6000);
	assert_int_equal(disconnects, 0);
	converse(silent);
	close(silent);
	run_until(&disconnects, 1);
}

/* Connect as fast as possible. Without the limit there would be thousands of connections. */
static void connections_have_a_rate(void **state)
{
	double begin = now();

	(void)state;
	assert_int_equal(serve(t.path), 0);
	while (now() - begin < 2) {
		struct sockaddr_un a = address();
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		assert_true(fd >= 0);
		/* Fails when the backlog is full. */
		(void)connect(fd, (struct sockaddr *)&a, sizeof(a));
		close(fd);
		event_base_loop(t.base, EVLOOP_NONBLOCK);
	}
	/* The limit is 20 at once, and 20 a second after that. */
	assert_in_range(connects, 40, 62);
	run_ms(1000);
	assert_int_equal(connects, disconnects);
	int fd = front_end();
	converse(fd);
	close(fd);
	run_until(&disconnects, connects);
}

static void who_was_dropped_for_a_while_waits_for_it(void **state)
{
	char byte;

	(void)state;
	assert_int_equal(serve(t.path), 0);
	int fd = front_end();
	converse(fd);
	vhost_endpoint_drop_for(t.endpoint, 600);
	assert_int_equal(disconnects, 1);
	assert_true(recv(fd, &byte, 1, MSG_DONTWAIT) <= 0);
	close(fd);
	double begin = now();
	fd = front_end();
	run_ms(300);
	assert_int_equal(connects, 1);
	run_until(&connects, 2);
	assert_true(now() - begin > 0.55);
	converse(fd);
	close(fd);
	run_until(&disconnects, 2);
}

static void a_client_that_dropped_its_front_end_waits_too(void **state)
{
	(void)state;
	int listener = bound_socket(SOCK_STREAM, true);
	assert_int_equal(create_with(VHOST_ENDPOINT_CLIENT, t.path, -1, -1), 0);
	run_until(&connects, 1);
	vhost_endpoint_drop_for(t.endpoint, 600);
	double begin = now();
	run_until(&connects, 2);
	assert_true(now() - begin > 0.55);
	close(listener);
	run_until(&disconnects, 2);
}

static void the_peer_is_known(void **state)
{
	struct vhost_endpoint_peer peer;

	(void)state;
	assert_int_equal(serve(t.path), 0);
	assert_false(vhost_endpoint_peer(t.endpoint, &peer));
	int fd = front_end();
	run_ms(200);
	assert_true(vhost_endpoint_peer(t.endpoint, &peer));
	assert_int_equal(peer.pid, getpid());
	assert_in_range(peer.ms, 100, 5000);
	close(fd);
	run_until(&disconnects, 1);
	assert_false(vhost_endpoint_peer(t.endpoint, &peer));
}

static struct vhost_work works[3];
static char order[32];
static unsigned n_order;

static void take_turn(void *arg)
{
	struct vhost_work *work = arg;

	order[n_order++] = (char)('0' + (work - works));
	if (n_order < 6)
		vhost_work_add(work, 0);
}

/*
 * Items of the same due time: an item that is put into the queue again in its turn comes behind the
 * items that wait.
 */
static void those_that_wait_take_turns(void **state)
{
	(void)state;
	assert_int_equal(vhost_work_open(t.base), 0);
	for (unsigned i = 0; i < 3; i++) {
		works[i] = (struct vhost_work){.take = take_turn, .arg = &works[i]};
		vhost_work_add(&works[i], 0);
		vhost_work_add(&works[i], 0); /* it is in the queue already */
	}
	vhost_work_remove(&works[2]);
	vhost_work_remove(&works[2]);
	run_ms(100);
	assert_string_equal(order, "0101010");
	vhost_work_add(&works[2], 0);
	run_ms(100);
	assert_string_equal(order, "01010102");
	vhost_work_close();
}

static void what_is_due_earlier_goes_first(void **state)
{
	(void)state;
	n_order = 6;
	memset(order, 0, sizeof(order));
	assert_int_equal(vhost_work_open(t.base), 0);
	for (unsigned i = 0; i < 3; i++) {
		works[i] = (struct vhost_work){.take = take_turn, .arg = &works[i]};
		vhost_work_add(&works[i], 3 - i);
	}
	run_ms(100);
	assert_string_equal(order + 6, "210");
	vhost_work_close();
}

static void the_loop_is_late_until_it_looks_again(void **state)
{
	(void)state;
	assert_int_equal(vhost_work_open(t.base), 0);
	vhost_work_spend(VHOST_WORK_NS);
	assert_false(vhost_work_late());
	vhost_work_spend(1);
	assert_true(vhost_work_late());
	run_ms(10);
	assert_false(vhost_work_late());
	vhost_work_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_front_end_that_talks_keeps_its_socket),
	    TEST(a_silent_front_end_gives_way_to_one_that_waits),
	    TEST(a_silent_front_end_may_stay_while_nobody_waits),
	    TEST(connections_have_a_rate),
	    TEST(who_was_dropped_for_a_while_waits_for_it),
	    TEST(a_client_that_dropped_its_front_end_waits_too),
	    TEST(the_peer_is_known),
	    TEST(those_that_wait_take_turns),
	    TEST(what_is_due_earlier_goes_first),
	    TEST(the_loop_is_late_until_it_looks_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
