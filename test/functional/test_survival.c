/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The known attacks on vhost back-ends, each against a running vswitchd. After an attack the
 * process lives and has no more descriptors and mappings than before, two neighbours have exchanged
 * their numbered frames without a loss, and at the end the counters balance.
 *
 * Port 2 attacks. It begins as a correct front-end, and then writes its rings and messages by hand.
 */
#include "functional.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define ATTACKER 2
#define SIZE     256
#define TX       1
#define RX       0

struct lab {
	struct switch_process sw;
	struct net_driver *nd[3];
	struct stream s[2];
	struct switch_usage before;
	uint64_t features;
	uint16_t slot; /* next free descriptor of the attacked ring */
	bool wrap;
};

static void run(struct lab *l, unsigned steps)
{
	for (unsigned i = 0; i < steps; i++)
		streams_step(l->s, 2);
}

static void open_lab(struct lab *l)
{
	*l = (struct lab){.features = FEATURES_BASE};
	switch_start(&l->sw, 3, 1, false);
	attach_neighbours(&l->sw, l->nd, l->s);
	streams_run(l->s, 2, 20);
}

static void close_lab(struct lab *l)
{
	streams_run(l->s, 2, 20);
	switch_finish(&l->sw);
	net_driver_destroy(l->nd[0]);
	net_driver_destroy(l->nd[1]);
}

/* Connect the attacker, whose rings are empty: nothing was ever offered on them. */
static void begin(struct lab *l, uint64_t features)
{
	struct net_config c = usual_config(features, 1);

	l->before = switch_usage_at_rest(&l->sw);
	l->features = features;
	c.ring_size = SIZE;
	c.n_receive = 1;
	l->nd[ATTACKER] = attach(&l->sw, ATTACKER, &c);
	l->slot = 0;
	l->wrap = true;
}

static void end(struct lab *l)
{
	struct switch_usage after;

	run(l, 20);
	must(switch_alive(&l->sw), "vswitchd died");
	net_driver_destroy(l->nd[ATTACKER]);
	streams_run(l->s, 2, 20);
	after = switch_usage_at_rest(&l->sw);
	must_equal(after.n_fds, l->before.n_fds, "open descriptors of vswitchd");
	must(after.n_maps <= l->before.n_maps + 1, "mappings of vswitchd grow");
}

/* How many frames of the attacker were refused for that reason so far. */
static uint64_t refusals(struct lab *l, const char *reason)
{
	json_t *stats = switch_stats(&l->sw);
	uint64_t n = switch_drops(stats, ATTACKER, "ingress", reason);

	json_decref(stats);
	return n;
}

/*
 * Check that the attack reached the switch: at least so many frames of the attacker are refused for
 * this reason.
 */
static void refused(struct lab *l, const char *reason, unsigned at_least)
{
	uint64_t n = 0;

	for (unsigned tries = 0; tries < 100 && n < at_least; tries++) {
		run(l, 20);
		n = refusals(l, reason);
	}
	if (n < at_least)
		fprintf(stderr, "%s: %llu, not %u\n", reason, (unsigned long long)n, at_least);
	must(n >= at_least, "the attack did not reach the switch");
}

/*
 * Wait until the switch has taken n frames of the attacker. If the ring were overrun, that would be
 * another attack.
 */
static void taken(struct lab *l, uint64_t n)
{
	uint64_t frames = 0;

	for (unsigned tries = 0; tries < 500 && frames < n; tries++) {
		json_t *stats;

		run(l, 20);
		stats = switch_stats(&l->sw);
		frames = switch_counter(stats, ATTACKER, "ingress", "frames");
		json_decref(stats);
	}
	must(frames >= n, "the switch does not take the attacker's frames");
}

static void *ring_memory(struct lab *l, unsigned ring, unsigned area)
{
	struct net_queue *q = &l->nd[ATTACKER]->queue[ring];
	const uint64_t gpa[] = {q->desc, q->driver, q->device};

	return frontend_memory(&l->nd[ATTACKER]->fe, gpa[area], 16);
}

