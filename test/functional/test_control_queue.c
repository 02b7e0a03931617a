/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front-end that leaves the configuration space and the control queue to the switch, as User Mode
 * Linux does. Its driver starts one ring more than its queue pairs need: the control queue. The
 * driver gets answers to its commands, and frames on the queues that it asked for. A wrong control
 * queue affects only its own port.
 */
#include "functional.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "frontend/control_queue.h"

#define PAIRS     8 /* by default */
#define FLOWS     64
#define IN_TIME   UINT64_C(100000000) /* most answers; a machine that stands still delays some */
#define LATEST    UINT64_C(1000000000)
#define FLOOD_MS  1000
#define ANSWER_NS UINT64_C(50000000)

#define CONTROL_FEATURES \
	(VIRTIO_BIT(NET_F_CTRL_VQ) | VIRTIO_BIT(NET_F_CTRL_RX) | VIRTIO_BIT(NET_F_GUEST_ANNOUNCE))
#define INBAND (VHOST_PROTOCOL_BIT(BACKEND_REQ) | VHOST_PROTOCOL_BIT(INBAND_NOTIFICATIONS))

struct lab {
	struct switch_process sw;
	struct net_driver *nd[2]; /* a usual one, and the one with a control queue */
	struct control_queue *cq;
	uint8_t mac[2][6];
	unsigned answers, late;
};

static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};

/*
 * Connect port 1 with all pairs that the configuration space announces, and the control queue
 * behind them.
 */
static void open_lab(struct lab *l, uint64_t features, enum control_kick kick)
{
	struct net_config usual = usual_config(FEATURES_BASE, 1), c;
	bool mq = features & VIRTIO_BIT(NET_F_MQ);
	unsigned pairs = mq ? PAIRS : 1;

	memset(l, 0, sizeof(*l));
	if (kick == CONTROL_KICK_INBAND)
		switch_option("--inband-notifications");
	switch_start(&l->sw, 3, 1, false);
	switch_option(NULL);
	l->nd[0] = attach(&l->sw, 0, &usual);
	c = usual_config(features | CONTROL_FEATURES, pairs);
	c.ring_size = 128;
	c.protocol_features = VHOST_PROTOCOL_BIT(CONFIG);
	if (kick == CONTROL_KICK_INBAND)
		c.protocol_features |= INBAND;
	must_equal(-net_driver_create(&c, &l->nd[1]), 0, "errno of a driver");
	must_equal(-control_queue_create(&l->nd[1]->fe, &l->cq), 0, "errno of a control queue");
	must_equal(-connect_patiently(l->nd[1], l->sw.path[1]), 0, "errno of a connection");
	must_equal(-control_queue_start(l->cq, 2 * pairs, kick), 0, "errno of the last ring");
	for (unsigned i = 0; i < 2; i++)
		station_mac(l->mac[i], i, 0);
	introduce(l->nd, 2);
}

static void close_lab(struct lab *l)
{
	must(l->late <= 1 + l->answers / 10, "answers come late");
	switch_finish(&l->sw);
	control_queue_destroy(l->cq);
	for (unsigned i = 0; i < 2; i++)
		net_driver_destroy(l->nd[i]);
}

static void expect_answer(
    struct lab *l, uint8_t class, uint8_t command, const void *data, uint32_t len, int answer)
{
	uint64_t begin = now_ns();

	must_equal(control_queue_command(l->cq, class, command, data, len), answer, "an answer");
	l->answers++;
	l->late += now_ns() - begin >= IN_TIME;
	must(now_ns() - begin < LATEST, "an answer comes late");
}

static void use_pairs(struct lab *l, uint16_t pairs)
{
	expect_answer(l, CONTROL_MQ, 0, &pairs, 2, CONTROL_OK);
}

/* Check what the switch counted of these commands. */
static void expect_counts(struct lab *l, bool mq)
{
	json_t *stats = switch_stats(&l->sw);
	const json_t *port = json_array_get(json_object_get(stats, "ports"), 1);
	const json_t *control = json_object_get(port, "control_queue");

	must(json_is_true(json_object_get(control, "served")), "the queue is not served");
	must_equal(json_integer_value(json_object_get(control, "commands")), mq ? 7 : 4,
	    "commands counted");
	must_equal(json_integer_value(json_object_get(control, "refused")), mq ? 11 : 14,
	    "refused commands counted");
	must_equal(
	    json_integer_value(json_object_get(control, "pairs")), mq ? PAIRS : 1, "pairs in use");
	json_decref(stats);
}

