/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A packed ring's position is found again: after any number of batches with chains of any shape,
 * and after a crash before, between and after the stores that complete a batch. It is not used for
 * another ring.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "virtio/driver.h"
#include "virtio/vring.h"

#define MEMORY  (256 * 1024)
#define DRIVER  (128 * 1024)
#define DEVICE  (DRIVER + 4096)
#define BUFFERS (DEVICE + 4096)
#define ROUNDS  3000

struct lab {
	uint8_t *memory;
	struct guest_memory *guest;
	struct driver_ring driver;
	struct vring device;
	struct vring_config config;
	struct vring_position position;
	uint64_t journal;
	uint32_t random;
};

static struct vring_batch batch;

static uint32_t draw(struct lab *l, uint32_t n)
{
	l->random = l->random * 1664525 + 1013904223;
	return (l->random >> 8) % n;
}

static void open_lab(struct lab *l, uint16_t size, uint64_t features)
{
	struct guest_region r = {.gpa = 0, .size = MEMORY, .uaddr = 0};

	memset(l, 0, sizeof(*l));
	l->random = size;
	r.host = l->memory = aligned_alloc(64, MEMORY);
	assert_non_null(l->memory);
	memset(l->memory, 0, MEMORY);
	features |= VIRTIO_BIT(F_VERSION_1) | VIRTIO_BIT(F_RING_PACKED);
	assert_int_equal(guest_memory_create(&r, 1, &l->guest), 0);
	assert_int_equal(driver_ring_init(&l->driver, features, size, l->memory, l->memory + DRIVER,
			     l->memory + DEVICE),
	    0);
	l->position = vring_position_initial(true);
	l->config = (struct vring_config){.direction = VRING_TRANSMIT,
	    .features = features,
	    .size = size,
	    .desc = l->memory,
	    .driver = l->memory + DRIVER,
	    .device = l->memory + DEVICE,
	    .position = &l->position,
	    .journal = &l->journal,
	    .memory = l->guest};
	assert_int_equal(vring_start(&l->device, &l->config), 0);
}

static void close_lab(struct lab *l)
{
	driver_ring_cleanup(&l->driver);
	guest_memory_destroy(l->guest);
	free(l->memory);
}

static void offer(struct lab *l)
{
	struct driver_buffer b[4];
	unsigned n = 1 + draw(l, 4);

	for (unsigned i = 0; i < 4; i++)
		b[i] = (struct driver_buffer){BUFFERS + 64 * i, 64};
	driver_ring_add(&l->driver, b, n, 0, l);
	driver_ring_publish(&l->driver);
}

/*
 * Are all slots as the driver leaves them on its first lap? A new ring that is full looks like
 * this, and so does a ring that was refilled at its end. vring_recover() treats both as new.
 */
static bool looks_new(const struct lab *l)
{
	const struct vring_packed_desc *desc = (const void *)l->memory;

	for (unsigned i = 0; i < l->config.size; i++) {
		if ((desc[i].flags & (VRING_DESC_F_AVAIL | VRING_DESC_F_USED)) !=
		    VRING_DESC_F_AVAIL)
			return false;
	}
	return true;
}

static void check(struct lab *l, uint64_t word, const struct vring_position *expected)
{
	struct vring_position found;

	if (looks_new(l))
		return;
	assert_true(vring_recover(&l->config, word, &found));
	assert_int_equal(vring_journal_word(&found), vring_journal_word(expected));
}

/* Complete one batch. Check what is found after a crash at each point of the completion. */
static void one_batch(struct lab *l, bool ran)
{
	struct vring_position before = l->position;
	uint32_t slots = 0, len;
	uint8_t *ring = malloc(l->config.size * 16u);
	uint8_t *after = malloc(l->config.size * 16u);
	uint64_t begun;
	void *token;

	batch.n = batch.n_segments = 0;
	vring_fetch(&l->device, &batch, 1 + draw(l, 8));
	before.avail = before.used;
	for (unsigned i = 0; i < batch.n; i++)
		slots += batch.chain[i].slots;
	begun = vring_journal_word(&before) | (uint64_t)slots << 32;
	memcpy(ring, l->memory, l->config.size * 16u);
	vring_complete(&l->device, &batch);
	memcpy(after, l->memory, l->config.size * 16u);
	if (batch.n) {
		check(l, begun, &l->position);      /* all slots are marked */
		check(l, l->journal, &l->position); /* the journal is behind the batch */
		memcpy(l->memory, ring, l->config.size * 16u);
		if (ran)
			check(l, begun, &before); /* no slot is marked */
		memcpy(l->memory, after, l->config.size * 16u);
	}
	while (driver_ring_reap(&l->driver, &token, &len) == 1)
		; /* free the slots */
	if (batch.n) {
		/* The driver went on, perhaps around the ring, before the recovery. */
		offer(l);
		check(l, begun, &l->position);
	}
	free(ring);
	free(after);
}

static void places(uint64_t features)
{
	static const uint16_t sizes[] = {4, 5, 16, 255, 256, 1000};

	for (unsigned k = 0; k < ARRAY_SIZE(sizes); k++) {
		struct lab l;
		bool ran = false;

		open_lab(&l, sizes[k], features);
		for (unsigned i = 0; i < ROUNDS; i++) {
			uint64_t place = vring_journal_word(&l.position);

			for (unsigned n = draw(&l, 6); n; n--)
				offer(&l);
			one_batch(&l, ran);
			ran |= vring_journal_word(&l.position) != place;
		}
		assert_true(ran);
		close_lab(&l);
	}
}

static void a_place_is_found_after_every_crash(void **state)
{
	(void)state;
	places(0);
}

static void a_place_is_found_after_every_crash_in_order(void **state)
{
	(void)state;
	places(VIRTIO_BIT(F_IN_ORDER));
}

/* No position must be found; if the ring is full, only the true one, the start of the ring. */
static void check_no_place(const struct lab *l, uint64_t word, bool full)
{
	struct vring_position found;

	if (vring_recover(&l->config, word, &found))
		assert_int_equal(full ? vring_journal_word(&found) : UINT64_MAX, 0x8000);
}

static void a_ring_that_was_reset_has_no_place(void **state)
{
	struct vring_position found;
	struct lab l;

	(void)state;
	open_lab(&l, 16, 0);
	for (unsigned full = 0; full < 2; full++) {
		for (unsigned slot = 0; slot < 16; slot++) {
			check_no_place(&l, slot, full);
			check_no_place(&l, slot | 0x8000, full);
			check_no_place(&l, slot | UINT64_C(3) << 32, full);
		}
		for (unsigned i = 0; i < 16; i++)
			offer(&l); /* as many as fit; the device uses none */
	}
	/* Words that are no valid journal. */
	assert_false(vring_recover(&l.config, 16, &found));
	assert_false(vring_recover(&l.config, UINT64_MAX, &found));
	assert_false(vring_recover(&l.config, UINT64_C(17) << 32, &found));
	/* A number of slots that would lead out of the ring. */
	assert_false(vring_recover(&l.config, UINT64_C(1) << 56, &found));
	assert_false(vring_recover(&l.config, UINT64_C(1) << 56 | 0x8000, &found));
	close_lab(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_place_is_found_after_every_crash),
	    cmocka_unit_test(a_place_is_found_after_every_crash_in_order),
	    cmocka_unit_test(a_ring_that_was_reset_has_no_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