/*
 * Write the next descriptor of the transmit ring. A descriptor without NEXT completes the chain and
 * makes it available.
 */
static void put(struct lab *l, uint64_t addr, uint32_t len, uint16_t flags)
{
	static uint16_t chain_head;
	uint16_t slot = l->slot++ % SIZE;

	if (VIRTIO_HAS(l->features, F_RING_PACKED)) {
		struct vring_packed_desc *d = ring_memory(l, TX, 0);

		d[slot] = (struct vring_packed_desc){.addr = addr, .len = len, .id = slot};
		__atomic_store_n(&d[slot].flags,
		    flags | (l->wrap ? VRING_DESC_F_AVAIL : VRING_DESC_F_USED), __ATOMIC_RELEASE);
		l->wrap ^= slot == SIZE - 1;
		return;
	}
	struct vring_split_desc *d = ring_memory(l, TX, 0);
	struct vring_split_avail *avail = ring_memory(l, TX, 1);

	d[slot] = (struct vring_split_desc){
	    .addr = addr, .len = len, .flags = flags, .next = (slot + 1) % SIZE};
	if (l->slot == 1 || !(d[(slot + SIZE - 1) % SIZE].flags & VRING_DESC_F_NEXT))
		chain_head = slot;
	if (flags & VRING_DESC_F_NEXT)
		return;
	avail->ring[avail->idx % SIZE] = chain_head;
	__atomic_store_n(&avail->idx, (uint16_t)(avail->idx + 1), __ATOMIC_RELEASE);
}

static void kick(struct lab *l)
{
	eventfd_write(l->nd[ATTACKER]->queue[TX].kick_fd, 1);
	run(l, 2);
}

static uint64_t buffers_end(struct lab *l)
{
	const struct frontend_region *r =
	    &l->nd[ATTACKER]->fe.region[l->nd[ATTACKER]->buffers_region];

	return r->gpa + r->size;
}

/* proves: S01 */
static void buffers_over_the_end(struct lab *l, uint64_t features)
{
	begin(l, features | VIRTIO_BIT(F_INDIRECT_DESC));
	for (uint32_t over = 1; over < 2000; over = over * 3 + 1) {
		put(l, buffers_end(l) - 20, 20 + over, 0);
		put(l, buffers_end(l) - 5, 12, VRING_DESC_F_NEXT); /* the net header itself */
		put(l, NET_BUFFERS_GPA, 100, 0);
		put(l, buffers_end(l) - 16, 32, VRING_DESC_F_INDIRECT);
		put(l, UINT64_MAX - 10, 100, 0);
		put(l, NET_BUFFERS_GPA, UINT32_MAX, 0);
		kick(l);
	}
	refused(l, "bad-descriptors", 20);
	end(l);
}

/* proves: S01 */
static void rings_over_the_end(struct lab *l)
{
	struct net_driver *nd;
	const struct frontend_region *r;

	begin(l, FEATURES_BASE);
	nd = l->nd[ATTACKER];
	r = &nd->fe.region[nd->rings_region];
	for (uint64_t at = 16; at < 4096; at *= 2) {
		uint64_t last = r->uaddr + r->size - at, first = r->uaddr;

		frontend_set_vring_addr(&nd->fe, TX, last, first, first + 4096);
		frontend_set_vring_addr(&nd->fe, TX, first, last, first + 4096);
		frontend_set_vring_addr(&nd->fe, TX, first, first + 4096, last);
		frontend_set_vring_addr(&nd->fe, RX, UINT64_MAX - at + 1, first, first);
		run(l, 2);
	}
	end(l);
}

