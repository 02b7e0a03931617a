/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * A migration without a guest. While frames flow both ways, the test acts like a front-end. It
 * turns the log on and copies all memory to a shadow. Then it makes several passes: in each pass it
 * reads and clears the bits of the log, and copies the pages of these bits again. At the end it
 * stops the rings, makes a last pass, and compares memory and shadow: all bytes that the switch has
 * written must be in the shadow.
 *
 * Only the switch writes into receive buffers, used rings and device event areas, so these must be
 * equal. Driver and switch both write to a packed ring. If a descriptor differs there, the driver
 * must have written it last.
 */
#include "functional.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "virtio/vring.h"

#define N      2
#define PAGE   UINT64_C(4096)
#define PLACES 5 /* the number of places where the log may lie in its file */

struct lab {
	struct switch_process sw;
	struct net_driver *nd[N], *moving;
	struct stream s[N];
	uint8_t *shadow[2]; /* of the moving driver's regions */
	int log_fd;
	uint8_t *log;
	uint64_t log_size, place;
	uint64_t marks;
};

static uint64_t offset_of(const struct lab *l, unsigned place)
{
	return place * (l->log_size + 4096) + place; /* aligned neither to a page nor to a word */
}

static struct lab *lab_open(const struct net_config *config, unsigned n_workers)
{
	struct lab *l = calloc(1, sizeof(*l));
	struct net_config peer = usual_config(FEATURES_BASE, 1), c = *config;
	const struct frontend_region *r;
	uint64_t bytes;

	switch_start(&l->sw, N, n_workers, false);
	c.clean = true; /* writes by the guest itself are not logged here */
	l->moving = l->nd[0] = attach(&l->sw, 0, &c);
	l->nd[1] = attach(&l->sw, 1, &peer);
	introduce(l->nd, N);
	for (unsigned i = 0; i < N; i++)
		l->s[i] = usual_stream(l->nd, i, i ^ 1, i + 1);
	r = l->moving->fe.region;
	for (unsigned i = 0; i < 2; i++) {
		l->shadow[i] = malloc(r[i].size);
		l->log_size = MAX(l->log_size, (r[i].gpa + r[i].size) / PAGE / 8 + 1);
	}
	bytes = offset_of(l, PLACES);
	l->log_fd = memfd_create("log", MFD_CLOEXEC);
	must(ftruncate(l->log_fd, bytes) == 0, "ftruncate of the log");
	l->log = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, l->log_fd, 0);
	must(l->log != MAP_FAILED, "mmap of the log");
	return l;
}

static void lab_close(struct lab *l)
{
	streams_settle(l->s, N);
	switch_finish(&l->sw);
	for (unsigned i = 0; i < N; i++)
		net_driver_destroy(l->nd[i]);
	munmap(l->log, offset_of(l, PLACES));
	close(l->log_fd);
	free(l->shadow[0]);
	free(l->shadow[1]);
	free(l);
}

static void set_place(struct lab *l, unsigned place)
{
	l->place = offset_of(l, place);
	must_equal(-frontend_set_log_base(&l->moving->fe, l->log_size, l->place, l->log_fd), 0,
	    "errno of SET_LOG_BASE");
}

static void set_logging(struct lab *l, bool data, bool rings)
{
	struct frontend *fe = &l->moving->fe;
	uint64_t features = fe->features | (data ? VIRTIO_BIT(VHOST_F_LOG_ALL) : 0);

	must_equal(
	    -frontend_set_u64(fe, VHOST_USER_SET_FEATURES, features), 0, "errno of SET_FEATURES");
	for (unsigned i = 0; i < l->moving->n_queues; i++) {
		const struct net_queue *q = &l->moving->queue[i];

		must_equal(-frontend_set_vring_log(fe, i, frontend_uaddr(fe, q->desc),
			       frontend_uaddr(fe, q->driver), frontend_uaddr(fe, q->device), rings,
			       q->device),
		    0, "errno of SET_VRING_ADDR");
	}
}

