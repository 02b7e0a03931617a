/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bursts run from queues of each kind to queues of each kind, and to several kinds at once. Frames
 * arrive unchanged, and all counters are right. To test a new kind, add an entry to kinds[].
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "burst_world.h"
#include "datapath/flow_hash.h"
#include "null_queue.h"

#define PORT       1 /* of the kind that is tested; OTHERS others are of all kinds in turn */
#define OTHERS     4
#define ALL        (PORT + 1 + OTHERS)
#define PORT_BURST 32
#define LENDER     5 /* its queue becomes the second queue of PORT */

static void vhost_open(struct queue *q)
{
	(void)q; /* open_world() has done it */
}

static void vhost_close(struct queue *q)
{
	(void)q;
}

static void null_offer(struct end *e, uint8_t *buffer, uint32_t len, unsigned n)
{
	null_queue_offer(&e->queue, buffer, len, n);
}

/* How many buffers the queue has given back since the last time. */
static unsigned vhost_reap(struct end *e)
{
	unsigned n = 0;
	uint32_t len;
	void *token;

	while (driver_ring_reap(&e->driver, &token, &len) == 1)
		n++;
	return n;
}

static unsigned null_reap(struct end *e)
{
	struct null_queue *nq = null_queue_of(&e->queue);
	unsigned n = nq->completed;

	memmove(nq->buffer, nq->buffer + n, sizeof(nq->buffer) - n * sizeof(nq->buffer[0]));
	nq->offered -= n;
	nq->fetched -= n;
	nq->completed = 0;
	return n;
}

static void vhost_want_call(struct end *e, void (*on_call)(void))
{
	e->queue.call_fd = 3;
	w.on_call = on_call;
}

static void null_want_call(struct end *e, void (*on_call)(void))
{
	null_queue_of(&e->queue)->wants_call = true;
	null_queue_of(&e->queue)->on_call = on_call;
}

static const struct kind {
	void (*open)(struct queue *q);
	void (*close)(struct queue *q);
	void (*offer)(struct end *e, uint8_t *buffer, uint32_t len, unsigned n);
	unsigned (*reap)(struct end *e);
	void (*want_call)(struct end *e, void (*on_call)(void));
} kinds[] = {
    {vhost_open, vhost_close, offer, vhost_reap, vhost_want_call},
    {null_queue_open, null_queue_close, null_offer, null_reap, null_want_call},
};

static const struct kind *from, *to;

static const struct kind *kind_of(unsigned port)
{
	return port == PORT ? to : &kinds[port % ARRAY_SIZE(kinds)];
}

static void open_kinds(const struct kind *sender, const struct kind *receiver, uint32_t accepts)
{
	from = sender;
	to = receiver;
	open_world(ALL, accepts);
	from->open(&w.from.queue);
	for (unsigned p = 0; p < ALL; p++)
		kind_of(p)->open(&w.to[p].queue);
}

/* All buffers are given back that were used. */
static void close_kinds(unsigned taken)
{
	assert_int_equal(from->reap(&w.from), taken);
	assert_balance();
	from->close(&w.from.queue);
	for (unsigned p = 0; p < ALL; p++)
		kind_of(p)->close(&w.to[p].queue);
	close_world();
}

/* Send a frame that has this number. Returns the frame with its net header. */
static uint8_t *send(uint8_t port, uint32_t len, uint16_t gso_size, uint8_t number)
{
	const uint8_t mac[6] = {2, 0, 0, 0, 0, port};
	uint8_t *frame = make_frame(port, len, gso_size);

	if (port != 255)
		fdb_learn(w.fdb, mac_load(mac), port, 0);
	frame[VIRTIO_NET_HDR_LEN + len - 1] = number;
	from->offer(&w.from, frame, VIRTIO_NET_HDR_LEN + len, 1);
	return frame;
}

static uint8_t *post(unsigned port, uint32_t len)
{
	uint8_t *buffer = take(len);

	kind_of(port)->offer(&w.to[port], buffer, len, 1);
	return buffer;
}