static void run_commands(uint64_t features, enum control_kick kick)
{
	static const uint8_t on = 1, no_addresses[8];
	const uint16_t good[] = {1, 3, PAIRS}, bad[] = {0, PAIRS + 1, 0x8000, 0xffff};
	struct lab l;

	open_lab(&l, features, kick);
	for (uint8_t command = 0; command < 2; command++)
		expect_answer(&l, CONTROL_RX, command, &on, 1, CONTROL_OK);
	expect_answer(&l, CONTROL_RX, 0, NULL, 0, CONTROL_ERR);
	expect_answer(&l, CONTROL_RX, 6, &on, 1, CONTROL_ERR);
	expect_answer(&l, CONTROL_MAC, 0, no_addresses, 8, CONTROL_OK);
	expect_answer(&l, CONTROL_MAC, 1, broadcast, 6, CONTROL_ERR);
	expect_answer(&l, CONTROL_VLAN, 0, bad, 2, CONTROL_ERR);
	expect_answer(&l, CONTROL_ANNOUNCE, 0, NULL, 0, CONTROL_OK);
	for (unsigned i = 0; i < ARRAY_SIZE(good); i++)
		expect_answer(&l, CONTROL_MQ, 0, &good[i], 2,
		    features & VIRTIO_BIT(NET_F_MQ) ? CONTROL_OK : CONTROL_ERR);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		expect_answer(&l, CONTROL_MQ, 0, &bad[i], 2, CONTROL_ERR);
	expect_answer(&l, CONTROL_MQ, 0, bad, 1, CONTROL_ERR);
	expect_answer(&l, CONTROL_MQ, 1, good, 2, CONTROL_ERR);
	expect_answer(&l, 77, 0, good, 2, CONTROL_ERR);
	expect_counts(&l, features & VIRTIO_BIT(NET_F_MQ));
	close_lab(&l);
}

static void test_commands_are_answered_in_time(void **state)
{
	(void)state;
	run_commands(FEATURES_BASE, CONTROL_KICK_EVENTFD);
	run_commands(FEATURES_BASE & ~VIRTIO_BIT(NET_F_MQ), CONTROL_KICK_EVENTFD);
	run_commands(FEATURES_PACKED, CONTROL_KICK_EVENTFD);
}

static void test_commands_are_answered_however_the_driver_kicks(void **state)
{
	(void)state;
	run_commands(FEATURES_PACKED, CONTROL_KICK_INBAND);
	run_commands(FEATURES_BASE, CONTROL_KICK_NONE);
}

/*
 * Send a frame of each flow to port 1. All frames must arrive. Returns a mask of the pairs on which
 * they arrive.
 */
static unsigned run_flows(struct lab *l)
{
	unsigned pairs = l->nd[1]->config.n_pairs, used = 0, got = 0;
	uint64_t end = now_ns() + UINT64_C(2000000000);
	struct net_frame f;

	for (unsigned flow = 0; flow < FLOWS; flow++) {
		uint8_t frame[FLOW_LEN];

		make_flow(frame, l->mac[1], l->mac[0], flow);
		send_surely(l->nd[0], 0, frame, sizeof(frame), NULL, NULL);
	}
	/* Take all frames, and any that should not come after them. */
	while (now_ns() < end) {
		if (got == FLOWS)
			end = MIN(end, now_ns() + UINT64_C(30000000));
		for (unsigned pair = 0; pair < pairs; pair++) {
			while (receive_within(l->nd[1], pair, &f, 1)) {
				used |= 1u << pair;
				got++;
			}
		}
	}
	must_equal(got, FLOWS, "flows that arrive");
	return used;
}

static void run_pairs(uint64_t features)
{
	struct lab l;

	open_lab(&l, features, CONTROL_KICK_EVENTFD);
	/* All pairs are enabled, but a driver that has sent no command uses only the first. */
	must_equal(run_flows(&l), 1, "pairs in use before the driver has said");
	use_pairs(&l, PAIRS);
	must_equal(run_flows(&l), (1u << PAIRS) - 1, "pairs in use when all are");
	use_pairs(&l, 3);
	must_equal(run_flows(&l), 7, "pairs in use when three are");
	/* A new memory table does not change the number of pairs. */
	must_equal(-frontend_set_mem_table(&l.nd[1]->fe), 0, "errno of a memory table");
	must_equal(run_flows(&l), 7, "pairs in use after a memory table");
	use_pairs(&l, 1);
	must_equal(run_flows(&l), 1, "pairs in use when one is");
	close_lab(&l);
}

