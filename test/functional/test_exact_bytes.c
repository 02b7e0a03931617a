/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A frame's bytes arrive exactly, however both guests cut their buffers.
 *
 * Each test uses one pair of ring settings. Frames are sent in batches, so that bursts form in the
 * switch. Every frame is kept and compared byte by byte, in order. The receiver's buffers have
 * poisoned gaps between their pieces, so that a byte written beside a buffer is detected, too.
 */
#include "functional.h"

#include <stdlib.h>
#include <string.h>

#define BATCH 16

struct setting {
	const char *name;
	uint64_t from, to; /* features */
	uint16_t ring_size;
	bool big_chains; /* the receiver does not merge: each buffer holds the longest frame */
};

#define SPLIT  (FEATURES_BASE)
#define PACKED (FEATURES_PACKED)
#define ORDER  VIRTIO_BIT(F_IN_ORDER)
#define MERGE  VIRTIO_BIT(NET_F_MRG_RXBUF)
/* Legacy: neither VERSION_1 nor merging, and so a header of 10 bytes. */
#define LEGACY (VIRTIO_BIT(F_EVENT_IDX) | VIRTIO_BIT(F_INDIRECT_DESC) | VIRTIO_BIT(F_ANY_LAYOUT))

static const struct setting settings[] = {
    {"split to split", SPLIT, SPLIT, 256, false},
    {"split to packed", SPLIT, PACKED, 256, false},
    {"packed to packed", PACKED, PACKED, 256, false},
    {"packed to split", PACKED, SPLIT, 256, false},
    {"in order, split to packed", SPLIT | ORDER, PACKED | ORDER, 256, false},
    {"in order, packed to split", PACKED | ORDER, SPLIT | ORDER, 256, false},
    {"packed rings of 1000", PACKED, PACKED, 1000, false},
    {"legacy header to legacy header", LEGACY, LEGACY, 256, true},
    {"legacy header to packed", LEGACY, PACKED, 256, false},
    {"packed to big chains", PACKED, PACKED & ~MERGE, 256, true},
    {"big chains in order", SPLIT | ORDER, (SPLIT & ~MERGE) | ORDER, 256, true},
    {"split to packed big chains in order", SPLIT, (PACKED & ~MERGE) | ORDER, 256, true},
};

struct bench {
	const struct setting *setting;
	struct switch_process sw;
	struct net_driver *from, *to;
	unsigned n_attached; /* times that both were attached */
	uint8_t src[6], dst[6];
	uint64_t random;
	/* The batch that is being sent. */
	unsigned n;
	uint32_t len[BATCH];
	uint8_t *frame[BATCH];
	uint64_t n_sent;
	unsigned room_taken, capacity; /* receive buffers */
};

/*
 * Buffers in odd pieces: some end or begin one byte beside an edge of the net header, the Ethernet
 * header or the 64 bytes that the switch snapshots.
 */
static const struct net_shape merge_shapes[] = {
    {.n = 1, .len = {2048}, .gap = 16},
    {.n = 1, .len = {1526}, .gap = 1},
    {.n = 6, .len = {10, 2, 14, 1, 49, 1450}, .gap = 8},
    {.n = 5, .len = {1, 11, 1, 13, 4000}, .gap = 3},
    {.n = 1, .len = {16000}, .gap = 64},
};

static const struct net_shape big_shapes[] = {
    {.n = 1, .len = {65565}, .gap = 16},
    {.n = 2, .len = {10, 65560}, .gap = 16},
    {.n = 2, .len = {12, 65560}, .gap = 5},
    {.n = 17,
	.len = {4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096,
	    4096, 4096, 64},
	.gap = 8},
    {.n = 6, .len = {1, 8, 1, 1, 63, 65500}, .gap = 1, .indirect = true},
};

static void bench_open(struct bench *b, const struct setting *s)
{
	*b = (struct bench){.setting = s, .random = 42};
	switch_start(&b->sw, 2, 1, false);
	station_mac(b->src, 0, 0);
	station_mac(b->dst, 1, 0);
	for (unsigned i = 0; i < BATCH; i++)
		b->frame[i] = malloc(NET_FRAME_MAX);
}