static void copy_page(struct lab *l, uint64_t gpa)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct frontend_region *r = &l->moving->fe.region[i];

		if (gpa - r->gpa < r->size) {
			memcpy(l->shadow[i] + (gpa - r->gpa), r->host + (gpa - r->gpa), PAGE);
			return;
		}
	}
	must(false, "a page is marked that is not memory");
}

/* Take the bits of the log at a place, and copy the pages that they stand for. Returns how many. */
static unsigned take_marks(struct lab *l, uint64_t place)
{
	unsigned n = 0;

	for (uint64_t at = 0; at < l->log_size; at++) {
		uint8_t *byte = l->log + place + at, bits;

		if (!*byte)
			continue;
		bits = __atomic_exchange_n(byte, 0, __ATOMIC_SEQ_CST);
		for (unsigned k = 0; k < 8; k++) {
			if (!(bits >> k & 1))
				continue;
			copy_page(l, (at * 8 + k) * PAGE);
			n++;
		}
	}
	l->marks += n;
	return n;
}

static void copy_all(struct lab *l)
{
	for (unsigned i = 0; i < 2; i++)
		memcpy(l->shadow[i], l->moving->fe.region[i].host, l->moving->fe.region[i].size);
}

static const uint8_t *shadow_of(const struct lab *l, uint64_t gpa)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct frontend_region *r = &l->moving->fe.region[i];

		if (gpa - r->gpa < r->size)
			return l->shadow[i] + (gpa - r->gpa);
	}
	must(false, "an address outside memory");
	return NULL;
}

static void compare(struct lab *l, uint64_t gpa, uint64_t len, const char *what)
{
	must(memcmp(shadow_of(l, gpa), frontend_memory(&l->moving->fe, gpa, len), len) == 0, what);
}

static void compare_packed(struct lab *l, const struct net_queue *q)
{
	unsigned size = l->moving->config.ring_size;
	const struct vring_packed_desc *copy = (const void *)shadow_of(l, q->desc);
	const struct vring_packed_desc *now =
	    frontend_memory(&l->moving->fe, q->desc, sizeof(*now) * size);

	for (unsigned i = 0; i < size; i++) {
		bool avail = now[i].flags & VRING_DESC_F_AVAIL;
		bool used = now[i].flags & VRING_DESC_F_USED;

		if (avail == used)
			must(memcmp(&copy[i], &now[i], sizeof(now[i])) == 0,
			    "a used descriptor was not logged");
	}
}

static void compare_all(struct lab *l)
{
	bool packed = VIRTIO_HAS(l->moving->fe.features, F_RING_PACKED);
	struct vring_layout layout = vring_layout(l->moving->config.ring_size, packed);

	for (unsigned i = 0; i < l->moving->n_queues; i++) {
		const struct net_queue *q = &l->moving->queue[i];

		compare(l, q->device, layout.device, "a write to the device area was not logged");
		if (packed)
			compare_packed(l, q);
		for (unsigned k = 0; i % 2 == 0 && k < l->moving->config.ring_size; k++)
			compare(l, q->slot[k].gpa + NET_SLOT_TABLE, NET_SLOT_BYTES - NET_SLOT_TABLE,
			    "data was not logged");
	}
}

static void run(struct lab *l, unsigned steps)
{
	for (unsigned i = 0; i < steps; i++)
		streams_step(l->s, N);
}

/* Run the streams until at least n more frames have come to the moving driver. */
static void run_frames(struct lab *l, unsigned n)
{
	uint64_t deadline = now_ns() + UINT64_C(20000000000), goal = l->s[1].received + n;

	while (l->s[1].received < goal) {
		must(now_ns() < deadline, "the traffic stands still");
		run(l, 5);
	}
}

/* Restart the streams' time-outs: the switch was not silent, the test itself took this time. */
static void raise_timeout(struct lab *l)
{
	for (unsigned i = 0; i < N; i++)
		l->s[i].progress_ns = now_ns();
}

/*
 * Stop the rings pair by pair. The status is reset after the first pair, which stops the other
 * rings.
 */
