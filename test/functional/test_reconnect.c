/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Front-ends that die while frames flow, and a back-end that dies.
 *
 * Two ports exchange numbered streams in this process. A third port belongs to a child process that
 * is killed again and again. The child may have at most 64 frames without an answer, so that it can
 * never fill the ring of a port that must not lose a frame.
 */
#include "functional.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define RESTARTS     20
#define CHILD_WINDOW 64

/* In the child: exchange frames with station 0 until killed. */
static void talk(const char *path, uint64_t seed)
{
	struct net_config c = usual_config(seed % 2 ? FEATURES_PACKED : FEATURES_BASE, 1);
	uint8_t src[6], dst[6], frame[1514];
	uint64_t progress = now_ns();
	struct net_driver *nd;
	struct net_frame f;
	unsigned waiting = 0;

	if (net_driver_create(&c, &nd) || connect_patiently(nd, path))
		_exit(1);
	station_mac(src, 2, 0);
	station_mac(dst, 0, 0);
	for (;;) {
		while (net_receive(nd, 0, &f) > 0 && waiting) {
			waiting--;
			progress = now_ns();
		}
		if (now_ns() - progress > 1000000000)
			waiting = 0; /* an answer was lost */
		if (waiting < CHILD_WINDOW) {
			uint32_t len = random_between(&seed, 60, sizeof(frame));

			make_frame(frame, len, dst, src, &seed);
			waiting += net_send(nd, 0, frame, len, NULL, NULL) == 0;
		} else {
			usleep(50);
		}
	}
}

static uint64_t answers;

static void answer(struct net_driver *nd, const struct net_frame *f)
{
	uint8_t frame[60], src[6];
	uint64_t random = 1;

	station_mac(src, 2, 0);
	if (f->len < 14 || memcmp(f->bytes + 6, src, 6) != 0)
		return; /* not from the child */
	make_frame(frame, sizeof(frame), src, f->bytes, &random);
	send_surely(nd, 0, frame, sizeof(frame), NULL, NULL);
	answers++;
}

/* Let a child talk while the streams run, then kill it in the middle of its traffic. */
static void child_lives_and_dies(struct switch_process *sw, struct stream s[2], unsigned round)
{
	uint64_t end = now_ns() + UINT64_C(20000000000), random = round, before = answers;
	pid_t pid = fork();

	must(pid >= 0, "fork");
	if (pid == 0)
		talk(sw->path[2], round);
	while (answers < before + 200) {
		must(now_ns() < end, "the third port carries no traffic");
		streams_step(s, 2);
	}
	end = now_ns() + random_between(&random, 1, 60) * 1000000;
	while (now_ns() < end)
		streams_step(s, 2);
	kill(pid, SIGKILL);
	for (unsigned i = 0; i < 100; i++)
		streams_step(s, 2);
	waitpid(pid, NULL, 0);
}

static void test_a_front_end_killed_20_times_costs_others_no_frame(void **state)
{
	struct net_config c = usual_config(FEATURES_BASE, 1), p = usual_config(FEATURES_PACKED, 1);
	struct switch_usage first, last;
	struct switch_process sw;
	struct net_driver *nd[2];
	struct stream s[2];
	json_t *stats;

	(void)state;
	switch_start(&sw, 3, 1, false);
	nd[0] = attach(&sw, 0, &c);
	nd[1] = attach(&sw, 1, &p);
	introduce(nd, 2);
	s[0] = usual_stream(nd, 0, 1, 1);
	s[1] = usual_stream(nd, 1, 0, 2);
	streams_other = answer;
	/* The first connections allocate memory that the switch keeps. */
	for (unsigned i = 0; i < 3; i++)
		child_lives_and_dies(&sw, s, i);
	first = switch_usage_at_rest(&sw);
	for (unsigned i = 0; i < RESTARTS; i++)
		child_lives_and_dies(&sw, s, i);
	last = switch_usage_at_rest(&sw);
	streams_settle(s, 2);
	streams_other = NULL;

	must_equal(last.n_fds, first.n_fds, "open descriptors of vswitchd");
	must_equal(last.n_maps, first.n_maps, "mappings of vswitchd");
	must(last.private_kib <= first.private_kib + 256, "vswitchd grows");
	must(s[0].received > 1000 && s[1].received > 1000, "the streams hardly ran");
	stats = switch_stop(&sw);
	switch_check_totals(stats);
	must_equal(switch_drops(stats, 0, "egress", NULL), 0, "drops at the first port");
	must_equal(switch_drops(stats, 1, "egress", NULL), 0, "drops at the second port");
	json_decref(stats);
	switch_remove(&sw);
	net_driver_destroy(nd[0]);
	net_driver_destroy(nd[1]);
}

static void accept_both(struct net_driver *nd[2], const int listen_fd[2])
{
	for (unsigned i = 0; i < 2; i++) {
		nd[i]->fe.timeout_ms = 5000;
		must_equal(-frontend_accept(&nd[i]->fe, listen_fd[i]), 0,
		    "errno of waiting for vswitchd to connect");
		nd[i]->fe.timeout_ms = 2000;
		must_equal(-net_driver_start(nd[i]), 0, "errno of net_driver_start");
	}
	introduce(nd, 2);
}

static void run_both_ways(struct net_driver *nd[2])
{
	struct stream s[2] = {usual_stream(nd, 0, 1, 1), usual_stream(nd, 1, 0, 2)};

	uint64_t deadline = now_ns() + UINT64_C(10000000000);

	do {
		must(now_ns() < deadline, "the streams hardly run");
		streams_run(s, 2, 300);
	} while (s[0].received <= 100 || s[1].received <= 100);
}

static void test_a_back_end_in_client_mode_connects_again(void **state)
{
	struct net_config c = usual_config(FEATURES_BASE, 1), p = usual_config(FEATURES_PACKED, 1);
	struct switch_process sw;
	struct net_driver *nd[2];
	int listen_fd[2];

	(void)state;
	switch_start(&sw, 2, 1, true);
	must_equal(-net_driver_create(&c, &nd[0]), 0, "errno of net_driver_create");
	must_equal(-net_driver_create(&p, &nd[1]), 0, "errno of net_driver_create");
	for (unsigned i = 0; i < 2; i++) {
		listen_fd[i] = frontend_listen(sw.path[i]);
		must(listen_fd[i] >= 0, "listen");
	}
	accept_both(nd, listen_fd);
	run_both_ways(nd);
	for (unsigned i = 0; i < 3; i++) { /* the back-end dies */
		switch_kill(&sw);
		switch_start_again(&sw);
		accept_both(nd, listen_fd);
		run_both_ways(nd);
	}
	for (unsigned i = 0; i < 3; i++) { /* both front-ends hang up */
		frontend_disconnect(&nd[0]->fe);
		frontend_disconnect(&nd[1]->fe);
		accept_both(nd, listen_fd);
		run_both_ways(nd);
	}
	switch_finish(&sw);
	for (unsigned i = 0; i < 2; i++) {
		close(listen_fd[i]);
		net_driver_destroy(nd[i]);
	}
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_front_end_killed_20_times_costs_others_no_frame),
	    cmocka_unit_test(test_a_back_end_in_client_mode_connects_again),
	};

	if (argc > 1)
		switch_binary(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