static void test_frames_use_the_pairs_that_the_driver_asked_for(void **state)
{
	(void)state;
	run_pairs(FEATURES_BASE);
	run_pairs(FEATURES_PACKED);
}

static void test_without_mq_the_third_ring_takes_no_frames(void **state)
{
	struct lab l;

	(void)state;
	open_lab(&l, FEATURES_BASE & ~VIRTIO_BIT(NET_F_MQ), CONTROL_KICK_EVENTFD);
	must_equal(run_flows(&l), 1, "pairs in use");
	expect_answer(&l, CONTROL_ANNOUNCE, 0, NULL, 0, CONTROL_OK);
	close_lab(&l);
}

/*
 * A front-end that does not read the configuration space from the switch may have more pairs. Its
 * ring 16 carries frames.
 */
static void test_other_front_ends_keep_all_their_rings(void **state)
{
	enum { MANY = 12 };
	const uint64_t protocols[] = {0, VHOST_PROTOCOL_BIT(CONFIG)};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(protocols); i++) {
		struct net_config usual = usual_config(FEATURES_BASE, 1);
		struct net_config c = usual_config(FEATURES_BASE | CONTROL_FEATURES, MANY);
		struct lab l;

		memset(&l, 0, sizeof(l));
		switch_start(&l.sw, 2, 1, false);
		c.ring_size = 128;
		c.protocol_features = protocols[i];
		l.nd[0] = attach(&l.sw, 0, &usual);
		l.nd[1] = attach(&l.sw, 1, &c);
		station_mac(l.mac[0], 0, 0);
		station_mac(l.mac[1], 1, 0);
		introduce(l.nd, 2);
		must(run_flows(&l) & 1u << PAIRS, "the ninth egress queue is not used");
		close_lab(&l);
	}
}

static void test_the_number_of_pairs_is_an_option(void **state)
{
	static const struct {
		const char *option;
		unsigned pairs;
	} table[] = {{NULL, PAIRS}, {"--queue-pairs 1", 1}, {"--queue-pairs 128", 128}};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		struct virtio_net_config space;
		struct switch_process sw;
		struct frontend fe;
		uint64_t rings;

		switch_option(table[i].option);
		switch_start(&sw, 1, 1, false);
		switch_option(NULL);
		frontend_init(&fe);
		must_equal(-frontend_connect(&fe, sw.path[0]), 0, "errno of a connection");
		must_equal(-frontend_negotiate(&fe,
			       FEATURES_BASE | VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES),
			       VHOST_PROTOCOL_BIT(CONFIG) | VHOST_PROTOCOL_BIT(MQ)),
		    0, "errno of negotiation");
		must_equal(
		    -frontend_get_config(&fe, 0, &space, sizeof(space)), 0, "errno of GET_CONFIG");
		must_equal(space.max_virtqueue_pairs, table[i].pairs, "pairs that a driver sees");
		must_equal(-frontend_get_u64(&fe, VHOST_USER_GET_QUEUE_NUM, &rings), 0,
		    "errno of GET_QUEUE_NUM");
		must_equal(rings, 256, "rings that a front-end may have");
		frontend_cleanup(&fe);
		switch_finish(&sw);
	}
}

enum { HOSTILE_ANSWERED = 1, HOSTILE_BREAKS = 6 };

/* Add a wrong chain of this kind. The ring must then either be stopped or answer a good command. */
static void add_hostile(struct control_queue *cq, unsigned kind)
{
	const struct driver_buffer in = {CONTROL_GPA + 60000, 8}, out = {CONTROL_GPA + 61000, 64},
				   nowhere = {UINT64_C(1) << 46, 64},
				   tiny = {CONTROL_GPA + 61000, 1},
				   large = {NET_BUFFERS_GPA, 80000};
	const struct {
		struct driver_buffer buffer[3];
		unsigned n_out, n_in;
	} table[] = {
	    {{in}, 0, 1},               /* no command */
	    {{out}, 1, 0},              /* nowhere to answer */
	    {{tiny, in}, 1, 1},         /* half a header */
	    {{nowhere, in}, 1, 1},      /* a command that is not there */
	    {{out, nowhere}, 1, 1},     /* an answer that is not there */
	    {{large, large, in}, 2, 1}, /* more than any frame */
	};

	if (kind < ARRAY_SIZE(table))
		driver_ring_add(
		    &cq->ring, table[kind].buffer, table[kind].n_out, table[kind].n_in, cq->host);
	else
		((struct vring_split_avail *)cq->ring.driver)->idx += 1000; /* breaks the ring */
	driver_ring_publish(&cq->ring);
	control_queue_kick(cq);
}