/* For each pair of kinds. */
static void for_each_pair(void (*test)(const struct kind *sender, const struct kind *receiver))
{
	for (unsigned s = 0; s < ARRAY_SIZE(kinds); s++)
		for (unsigned r = 0; r < ARRAY_SIZE(kinds); r++)
			test(&kinds[s], &kinds[r]);
}

static void assert_frame(const uint8_t *buffer, const uint8_t *frame, uint32_t len)
{
	const struct virtio_net_hdr *net = (const void *)buffer;

	assert_int_equal(net->num_buffers, 1);
	assert_memory_equal(
	    buffer + VIRTIO_NET_HDR_LEN, frame + VIRTIO_NET_HDR_LEN, len - VIRTIO_NET_HDR_LEN);
}

/* The usual burst: all frames go to one queue. Short frames take the general path. */
static void unicast_to_one(const struct kind *sender, const struct kind *receiver)
{
	static const uint32_t lens[] = {60, 64, 100, 1514};

	for (unsigned l = 0; l < ARRAY_SIZE(lens); l++) {
		uint8_t *frame[PORT_BURST], *buffer[PORT_BURST];

		open_kinds(sender, receiver, UINT32_MAX);
		for (unsigned i = 0; i < PORT_BURST; i++) {
			frame[i] = send(PORT, lens[l], 0, i);
			buffer[i] = post(PORT, BUFFER);
		}
		assert_int_equal(run(), PORT_BURST);
		assert_int_equal(delivered(PORT), PORT_BURST);
		assert_int_equal(w.to[PORT].queue.stats.bytes, PORT_BURST * lens[l]);
		assert_int_equal(to->reap(&w.to[PORT]), PORT_BURST);
		for (unsigned i = 0; i < PORT_BURST; i++)
			assert_frame(buffer[i], frame[i], VIRTIO_NET_HDR_LEN + lens[l]);
		close_kinds(PORT_BURST);
	}
}

static void frames_go_from_each_kind_to_each_kind(void **state)
{
	(void)state;
	for_each_pair(unicast_to_one);
}

/* Frame by frame to another port. */
static void unicast_to_all(const struct kind *sender, const struct kind *receiver)
{
	uint8_t *frame[PORT_BURST], *buffer[PORT_BURST];

	open_kinds(sender, receiver, UINT32_MAX);
	for (unsigned i = 0; i < PORT_BURST; i++) {
		frame[i] = send(PORT + i % (1 + OTHERS), 100, 0, i);
		buffer[i] = post(PORT + i % (1 + OTHERS), BUFFER);
	}
	assert_int_equal(run(), PORT_BURST);
	assert_int_equal(w.from.queue.stats.unicast, PORT_BURST);
	for (unsigned p = PORT; p < ALL; p++)
		assert_int_equal(kind_of(p)->reap(&w.to[p]), delivered(p));
	for (unsigned i = 0; i < PORT_BURST; i++)
		assert_frame(buffer[i], frame[i], VIRTIO_NET_HDR_LEN + 100);
	close_kinds(PORT_BURST);
}

static void one_burst_goes_to_several_kinds(void **state)
{
	(void)state;
	for_each_pair(unicast_to_all);
}

static void flood_to_all(const struct kind *sender, const struct kind *receiver)
{
	uint8_t *frame, *buffer[ALL];

	open_kinds(sender, receiver, UINT32_MAX);
	frame = send(255, 100, 0, 7);
	for (unsigned p = PORT; p < ALL; p++)
		buffer[p] = post(p, BUFFER);
	assert_int_equal(run(), 1);
	assert_int_equal(w.from.queue.stats.flood_copies, ALL - PORT);
	for (unsigned p = PORT; p < ALL; p++)
		assert_frame(buffer[p], frame, VIRTIO_NET_HDR_LEN + 100);
	close_kinds(1);
}

static void a_flood_reaches_several_kinds(void **state)
{
	(void)state;
	for_each_pair(flood_to_all);
}