static void bench_detach(struct bench *b)
{
	net_driver_destroy(b->from);
	net_driver_destroy(b->to);
}

/* New guests; the receiver's buffers have this shape. */
static void bench_attach(struct bench *b, const struct net_shape *receive)
{
	struct net_config from = usual_config(b->setting->from, 1);
	struct net_config to = usual_config(b->setting->to, 1);
	struct net_driver *both[2];

	if (b->n_attached++)
		bench_detach(b);
	from.ring_size = to.ring_size = b->setting->ring_size;
	to.receive_shape = *receive;
	both[0] = b->from = attach(&b->sw, 0, &from);
	both[1] = b->to = attach(&b->sw, 1, &to);
	introduce(both, 2);
	b->capacity = b->to->queue[0].n_outstanding;
}

static void bench_close(struct bench *b)
{
	json_t *stats = switch_stop(&b->sw);
	/* Each introduce() has sent one frame more in each direction. */
	uint64_t n = b->n_sent + b->n_attached;

	switch_check_totals(stats);
	must_equal(switch_counter(stats, 0, "ingress", "frames"), n, "frames received");
	must_equal(switch_counter(stats, 1, "egress", "frames"), n, "frames delivered");
	must_equal(switch_drops(stats, 0, "ingress", NULL), 0, "drops at the sender");
	must_equal(switch_drops(stats, 1, "egress", NULL), 0, "drops at the receiver");
	json_decref(stats);
	switch_remove(&b->sw);
	for (unsigned i = 0; i < BATCH; i++)
		free(b->frame[i]);
	bench_detach(b);
}

/* Check that all frames of the batch arrive unchanged and in order. */
static void bench_collect(struct bench *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		struct net_frame f;

		must(receive_within(b->to, 0, &f, 2000), "a frame does not arrive");
		must_equal(f.len, b->len[i], "length of a frame");
		must(memcmp(f.bytes, b->frame[i], f.len) == 0, "the bytes of a frame changed");
	}
	b->n_sent += b->n;
	b->n = b->room_taken = 0;
}

/* How many receive buffers a frame takes. */
static unsigned buffers_for(const struct bench *b, uint32_t len)
{
	uint32_t bytes = 0;

	for (unsigned i = 0; i < b->to->config.receive_shape.n; i++)
		bytes += b->to->config.receive_shape.len[i];
	return (len + b->to->hdr_len + bytes - 1) / bytes;
}

/* Send a frame. First collect the batch if the receiver might have too few buffers for one more. */
static void bench_send(struct bench *b, uint32_t len, const struct net_shape *shape)
{
	unsigned room = b->to->queue[0].n_outstanding;

	while (buffers_for(b, len) > b->capacity)
		len /= 2;
	if (b->n == BATCH || b->room_taken + buffers_for(b, len) > room)
		bench_collect(b);
	make_frame(b->frame[b->n], len, b->dst, b->src, &b->random);
	send_surely(b->from, 0, b->frame[b->n], len, NULL, shape);
	b->len[b->n++] = len;
	b->room_taken += buffers_for(b, len);
}

static struct net_shape random_shape(struct bench *b, uint32_t total)
{
	struct net_shape s = {.n = random_between(&b->random, 1, 24)};

	s.gap = random_between(&b->random, 0, NET_GAP_MAX);
	s.indirect = random_next(&b->random) & 1;
	for (unsigned i = 0; i < s.n; i++) {
		unsigned kind = random_next(&b->random) % 3;

		s.len[i] = kind == 0 ? 1 : random_between(&b->random, 1, kind == 1 ? 70 : total);
	}
	return s;
}

static uint32_t random_len(struct bench *b)
{
	static const uint32_t most[] = {64, 128, 1514, 9014, 65535};

	return random_between(&b->random, 14, most[random_next(&b->random) % ARRAY_SIZE(most)]);
}