static void stop_like_qemu(struct lab *l)
{
	struct net_driver *nd = l->moving;

	for (unsigned i = 0; i < nd->n_queues; i++) {
		must_equal(-frontend_get_vring_base(&nd->fe, i, &nd->queue[i].base), 0,
		    "errno of GET_VRING_BASE");
		if (i == 1)
			must_equal(-frontend_set_u64(&nd->fe, VHOST_USER_SET_STATUS, 0), 0,
			    "errno of SET_STATUS");
	}
}

/*
 * A whole migration: turn the log on, copy, stop, compare. Then start the rings again without the
 * log.
 */
static void migrate(struct lab *l, unsigned passes)
{
	set_place(l, 0);
	set_logging(l, true, true);
	copy_all(l);
	raise_timeout(l);
	l->marks = 0;
	for (unsigned i = 0; i < passes; i++) {
		run_frames(l, 20);
		take_marks(l, l->place);
	}
	stop_like_qemu(l);
	take_marks(l, l->place);
	compare_all(l);
	must(l->marks > passes, "hardly a page was logged");
	must_equal(-net_driver_resume(l->moving), 0, "errno of net_driver_resume");
	set_logging(l, false, false);
	raise_timeout(l);
}

/* Migrate several times while frames of all sizes flow. */
static void test_migrations_of_pairs(uint64_t features, const struct net_shape *shape,
    uint16_t size, uint32_t len_max, unsigned n_workers, unsigned n_pairs)
{
	struct net_config c = usual_config(features, n_pairs);
	struct lab *l;

	c.ring_size = size;
	if (shape)
		c.receive_shape = *shape;
	l = lab_open(&c, n_workers);
	for (unsigned i = 0; i < N; i++) {
		l->s[i].len_max = len_max;
		l->s[i].window = 32;
		l->s[i].lossy = true; /* frames that come while the rings are stopped are lost */
	}
	for (unsigned i = 0; i < 2 + n_pairs; i++) {
		streams_settle(l->s, N);
		drain(l->moving, 20);
		station_mac(l->s[1].src, 1, i); /* another flow, perhaps another queue */
		migrate(l, 40);
	}
	lab_close(l);
}

static void test_migrations(uint64_t features, const struct net_shape *shape, uint16_t size,
    uint32_t len_max, unsigned n_workers)
{
	test_migrations_of_pairs(features, shape, size, len_max, n_workers, 1);
}

static void test_split(void **state)
{
	(void)state;
	test_migrations(FEATURES_BASE, NULL, 256, 1514, 1);
}

static void test_packed(void **state)
{
	(void)state;
	test_migrations(FEATURES_PACKED, NULL, 300, 1514, 1);
}

/* A frame lies in several chains. */
static void test_split_merged_buffers(void **state)
{
	(void)state;
	test_migrations(FEATURES_BASE, NULL, 1024, 9000, 2);
}

static void test_packed_merged_buffers(void **state)
{
	(void)state;
	test_migrations(FEATURES_PACKED, NULL, 1023, 9000, 2);
}

static void test_split_in_order(void **state)
{
	(void)state;
	test_migrations(FEATURES_BASE | VIRTIO_BIT(F_IN_ORDER), NULL, 256, 3000, 1);
}

static void test_packed_in_order(void **state)
{
	(void)state;
	test_migrations(FEATURES_PACKED | VIRTIO_BIT(F_IN_ORDER), NULL, 256, 3000, 1);
}

/* A frame lies in a chain of many pieces, through an indirect table or not. */
static const struct net_shape pieces = {
    .n = 6, .len = {7, 5, 900, 100, 3000, 6000}, .indirect = true};

static void test_split_scattered(void **state)
{
	(void)state;
	test_migrations(FEATURES_BASE & ~VIRTIO_BIT(NET_F_MRG_RXBUF), &pieces, 256, 9000, 1);
}

static void test_packed_scattered(void **state)
{
	struct net_shape direct = pieces;

	(void)state;
	direct.indirect = false;
	test_migrations(FEATURES_PACKED & ~VIRTIO_BIT(NET_F_MRG_RXBUF), &direct, 512, 9000, 1);
}

static void test_split_queue_pairs(void **state)
{
	(void)state;
	test_migrations_of_pairs(FEATURES_BASE, NULL, 256, 3000, 2, 4);
}

