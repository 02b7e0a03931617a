/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest arrives on a port, as after a live migration. The switch announces its address
 * (SEND_RARP) and learns it. The device state contains the addresses that its old port had learned.
 * The new port gets them.
 */
#include "functional.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vhost/rate.h"

#define N 3

struct lab {
	struct switch_process sw;
	struct net_driver *nd[N];
};

static int lab_setup(void **state)
{
	struct lab *l = calloc(1, sizeof(*l));

	switch_start(&l->sw, N, 2, false);
	for (unsigned i = 0; i < N; i++) {
		struct net_config c = usual_config(i % 2 ? FEATURES_PACKED : FEATURES_BASE, 1);

		l->nd[i] = attach(&l->sw, i, &c);
	}
	introduce(l->nd, N);
	*state = l;
	return 0;
}

static int lab_teardown(void **state)
{
	struct lab *l = *state;

	switch_finish(&l->sw);
	for (unsigned i = 0; i < N; i++)
		net_driver_destroy(l->nd[i]);
	free(l);
	return 0;
}

static void expect_announcement(struct net_driver *nd, const uint8_t mac[6])
{
	static const uint8_t what[] = {0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3};
	static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};
	struct net_frame f;

	must(receive_within(nd, 0, &f, 5000), "no announcement");
	must_equal(f.len, 60, "length of an announcement");
	must(memcmp(f.bytes, all, 6) == 0, "an announcement is not for everyone");
	must(memcmp(f.bytes + 6, mac, 6) == 0, "an announcement has another source");
	must(memcmp(f.bytes + 12, what, sizeof(what)) == 0, "an announcement is no RARP request");
	must(memcmp(f.bytes + 22, mac, 6) == 0, "an announcement names another sender");
	must(memcmp(f.bytes + 32, mac, 6) == 0, "an announcement names another target");
}

/* A frame to mac from station `from` arrives at port `at` only; or everywhere (N). */
static void expect_at(struct lab *l, const uint8_t mac[6], unsigned from, unsigned at)
{
	uint64_t random = 3;
	uint8_t frame[100], src[6];

	station_mac(src, from, 0);
	make_frame(frame, sizeof(frame), mac, src, &random);
	send_surely(l->nd[from], 0, frame, sizeof(frame), NULL, NULL);
	for (unsigned i = 0; i < N; i++) {
		bool wanted = i != from && (at == i || at == N);
		struct net_frame f;

		must_equal(receive_within(l->nd[i], 0, &f, wanted ? 5000 : 30), wanted,
		    "whether the frame is at a port");
	}
}

static void test_an_announcement_is_learned_and_flooded(void **state)
{
	struct lab *l = *state;
	uint8_t mac[6];

	for (unsigned i = 0; i < N; i++) {
		for (unsigned k = 0; k < 20; k++) {
			station_mac(mac, 9, k);
			must_equal(
			    -frontend_send_rarp(&l->nd[i]->fe, mac), 0, "errno of SEND_RARP");
			for (unsigned p = 0; p < N; p++)
				if (p != i)
					expect_announcement(l->nd[p], mac);
		}
		must_equal(drain(l->nd[i], 20), 0, "announcements to the port itself");
		expect_at(l, mac, (i + 1) % N, i);
	}
}

static void test_an_announcement_waits_for_the_rings(void **state)
{
	struct lab *l = *state;
	uint8_t mac[6];

	station_mac(mac, 9, 1);
	must_equal(-net_driver_stop(l->nd[0]), 0, "errno of net_driver_stop");
	must_equal(-frontend_send_rarp(&l->nd[0]->fe, mac), 0, "errno of SEND_RARP");
	must_equal(drain(l->nd[1], 50), 0, "announcements of a stopped port");
	must_equal(-net_driver_resume(l->nd[0]), 0, "errno of net_driver_resume");
	expect_announcement(l->nd[1], mac);
	expect_announcement(l->nd[2], mac);
	/* The announcement is not repeated. */
	must_equal(-net_driver_stop(l->nd[0]), 0, "errno of net_driver_stop");
	must_equal(-net_driver_resume(l->nd[0]), 0, "errno of net_driver_resume");
	must_equal(drain(l->nd[1], 50), 0, "announcements of old news");
}

static void test_nonsense_is_not_announced(void **state)
{
	static const uint8_t bad[][6] = {{0}, {1, 2, 3, 4, 5, 6}, {255, 255, 255, 255, 255, 255}};
	struct lab *l = *state;
	struct net_frame f;
	uint8_t mac[6];

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		must_equal(
		    -frontend_send_rarp(&l->nd[0]->fe, bad[i]), EREMOTEIO, "errno of SEND_RARP");
	/*
	 * Ask for announcements faster than they can be sent, and more than may be sent at once:
	 * some are lost, some wait, and nothing else happens.
	 */
	station_mac(mac, 9, 1);
	for (unsigned i = 0; i < RATE_BURST / RATE_ANNOUNCEMENT + 50; i++)
		frontend_send_rarp(&l->nd[0]->fe, mac);
	must(receive_within(l->nd[1], 0, &f, 5000), "no announcement at all");
	drain(l->nd[1], 100);
	drain(l->nd[2], 100);
}

