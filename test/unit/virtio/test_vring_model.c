/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * lib/virtio's driver side and device side use one ring for many random steps. A model has a simple
 * queue of the chains that the device has. Each chain has a number, and its buffers have bytes made
 * from the number. So a chain that is lost, exchanged, cut or delivered twice is detected at once.
 *
 * The transmit direction fetches, sometimes gives chains back unused, and completes. The receive
 * direction reserves buffers for frames of random lengths, fills them, and completes.
 *
 * Sometimes the device is stopped and started again from its position alone, as after a reconnect.
 * Notifications: if one side asked to be notified and was not, although something happened since,
 * it would sleep for ever; the model counts that as a failure.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../each_level.h"
#include "virtio/driver.h"
#include "virtio/vring.h"

#define ARENA     (1 << 20)
#define GPA       UINT64_C(0x100000000)
#define PIECE_MAX 300
#define PIECES    6
#define FRAME_MAX 1200

/* The steps for each ring size and set of features. There are 2 x 32 x 10 such combinations. */
#ifdef __SANITIZE_ADDRESS__
#define STEPS 1500
#else
#define STEPS 12000
#endif

struct expected {
	uint32_t number;
	uint32_t len;
};

struct model {
	uint64_t features;
	bool receive;
	uint16_t size;
	uint8_t *arena;
	struct guest_memory *memory;
	struct driver_ring driver;
	void *area[3];
	struct vring ring;
	struct vring_position position;
	struct vring_batch *batch;
	uint64_t rng;
	/* The chains that the device has, oldest first. */
	struct expected *fifo;
	uint32_t head, tail; /* the numbers of the oldest chain and of the next one */
	uint32_t reaped;     /* number of the next chain the driver should get back */
	uint32_t *written;   /* by number modulo twice the size: what the device reported */
	uint64_t arena_at;
	bool driver_sleeps, called;
	bool device_sleeps, kicked;
	uint64_t chains;
};

static uint32_t draw(struct model *m, uint32_t below)
{
	m->rng ^= m->rng << 13;
	m->rng ^= m->rng >> 7;
	m->rng ^= m->rng << 17;
	return (m->rng >> 20) % below;
}

static uint8_t pattern(uint32_t number, uint32_t at)
{
	return number * 37 + at * 11 + (at >> 8);
}

static bool packed(const struct model *m)
{
	return VIRTIO_HAS(m->features, F_RING_PACKED);
}

static void start_device(struct model *m)
{
	const struct vring_config config = {
	    .direction = m->receive ? VRING_RECEIVE : VRING_TRANSMIT,
	    .features = m->features,
	    .size = m->size,
	    .desc = m->area[0],
	    .driver = m->area[1],
	    .device = m->area[2],
	    .position = &m->position,
	    .memory = m->memory,
	};

	assert_int_equal(vring_start(&m->ring, &config), 0);
	/* After a start every user of a ring looks once, and then relies on notifications. */
	m->device_sleeps = false;
}

static void set_up(struct model *m)
{
	struct vring_layout layout = vring_layout(m->size, packed(m));
	const uint32_t bytes[3] = {layout.desc, layout.driver, layout.device};
	const struct guest_region region = {
	    .gpa = GPA, .size = ARENA, .uaddr = 0x1000, .host = m->arena};

	for (unsigned i = 0; i < 3; i++)
		m->area[i] = aligned_alloc(64, (bytes[i] + 63) & ~63u);
	for (unsigned i = 0; i < 3; i++)
		memset(m->area[i], 0, bytes[i]);
	assert_int_equal(guest_memory_create(&region, 1, &m->memory), 0);
	assert_int_equal(
	    driver_ring_init(&m->driver, m->features, m->size, m->area[0], m->area[1], m->area[2]),
	    0);
	m->fifo = calloc(m->size * 2u, sizeof(*m->fifo));
	m->written = calloc(m->size * 2u, sizeof(*m->written));
	m->position = vring_position_initial(packed(m));
	start_device(m);
}