/* Add a wrong chain while the port's frames flow; another front-end still gets an answer. */
static void run_hostile(struct lab *l, unsigned kind)
{
	struct stream s[2] = {usual_stream(l->nd, 0, 1, 0), usual_stream(l->nd, 1, 0, 1)};
	uint64_t ignored;

	add_hostile(l->cq, kind);
	streams_run(s, 2, 50);
	streams_settle(s, 2);
	must_equal(-frontend_get_u64(&l->nd[0]->fe, VHOST_USER_GET_FEATURES, &ignored), 0,
	    "errno of another front-end");
}

static void test_hostile_contents_cost_only_the_port(void **state)
{
	struct lab l;

	(void)state;
	open_lab(&l, FEATURES_BASE, CONTROL_KICK_EVENTFD);
	for (unsigned kind = HOSTILE_ANSWERED; kind < HOSTILE_BREAKS; kind++) {
		run_hostile(&l, kind);
		control_queue_wait(l.cq, 1000); /* the answer to the wrong chain */
		expect_answer(&l, CONTROL_ANNOUNCE, 0, NULL, 0, CONTROL_OK);
	}
	run_hostile(&l, HOSTILE_BREAKS);
	for (unsigned tries = 0; !switch_log_contains(&l.sw, "ring 16 is stopped"); tries++)
		must(tries < 500 && usleep(10000) == 0, "no word of it");
	close_lab(&l);
}

static void test_a_receive_buffer_is_left_alone(void **state)
{
	struct lab l;

	(void)state;
	open_lab(&l, FEATURES_BASE, CONTROL_KICK_EVENTFD);
	run_hostile(&l, 0);
	must(control_queue_wait(l.cq, 50) == -ETIMEDOUT, "an answer without a command");
	close_lab(&l);
}

/*
 * Send commands that change the number of pairs as fast as they are answered, and kicks all the
 * time. Returns the longest time in ns that another front-end waits for an answer.
 */
static uint64_t flood(struct lab *l)
{
	uint64_t end = now_ns() + FLOOD_MS * UINT64_C(1000000), longest = 0, answered = 0, ignored;

	for (unsigned k = 0; now_ns() < end; k++) {
		uint16_t pairs = 1 + k % PAIRS;
		uint64_t begin;

		while (control_queue_send(l->cq, CONTROL_MQ, 0, &pairs, 2) == 0)
			;
		while (control_queue_wait(l->cq, 1) >= 0)
			answered++;
		control_queue_kick(l->cq);
		begin = now_ns();
		must_equal(-frontend_get_u64(&l->nd[0]->fe, VHOST_USER_GET_FEATURES, &ignored), 0,
		    "errno of another front-end");
		longest = MAX(longest, now_ns() - begin);
	}
	printf("%llu commands answered in %u ms, another front-end within %llu us\n",
	    (unsigned long long)answered, FLOOD_MS, (unsigned long long)longest / 1000);
	must(answered > 0, "no command is answered");
	must(answered <= FLOOD_MS / 10 * 16 + 16 + CONTROL_ENTRIES, "commands are not limited");
	return longest;
}

/* A machine that stands still delays an answer, too, so there are three tries. */
static void test_a_flood_of_commands_is_bounded(void **state)
{
	uint64_t longest = UINT64_MAX;
	struct lab l;

	(void)state;
	open_lab(&l, FEATURES_BASE, CONTROL_KICK_EVENTFD);
	for (unsigned try = 0; try < 3 && longest >= ANSWER_NS; try++)
		longest = flood(&l);
	must(longest < ANSWER_NS, "another front-end waits for an answer");
	close_lab(&l);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_commands_are_answered_in_time),
	    cmocka_unit_test(test_commands_are_answered_however_the_driver_kicks),
	    cmocka_unit_test(test_frames_use_the_pairs_that_the_driver_asked_for),
	    cmocka_unit_test(test_without_mq_the_third_ring_takes_no_frames),
	    cmocka_unit_test(test_other_front_ends_keep_all_their_rings),
	    cmocka_unit_test(test_the_number_of_pairs_is_an_option),
	    cmocka_unit_test(test_hostile_contents_cost_only_the_port),
	    cmocka_unit_test(test_a_receive_buffer_is_left_alone),
	    cmocka_unit_test(test_a_flood_of_commands_is_bounded),
	};

	if (argc > 1)
		switch_binary(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