/* The second frame finds no buffer, the third finds one that is too small. */
static void without_room(const struct kind *sender, const struct kind *receiver)
{
	open_kinds(sender, receiver, UINT32_MAX);
	send(PORT, 100, 0, 0);
	send(PORT, 100, 0, 1);
	send(PORT + 1, 1000, 0, 2);
	post(PORT, BUFFER);
	kind_of(PORT + 1)->offer(&w.to[PORT + 1], take(BUFFER), 20, 1);
	assert_int_equal(run(), 3);
	assert_int_equal(delivered(PORT), 1);
	assert_int_equal(drops(PORT, DROP_RING_FULL), 1);
	assert_int_equal(delivered(PORT + 1), 0);
	assert_int_equal(drops(PORT + 1, DROP_TOO_SMALL) + drops(PORT + 1, DROP_RING_FULL), 1);
	close_kinds(3);
}

/* A buffer that is too small for the second frame is not used up. */
static void with_a_small_buffer(const struct kind *sender, const struct kind *receiver)
{
	open_kinds(sender, receiver, UINT32_MAX);
	send(PORT, 100, 0, 0);
	send(PORT, 100, 0, 1);
	post(PORT, BUFFER);
	post(PORT, 20);
	assert_int_equal(run(), 2);
	assert_int_equal(delivered(PORT), 1);
	assert_int_equal(drops(PORT, DROP_TOO_SMALL) + drops(PORT, DROP_RING_FULL), 1);
	assert_int_equal(to->reap(&w.to[PORT]), 1);
	close_kinds(2);
}

static void frames_without_room_are_dropped_and_counted(void **state)
{
	(void)state;
	for_each_pair(without_room);
	for_each_pair(with_a_small_buffer);
}

/*
 * Send frames of many flows to the port, which now has two queues, and post a buffer for each
 * frame. The number of frames that go to each queue is added to sent[].
 */
static void send_to_two_queues(unsigned sent[2])
{
	w.port[PORT].egress[1] = &w.to[LENDER].queue;
	w.port[PORT].n_egress = 2;
	w.to[LENDER].queue.port = &w.port[PORT];
	for (unsigned i = 0; i < PORT_BURST; i++) {
		uint8_t *frame = send(PORT, 100, 0, i) + VIRTIO_NET_HDR_LEN;

		frame[35] = i; /* the TCP port */
		sent[flow_hash(frame, HEAD_BYTES) >> 31]++;
		post(PORT, BUFFER);
		post(LENDER, BUFFER);
	}
	assert_true(sent[0] > 1 && sent[1] > 1);
}

/* It costs one frame of its own queue, and nothing of the other queue. */
static void with_a_faulty_buffer(const struct kind *sender, const struct kind *receiver)
{
	unsigned sent[2] = {0};

	open_kinds(sender, receiver, UINT32_MAX);
	to->offer(&w.to[PORT], take(BUFFER), 0, 1);
	send_to_two_queues(sent);
	assert_int_equal(run(), PORT_BURST);
	assert_int_equal(drops(PORT, DROP_BAD_BUFFER), 1);
	assert_int_equal(delivered(PORT), sent[0] - 1);
	assert_int_equal(delivered(LENDER), sent[1]);
	assert_int_equal(to->reap(&w.to[PORT]), sent[0]);
	close_kinds(PORT_BURST);
}

static void a_faulty_buffer_costs_one_frame(void **state)
{
	(void)state;
	for_each_pair(with_a_faulty_buffer);
}

static void a_broken_ring_stops_no_other_queue_of_its_port(void **state)
{
	unsigned sent[2] = {0};

	(void)state;
	open_kinds(&kinds[0], &kinds[0], UINT32_MAX);
	w.to[PORT].ring.broken = VRING_BREAK_AVAIL_JUMP;
	send_to_two_queues(sent);
	assert_int_equal(run(), PORT_BURST);
	assert_int_equal(drops(PORT, DROP_RING_BROKEN), sent[0]);
	assert_int_equal(delivered(LENDER), sent[1]);
	close_kinds(PORT_BURST);
}

static void post_two(void)
{
	static unsigned calls;

	if (calls++ % 2 == 0) /* not for the call after the second visit */
		for (unsigned i = 0; i < 2; i++)
			post(PORT, BUFFER);
}

/* A full queue is called, and gets more buffers. */
static void with_more_room(const struct kind *sender, const struct kind *receiver)
{
	open_kinds(sender, receiver, UINT32_MAX);
	for (unsigned i = 0; i < 3; i++)
		send(PORT, 100, 0, i);
	post(PORT, BUFFER);
	to->want_call(&w.to[PORT], post_two);
	assert_int_equal(run(), 3);
	assert_int_equal(delivered(PORT), 3);
	assert_int_equal(w.to[PORT].queue.stats.calls, 2);
	close_kinds(3);
}