static void tear_down(struct model *m)
{
	driver_ring_cleanup(&m->driver);
	guest_memory_destroy(m->memory);
	for (unsigned i = 0; i < 3; i++)
		free(m->area[i]);
	free(m->fifo);
	free(m->written);
}

/* Memory for one buffer. Wraps around; buffers of chains in flight may share it when receiving. */
static uint32_t arena_take(struct model *m, uint32_t len)
{
	if (m->arena_at + len > ARENA)
		m->arena_at = 0;
	uint32_t at = m->arena_at;

	m->arena_at += len;
	return at;
}

static bool driver_adds(struct model *m)
{
	struct driver_buffer buffers[PIECES];
	unsigned n = 1 + (draw(m, 3) ? 0 : draw(m, PIECES)), out, in;
	struct expected e = {.number = m->tail};
	void *token = (void *)(uintptr_t)(m->tail + 1);
	int err;

	if (m->tail - m->reaped >= m->size)
		return false;
	for (unsigned i = 0; i < n; i++) {
		uint32_t len = 1 + draw(m, PIECE_MAX), at = arena_take(m, len);

		buffers[i] = (struct driver_buffer){.addr = GPA + at, .len = len};
		for (uint32_t k = 0; k < len && !m->receive; k++)
			m->arena[at + k] = pattern(e.number, e.len + k);
		e.len += len;
	}
	out = m->receive ? 0 : n;
	in = m->receive ? n : 0;
	if (VIRTIO_HAS(m->features, F_INDIRECT_DESC) && draw(m, 2)) {
		uint32_t at = (arena_take(m, n * 16 + 16) + 15) & ~15u;

		err = driver_ring_add_indirect(
		    &m->driver, buffers, out, in, m->arena + at, GPA + at, token);
	} else {
		err = driver_ring_add(&m->driver, buffers, out, in, token);
	}
	if (err) {
		assert_int_equal(err, -28);
		return false;
	}
	m->fifo[m->tail++ % (m->size * 2u)] = e;
	m->chains++;
	return true;
}

static void driver_publishes(struct model *m)
{
	struct vring_peek peek;

	driver_ring_publish(&m->driver);
	if (driver_ring_kick_needed(&m->driver))
		m->kicked = true;
	/* The word of vring_peek() and the ring agree. */
	peek = vring_peek(&m->ring);
	assert_int_equal(vring_peek_avail(&peek), vring_has_avail(&m->ring));
	/* A device that sleeps and was not kicked must have nothing to do. */
	if (m->device_sleeps && !m->kicked)
		assert_false(vring_has_avail(&m->ring));
}

static void check_chain(struct model *m, const struct vring_chain *c, const struct expected *e)
{
	uint32_t at = 0, wrong = 0;

	assert_int_equal(c->fault, VRING_FAULT_NONE);
	assert_int_equal(c->len, e->len);
	for (unsigned s = 0; s < c->n_segments; s++) {
		const struct vring_segment *seg = &m->batch->segment[c->segment + s];

		assert_true(seg->addr >= m->arena && seg->addr + seg->len <= m->arena + ARENA);
		for (uint32_t k = 0; k < seg->len && !m->receive; k++, at++)
			wrong += seg->addr[k] != pattern(e->number, at);
	}
	assert_int_equal(wrong, 0);
}

static struct expected *in_flight(struct model *m, uint32_t number)
{
	assert_true(number < m->tail);
	return &m->fifo[number % (m->size * 2u)];
}

static void device_completes(struct model *m)
{
	for (unsigned i = 0; i < m->batch->n; i++)
		m->written[m->head++ % (m->size * 2u)] = m->batch->chain[i].written;
	vring_complete(&m->ring, m->batch);
	if (m->batch->n && vring_call_needed(&m->ring))
		m->called = true;
}