static void test_packed_queue_pairs(void **state)
{
	(void)state;
	test_migrations_of_pairs(FEATURES_PACKED, NULL, 256, 3000, 2, 4);
}

/* The log is turned on and off, and moved, all the time. No frame may be lost by that. */
static void toggle(uint64_t features)
{
	struct net_config c = usual_config(features, 1);
	struct lab *l = lab_open(&c, 1);
	uint64_t random = 5;
	json_t *stats;

	for (unsigned i = 0; i < 200; i++) {
		set_place(l, random_between(&random, 0, PLACES - 1));
		run(l, 3);
		set_logging(l, random_next(&random) & 1, random_next(&random) & 1);
		run(l, 3);
	}
	/* If the log is off, no bit is set. */
	set_logging(l, false, false);
	memset(l->log, 0, offset_of(l, PLACES));
	run(l, 300);
	for (uint64_t i = 0; i < offset_of(l, PLACES); i++)
		must(l->log[i] == 0, "logged although the log is off");
	/* The log is on and moves. Bits that were set in the old place count. */
	set_place(l, 0);
	set_logging(l, true, true);
	copy_all(l);
	for (unsigned i = 1; i < 60; i++) {
		uint64_t old = l->place;

		run(l, 5);
		set_place(l, i % PLACES);
		take_marks(l, old);
	}
	streams_settle(l->s, N);
	stats = switch_stats(&l->sw);
	must_equal(switch_drops(stats, 0, "egress", NULL), 0, "frames lost to the port");
	must_equal(switch_drops(stats, 1, "ingress", NULL), 0, "frames lost on their way");
	json_decref(stats);
	must_equal(-net_driver_stop(l->moving), 0, "errno of net_driver_stop");
	take_marks(l, l->place);
	compare_all(l);
	must_equal(-net_driver_resume(l->moving), 0, "errno of net_driver_resume");
	lab_close(l);
}

static void test_split_on_off_and_elsewhere_without_loss(void **state)
{
	(void)state;
	toggle(FEATURES_BASE);
}

static void test_packed_on_off_and_elsewhere_without_loss(void **state)
{
	(void)state;
	toggle(FEATURES_PACKED);
}

/*
 * The log's file becomes shorter while the switch uses it: the port is lost, the switch continues.
 */
static void test_a_log_that_is_cut_costs_its_port(void **state)
{
	struct net_config c = usual_config(FEATURES_BASE, 1);
	struct lab *l = lab_open(&c, 1);
	uint64_t deadline = now_ns() + UINT64_C(5000000000), ignored;

	(void)state;
	set_place(l, 0);
	set_logging(l, true, true);
	run(l, 20);
	must(ftruncate(l->log_fd, 0) == 0, "ftruncate of the log");
	for (unsigned i = 0; i < N; i++)
		l->s[i].lossy = true;
	while (frontend_get_u64(&l->moving->fe, VHOST_USER_GET_FEATURES, &ignored) == 0) {
		must(now_ns() < deadline, "the port lives on without its log");
		run(l, 1);
	}
	must(switch_alive(&l->sw), "the switch died");
	l->s[0].received = l->s[0].sent;
	l->s[1].received = l->s[1].sent;
	must(ftruncate(l->log_fd, offset_of(l, PLACES)) == 0, "ftruncate of the log");
	lab_close(l);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_split),
	    cmocka_unit_test(test_packed),
	    cmocka_unit_test(test_split_merged_buffers),
	    cmocka_unit_test(test_packed_merged_buffers),
	    cmocka_unit_test(test_split_in_order),
	    cmocka_unit_test(test_packed_in_order),
	    cmocka_unit_test(test_split_scattered),
	    cmocka_unit_test(test_packed_scattered),
	    cmocka_unit_test(test_split_queue_pairs),
	    cmocka_unit_test(test_packed_queue_pairs),
	    cmocka_unit_test(test_split_on_off_and_elsewhere_without_loss),
	    cmocka_unit_test(test_packed_on_off_and_elsewhere_without_loss),
	    cmocka_unit_test(test_a_log_that_is_cut_costs_its_port),
	};

	if (argc > 1)
		switch_binary(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