static void a_full_queue_is_called_and_visited_again(void **state)
{
	(void)state;
	for_each_pair(with_more_room);
}

/* Into segments in software, to a queue that takes no offload. */
static void segmented(const struct kind *sender, const struct kind *receiver)
{
	const unsigned segments = 4;

	open_kinds(sender, receiver, 0);
	send(PORT, HEADERS + segments * MSS, MSS, 0);
	send(PORT, 100, 0, 1);
	for (unsigned i = 0; i <= segments; i++)
		post(PORT, BUFFER);
	assert_int_equal(run(), 2);
	assert_int_equal(delivered(PORT), segments + 1);
	assert_int_equal(w.from.queue.stats.gso_segments, segments - 1);
	assert_int_equal(to->reap(&w.to[PORT]), segments + 1);
	close_kinds(2);
}

static void offloads_are_done_in_software_for_each_kind(void **state)
{
	(void)state;
	for_each_pair(segmented);
}

/* A burst takes fewer frames than it fetched: the others are for the next one. */
static void too_large(const struct kind *sender, const struct kind *receiver)
{
	open_kinds(sender, receiver, UINT32_MAX);
	for (unsigned i = 0; i < 20; i++) {
		send(PORT, TSO_FRAME, MSS, i);
		post(PORT, VIRTIO_NET_HDR_LEN + TSO_FRAME);
	}
	assert_int_equal(run_all(20, BURST_BYTES / TSO_FRAME), 3);
	assert_int_equal(delivered(PORT), 20);
	close_kinds(20);
}

static void frames_that_are_too_much_for_a_burst_wait(void **state)
{
	(void)state;
	for_each_pair(too_large);
}

static void disabled(const struct kind *sender, const struct kind *receiver)
{
	open_kinds(sender, receiver, UINT32_MAX);
	w.from.queue.enabled = false;
	send(PORT, 100, 0, 0);
	assert_int_equal(run(), 1);
	assert_int_equal(w.from.queue.stats.drops[DROP_QUEUE_DISABLED], 1);
	close_kinds(1);
}

static void a_disabled_queue_of_each_kind_is_drained(void **state)
{
	(void)state;
	for_each_pair(disabled);
}

/* No word of the ring shows that a translation has come, or that a broken ring works again. */
static void a_virtqueue_shows_whether_a_look_is_enough(void **state)
{
	const struct queue *q = &w.from.queue;
	struct vring_peek peek;

	(void)state;
	open_world(2, UINT32_MAX);
	assert_true(q->ops->peek(q, &peek));
	assert_non_null(peek.word);
	assert_false(vring_peek_avail(&peek));
	send_frames(1, 100, 0, 1);
	assert_true(vring_peek_avail(&peek));
	w.from.ring.translation.stalled = true;
	assert_false(q->ops->peek(q, &peek));
	w.from.ring.translation.stalled = false;
	w.from.ring.broken = VRING_BREAK_AVAIL_JUMP;
	assert_true(q->ops->peek(q, &peek));
	assert_false(vring_peek_avail(&peek));
	close_world();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(frames_go_from_each_kind_to_each_kind),
	    cmocka_unit_test(one_burst_goes_to_several_kinds),
	    cmocka_unit_test(a_flood_reaches_several_kinds),
	    cmocka_unit_test(frames_without_room_are_dropped_and_counted),
	    cmocka_unit_test(a_faulty_buffer_costs_one_frame),
	    cmocka_unit_test(a_broken_ring_stops_no_other_queue_of_its_port),
	    cmocka_unit_test(a_full_queue_is_called_and_visited_again),
	    cmocka_unit_test(offloads_are_done_in_software_for_each_kind),
	    cmocka_unit_test(frames_that_are_too_much_for_a_burst_wait),
	    cmocka_unit_test(a_disabled_queue_of_each_kind_is_drained),
	    cmocka_unit_test(a_virtqueue_shows_whether_a_look_is_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