static void device_transmits(struct model *m)
{
	unsigned n, keep;

	m->batch->n = m->batch->n_segments = 0;
	n = vring_fetch(&m->ring, m->batch, 1 + draw(m, 64));
	if (n && draw(m, 2))
		n += vring_fetch(&m->ring, m->batch, 1 + draw(m, 8));
	assert_int_equal(n, m->batch->n);
	assert_int_equal(m->ring.broken, VRING_BREAK_NONE);
	for (unsigned i = 0; i < n; i++)
		check_chain(m, &m->batch->chain[i], in_flight(m, m->head + i));
	keep = draw(m, 4) ? n : draw(m, n + 1);
	vring_unfetch(&m->ring, m->batch, keep);
	assert_int_equal(m->batch->n, keep);
	device_completes(m);
}

/* Check that len bytes would not fit into a ring full of buffers like those from `number` on. */
static void check_hopeless(struct model *m, uint32_t number, uint32_t len)
{
	uint32_t largest = 0;

	assert_true(number < m->tail);
	for (; number < m->tail && !m->driver.pending; number++)
		largest = MAX(largest, in_flight(m, number)->len);
	assert_true(len > largest * m->size);
}

/* Check the rooms against the rules of vring.h, with the model's knowledge of the buffers. */
static void check_reservations(struct model *m, const uint32_t len[],
    const struct vring_reservation reserved[], unsigned decided)
{
	bool merge = VIRTIO_HAS(m->features, NET_F_MRG_RXBUF);
	uint32_t number = m->head, chain = 0;

	for (unsigned i = 0; i < decided; i++) {
		uint32_t have = 0, first = number;

		if (reserved[i].status == VRING_RESERVE_OK) {
			assert_int_equal(reserved[i].chain, chain);
			for (unsigned k = 0; k < reserved[i].n_chains; k++) {
				const struct vring_chain *c = &m->batch->chain[chain + k];
				uint32_t rest = len[i] - have;

				check_chain(m, c, in_flight(m, number));
				assert_true(have < len[i]);
				assert_int_equal(c->written, rest < c->len ? rest : c->len);
				have += c->written;
				number++;
			}
			assert_int_equal(have, len[i]);
			assert_true(merge || reserved[i].n_chains == 1);
			chain += reserved[i].n_chains;
		} else if (reserved[i].status == VRING_RESERVE_TOO_SMALL) {
			if (merge)
				check_hopeless(m, first, len[i]);
			else
				assert_true(in_flight(m, first)->len < len[i]);
		} else {
			assert_int_equal(reserved[i].status, VRING_RESERVE_NONE);
			if (i > 0 && reserved[i - 1].status == VRING_RESERVE_NONE)
				continue; /* all frames behind one without room have no room */
			while (first < m->tail && merge)
				have += in_flight(m, first++)->len;
			/* The device does not see chains that are added and not yet published. */
			assert_true(
			    m->driver.pending || (merge ? have < len[i] : first == m->tail));
		}
	}
	assert_int_equal(m->batch->n, chain);
}

static void device_receives(struct model *m)
{
	struct vring_reservation reserved[32];
	uint32_t len[32];
	unsigned n = 1 + draw(m, 32), decided;

	for (unsigned i = 0; i < n; i++)
		len[i] = 1 + draw(m, draw(m, 2) ? (draw(m, 2) ? 1 : 64) : FRAME_MAX);
	vring_visit(m->batch);
	decided = vring_reserve(&m->ring, m->batch, len, n, reserved);
	assert_true(decided <= n);
	assert_int_equal(m->ring.broken, VRING_BREAK_NONE);
	check_reservations(m, len, reserved, decided);
	device_completes(m);
}

static void driver_reaps(struct model *m)
{
	unsigned most = 1 + draw(m, 64);
	uint32_t len;
	void *token;
	int got = 0;

	while (most-- && (got = driver_ring_reap(&m->driver, &token, &len)) == 1) {
		assert_int_equal((uintptr_t)token, m->reaped + 1);
		assert_true(m->reaped < m->head);
		assert_int_equal(len, m->written[m->reaped % (m->size * 2u)]);
		m->reaped++;
	}
	assert_true(got >= 0);
	if (got == 0)
		assert_int_equal(m->reaped, m->head);
}