/* proves: S05 */
static void nothing_at_a_bad_address(struct lab *l, uint64_t features)
{
	uint64_t before = refusals(l, "bad-descriptors");

	begin(l, features);
	for (unsigned round = 1; round <= 200; round++) {
		for (unsigned i = 0; i < 4; i++)
			put(l, i % 2 ? UINT64_MAX - i : 0, 0, 0);
		put(l, 8, 0, VRING_DESC_F_NEXT);
		put(l, 16, 0, 0);
		kick(l);
		/*
		 * Wait for the switch from time to time. If the ring were overrun, that would be
		 * another attack.
		 */
		if (round % 40 == 0)
			refused(l, "bad-descriptors", before + 5 * round);
	}
	end(l);
}

/* proves: S09 */
static void headers_in_crumbs(struct lab *l, uint64_t features)
{
	static const uint32_t lengths[] = {0, 1, 2, 9, 10, 11, 12, 13, 14, 25, 26};

	begin(l, features);
	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		put(l, NET_BUFFERS_GPA, lengths[i], 0);
		kick(l);
	}
	for (unsigned bytes = 1; bytes < 30; bytes++) {
		for (unsigned i = 0; i < bytes; i++)
			put(l, NET_BUFFERS_GPA + i, 1, i + 1 < bytes ? VRING_DESC_F_NEXT : 0);
		kick(l);
	}
	refused(l, "runt", 30);
	end(l);
}

/* proves: S10 */
static void checksums_beyond_the_frame(struct lab *l)
{
	static const uint16_t edge[] = {
	    0, 1, 13, 14, 33, 34, 58, 59, 60, 61, 62, 255, 1000, 32767, 32768, 65519, 65534, 65535};
	static const uint8_t kinds[] = {0, 1, 3, 4, 5, 0x81, 0xff};
	uint8_t *frame;

	begin(l, FEATURES_BASE | FEATURES_OFFLOAD);
	frame = frontend_memory(&l->nd[ATTACKER]->fe, NET_BUFFERS_GPA, 128);
	for (unsigned i = 0; i < ARRAY_SIZE(edge) * ARRAY_SIZE(edge); i++) {
		struct virtio_net_hdr h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		    .gso_type = kinds[i % ARRAY_SIZE(kinds)],
		    .gso_size = edge[i % 7],
		    .csum_start = edge[i / ARRAY_SIZE(edge)],
		    .csum_offset = edge[i % ARRAY_SIZE(edge)]};

		memcpy(frame, &h, sizeof(h));
		station_mac(frame + 12, i % 2, 0);
		station_mac(frame + 18, ATTACKER, 0);
		put(l, NET_BUFFERS_GPA, sizeof(h) + 60, 0);
		kick(l);
		if (i % 64 == 0)
			taken(l, i + 1);
	}
	refused(l, "bad-offload", 200);
	end(l);
}

/* proves: S04 */
static void rings_that_do_not_exist(struct lab *l)
{
	static const uint32_t index[] = {
	    256, 257, 0x7fff, 0x8000, 0xffff, 0x10000, 0x10001, 0x7fffffff, 0xffffffff};

	for (unsigned i = 0; i < ARRAY_SIZE(index); i++) {
		uint64_t state[5] = {index[i] | UINT64_C(1) << 32};
		static const uint32_t ids[] = {VHOST_USER_SET_VRING_NUM, VHOST_USER_SET_VRING_ADDR,
		    VHOST_USER_SET_VRING_BASE, VHOST_USER_SET_VRING_ENABLE, VHOST_USER_VRING_KICK,
		    VHOST_USER_GET_VRING_BASE};

		begin(l, FEATURES_BASE);
		for (unsigned k = 0; k < ARRAY_SIZE(ids); k++)
			frontend_send(&l->nd[ATTACKER]->fe, ids[k], VHOST_VERSION, state,
			    ids[k] == VHOST_USER_SET_VRING_ADDR ? 40 : 8, NULL, 0);
		end(l);
	}
}