static ssize_t save(struct net_driver *nd, uint8_t *bytes, size_t room)
{
	ssize_t len;
	int ends[2];

	must(pipe2(ends, O_CLOEXEC) == 0, "pipe");
	must(fcntl(ends[1], F_SETPIPE_SZ, 4096) > 0, "a small pipe"); /* to be made larger */
	must_equal(-frontend_set_device_state_fd(&nd->fe, false, ends[1]), 0, "errno of saving");
	close(ends[1]);
	len = read(ends[0], bytes, room);
	must(len > 0 && read(ends[0], bytes + len, room - len) == 0, "the saved state");
	close(ends[0]);
	must_equal(-frontend_check_device_state(&nd->fe), 0, "errno of the saved state's check");
	return len;
}

static int load(struct net_driver *nd, const uint8_t *bytes, size_t len)
{
	int ends[2];

	must(pipe2(ends, O_CLOEXEC) == 0, "pipe");
	must_equal(-frontend_set_device_state_fd(&nd->fe, true, ends[0]), 0, "errno of loading");
	close(ends[0]);
	must_equal(write(ends[1], bytes, len), len, "bytes written into a pipe");
	close(ends[1]);
	return frontend_check_device_state(&nd->fe);
}

static void say(struct lab *l, unsigned from, const uint8_t mac[6])
{
	static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};
	uint64_t random = 4;
	uint8_t frame[60];

	make_frame(frame, sizeof(frame), all, mac, &random);
	send_surely(l->nd[from], 0, frame, sizeof(frame), NULL, NULL);
	for (unsigned i = 0; i < N; i++) {
		struct net_frame f;

		if (i != from)
			must(receive_within(l->nd[i], 0, &f, 5000), "a broadcast does not arrive");
	}
}

static void test_learned_addresses_are_handed_over(void **state)
{
	struct lab *l = *state;
	uint8_t bytes[4096], mac[6];
	ssize_t len;

	for (unsigned k = 0; k < 50; k++) {
		station_mac(mac, 7, k);
		say(l, 0, mac);
	}
	expect_at(l, mac, 2, 0);
	must_equal(-frontend_set_device_state_fd(&l->nd[0]->fe, false, 1), EREMOTEIO,
	    "errno of saving while rings run");
	must_equal(-net_driver_stop(l->nd[0]), 0, "errno of net_driver_stop");
	len = save(l->nd[0], bytes, sizeof(bytes));
	must_equal(len, 12 + 51 * 6, "bytes of the state");
	must_equal(-net_driver_resume(l->nd[0]), 0, "errno of net_driver_resume");
	/* The guest's new port. */
	must_equal(-net_driver_stop(l->nd[1]), 0, "errno of net_driver_stop");
	must_equal(-load(l->nd[1], bytes, len), 0, "errno of loading");
	must_equal(-net_driver_resume(l->nd[1]), 0, "errno of net_driver_resume");
	for (unsigned k = 0; k < 50; k++) {
		station_mac(mac, 7, k);
		expect_at(l, mac, 2, 1);
	}
}

static void test_a_hostile_state_changes_nothing(void **state)
{
	struct lab *l = *state;
	uint8_t good[64], bad[64], mac[6];
	uint64_t random = 11;
	ssize_t len;

	must_equal(-net_driver_stop(l->nd[0]), 0, "errno of net_driver_stop");
	must_equal(-net_driver_stop(l->nd[1]), 0, "errno of net_driver_stop");
	len = save(l->nd[0], good, sizeof(good));
	must_equal(len, 18, "bytes of the state");
	for (ssize_t cut = 1; cut < len; cut++)
		must_equal(-load(l->nd[1], good, cut), EREMOTEIO, "errno of a state cut short");
	for (ssize_t at = 0; at < 12; at++) {
		memcpy(bad, good, len);
		bad[at] ^= 1 + random_next(&random) % 255;
		must_equal(-load(l->nd[1], bad, len), EREMOTEIO, "errno of a state with a fault");
	}
	memcpy(bad, good, len);
	bad[len] = 0;
	must_equal(-load(l->nd[1], bad, len + 1), EREMOTEIO, "errno of a state too long");
	bad[12] |= 1;
	must_equal(-load(l->nd[1], bad, len), EREMOTEIO, "errno of a state with a group address");
	memset(bad + 12, 0, 6);
	must_equal(-load(l->nd[1], bad, len), EREMOTEIO, "errno of a state with address 0");
	must_equal(-net_driver_resume(l->nd[0]), 0, "errno of net_driver_resume");
	must_equal(-net_driver_resume(l->nd[1]), 0, "errno of net_driver_resume");
	station_mac(mac, 0, 0);
	expect_at(l, mac, 2, 0);
}

#define LAB(test) cmocka_unit_test_setup_teardown(test, lab_setup, lab_teardown)

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
	    LAB(test_an_announcement_is_learned_and_flooded),
	    LAB(test_an_announcement_waits_for_the_rings),
	    LAB(test_nonsense_is_not_announced),
	    LAB(test_learned_addresses_are_handed_over),
	    LAB(test_a_hostile_state_changes_nothing),
	};

	if (argc > 1)
		switch_binary(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