static void run_random_frames(const struct setting *s)
{
	const struct net_shape *shapes = s->big_chains ? big_shapes : merge_shapes;
	unsigned n = s->big_chains ? ARRAY_SIZE(big_shapes) : ARRAY_SIZE(merge_shapes);
	struct bench b;

	bench_open(&b, s);
	for (unsigned r = 0; r < n; r++) {
		bench_attach(&b, &shapes[r]);
		for (unsigned i = 0; i < 2000; i++) {
			uint32_t len = random_len(&b);
			struct net_shape shape = random_shape(&b, len + 12);

			bench_send(&b, len, &shape);
		}
		for (uint32_t len = 14; len <= 200; len++)
			bench_send(&b, len, NULL);
		bench_send(&b, 65535, NULL);
		bench_collect(&b);
	}
	bench_close(&b);
}

/*
 * Send a frame of 100 bytes with its net header, cut in two and in three pieces in every possible
 * way.
 */
static void run_every_cut(struct bench *b, bool indirect)
{
	unsigned total = 100 + b->from->hdr_len;

	for (unsigned i = 1; i < total; i++) {
		struct net_shape two = {.n = 2, .len = {i, total}, .gap = 3, .indirect = indirect};

		bench_send(b, 100, &two);
		for (unsigned k = 1; i + k < total; k++) {
			struct net_shape three = {
			    .n = 3, .len = {i, k, total}, .gap = 3, .indirect = indirect};

			bench_send(b, 100, &three);
		}
	}
	bench_collect(b);
}

/* The same for receive buffers, cut in two in every possible way. */
static void run_every_receive_cut(const struct setting *s)
{
	struct bench b;
	unsigned total = 130 + VIRTIO_NET_HDR_LEN;
	struct net_shape shape = {.n = 2, .len = {1, 2048}, .gap = 4};

	bench_open(&b, s);
	bench_attach(&b, &shape);
	for (unsigned i = 1; i < total; i++) {
		b.to->config.receive_shape.len[0] = i;
		must_equal(-net_driver_stop(b.to), 0, "errno of net_driver_stop");
		must_equal(-net_driver_reset_rings(b.to), 0, "errno of net_driver_reset_rings");
		must_equal(-net_driver_resume(b.to), 0, "errno of net_driver_resume");
		for (unsigned k = 0; k < 4; k++)
			bench_send(&b, 130, NULL);
		bench_collect(&b);
	}
	bench_close(&b);
}

static void test_random_frames_arrive_exactly(void **state)
{
	run_random_frames(*state);
}

static void test_every_cut_arrives_exactly(void **state)
{
	const struct setting *s = *state;
	struct bench b;

	bench_open(&b, s);
	bench_attach(&b, s->big_chains ? &big_shapes[0] : &merge_shapes[0]);
	run_every_cut(&b, false);
	run_every_cut(&b, true);
	bench_close(&b);
}

static void test_every_receive_cut_arrives_exactly(void **state)
{
	run_every_receive_cut(*state);
}

int main(int argc, char *argv[])
{
	struct CMUnitTest tests[3 * ARRAY_SIZE(settings)];
	unsigned n = 0;

	if (argc > 1)
		switch_binary(argv[1]);
	for (unsigned i = 0; i < ARRAY_SIZE(settings); i++) {
		void *setting = (void *)&settings[i];
		const char *name = settings[i].name;

		tests[n++] = (struct CMUnitTest){
		    name, test_random_frames_arrive_exactly, NULL, NULL, setting};
		tests[n++] =
		    (struct CMUnitTest){name, test_every_cut_arrives_exactly, NULL, NULL, setting};
		if (!settings[i].big_chains)
			tests[n++] = (struct CMUnitTest){
			    name, test_every_receive_cut_arrives_exactly, NULL, NULL, setting};
	}
	return _cmocka_run_group_tests("exact bytes", tests, n, NULL, NULL);
}