static void driver_goes_to_sleep(struct model *m)
{
	m->called = false;
	m->driver_sleeps = !driver_ring_call_enable(&m->driver);
	if (!m->driver_sleeps)
		driver_ring_call_disable(&m->driver);
}

static void device_goes_to_sleep(struct model *m)
{
	m->kicked = false;
	m->device_sleeps = !vring_kick_enable(&m->ring);
	if (!m->device_sleeps)
		vring_kick_disable(&m->ring);
}

static void step(struct model *m)
{
	switch (draw(m, 8)) {
	case 0:
	case 1:
	case 2:
		for (unsigned n = 1 + draw(m, 40); n && driver_adds(m); n--)
			;
		if (draw(m, 8))
			driver_publishes(m);
		return;
	case 3:
	case 4:
		if (m->receive)
			device_receives(m);
		else
			device_transmits(m);
		/* A driver that sleeps and was not called must have nothing to reap. */
		if (m->driver_sleeps && !m->called)
			assert_int_equal(m->reaped, m->head);
		if (m->device_sleeps && draw(m, 2)) {
			vring_kick_disable(&m->ring);
			m->device_sleeps = false;
		}
		return;
	case 5:
	case 6:
		if (m->driver_sleeps && !m->called)
			return;
		driver_reaps(m);
		m->driver_sleeps = false;
		if (draw(m, 2))
			driver_ring_call_disable(&m->driver);
		if (draw(m, 2))
			driver_goes_to_sleep(m);
		return;
	default:
		if (draw(m, 4) == 0)
			device_goes_to_sleep(m);
		if (draw(m, 50) == 0)
			start_device(m);
	}
}

static const uint16_t sizes[] = {1, 2, 3, 4, 5, 7, 16, 256, 1000, 1024};

static void run(uint64_t features, bool receive, uint64_t seed, uint64_t *total)
{
	static uint8_t arena[ARENA];
	static struct vring_batch batch;

	for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		struct model m = {
		    .features = features,
		    .receive = receive,
		    .size = sizes[s],
		    .arena = arena,
		    .batch = &batch,
		    .rng = seed ^ (s * UINT64_C(0x9e3779b97f4a7c15)) ^ features,
		};

		if (!vring_size_valid(m.size, packed(&m)))
			continue;
		set_up(&m);
		for (unsigned i = 0; i < STEPS; i++)
			step(&m);
		/*
		 * Check that the ring was really used. A ring of one entry seldom has room for a
		 * frame.
		 */
		/* A ring of one seldom has room for a whole frame. */
		assert_true(m.chains > STEPS / 100);
		*total += m.chains;
		tear_down(&m);
	}
}

static void run_format(uint64_t format)
{
	const char *given = getenv("VRING_MODEL_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u + 1;
	uint64_t total = 0;

	print_message("VRING_MODEL_SEED=%llu\n", (unsigned long long)seed);
	for (unsigned v = 0; v < 32; v++) {
		uint64_t features = format | VIRTIO_BIT(F_VERSION_1) |
		    (v & 1 ? VIRTIO_BIT(F_IN_ORDER) : 0) | (v & 2 ? VIRTIO_BIT(F_EVENT_IDX) : 0) |
		    (v & 4 ? VIRTIO_BIT(F_INDIRECT_DESC) : 0) |
		    (v & 8 ? VIRTIO_BIT(NET_F_MRG_RXBUF) : 0);

		run(features, v & 16, seed + v, &total);
	}
	print_message("%llu chains\n", (unsigned long long)total);
}

static void split_driver_and_device_agree(void **state)
{
	(void)state;
	run_format(0);
}

static void packed_driver_and_device_agree(void **state)
{
	(void)state;
	run_format(VIRTIO_BIT(F_RING_PACKED));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(split_driver_and_device_agree),
	    cmocka_unit_test(packed_driver_and_device_agree),
	};

	return run_group_at_each_level(tests);
}