/* proves: S02 */
static void the_same_message_for_ever(struct lab *l)
{
	struct frontend *fe;
	int fds[8];
	struct switch_usage early, late;

	for (unsigned i = 0; i < 8; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	begin(l, FEATURES_BASE);
	fe = &l->nd[ATTACKER]->fe;
	early = switch_usage(&l->sw);
	for (unsigned i = 0; i < 20000; i++) {
		uint32_t num[2] = {i % 8, 1u << i % 15};
		uint64_t ring = i % 8;

		frontend_send(fe, VHOST_USER_SET_VRING_NUM, VHOST_VERSION, num, 8, fds, i % 9);
		frontend_send(fe, VHOST_USER_SET_VRING_CALL, VHOST_VERSION, &ring, 8, fds, i % 3);
		frontend_send(fe, VHOST_USER_SET_VRING_ERR, VHOST_VERSION, &ring, 8, fds, 1);
		if (i % 64 == 0)
			run(l, 1);
	}
	must_equal(-frontend_sync(fe), 0, "errno of a sync after thousands of messages");
	late = switch_usage(&l->sw);
	must(late.n_fds <= early.n_fds + 16, "descriptors are kept");
	must(late.private_kib <= early.private_kib + 1024, "memory grows");
	end(l);
	for (unsigned i = 0; i < 8; i++)
		close(fds[i]);
}

/* proves: S03 */
static void logs_that_wrap(struct lab *l)
{
	static const struct vhost_wire_log logs[] = {{UINT64_MAX, 0}, {UINT64_MAX - 4095, 8192},
	    {4096, UINT64_MAX - 100}, {UINT64_C(1) << 63, UINT64_C(1) << 63}, {0, 0}, {1 << 20, 0}};

	for (unsigned i = 0; i < ARRAY_SIZE(logs); i++) {
		int fd = memfd_create("log", MFD_CLOEXEC);

		must_equal(ftruncate(fd, 65536), 0, "ftruncate");
		begin(l, FEATURES_BASE);
		frontend_send(&l->nd[ATTACKER]->fe, VHOST_USER_SET_LOG_BASE, VHOST_VERSION,
		    &logs[i], sizeof(logs[i]), &fd, 1);
		close(fd);
		end(l);
	}
}

#define ATTACK(name, ...) \
	static void test_##name(void **state) \
	{ \
		struct lab l; \
\
		(void)state; \
		open_lab(&l); \
		__VA_ARGS__; \
		close_lab(&l); \
	}
ATTACK(buffers_over_the_end, buffers_over_the_end(&l, FEATURES_BASE);
       buffers_over_the_end(&l, FEATURES_PACKED))
ATTACK(rings_over_the_end, rings_over_the_end(&l))
ATTACK(nothing_at_a_bad_address, nothing_at_a_bad_address(&l, FEATURES_BASE);
       nothing_at_a_bad_address(&l, FEATURES_PACKED))
ATTACK(headers_in_crumbs, headers_in_crumbs(&l, FEATURES_BASE);
       headers_in_crumbs(&l, FEATURES_PACKED))
ATTACK(checksums_beyond_the_frame, checksums_beyond_the_frame(&l))
ATTACK(rings_that_do_not_exist, rings_that_do_not_exist(&l))
ATTACK(the_same_message_for_ever, the_same_message_for_ever(&l))
ATTACK(logs_that_wrap, logs_that_wrap(&l))

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_buffers_over_the_end),
	    cmocka_unit_test(test_rings_over_the_end),
	    cmocka_unit_test(test_nothing_at_a_bad_address),
	    cmocka_unit_test(test_headers_in_crumbs),
	    cmocka_unit_test(test_checksums_beyond_the_frame),
	    cmocka_unit_test(test_rings_that_do_not_exist),
	    cmocka_unit_test(test_the_same_message_for_ever),
	    cmocka_unit_test(test_logs_that_wrap),
	};

	if (argc > 1)
		switch_binary(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
