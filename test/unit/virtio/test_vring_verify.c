/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Compares positions that a front-end tells with the ring. lib/virtio's driver and device use a
 * ring with chains of all shapes. After each step all positions are told, one after the other. The
 * true position must never be rejected, and never be replaced by another position.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "virtio/driver.h"
#include "virtio/vring_verify.h"

#define MEMORY  (256 * 1024)
#define DRIVER  (128 * 1024)
#define DEVICE  (DRIVER + 16 * 1024)
#define BUFFERS (DEVICE + 16 * 1024)
#define ROUNDS  3000

struct lab {
	uint8_t *memory;
	struct guest_memory *guest;
	struct driver_ring driver;
	struct vring device;
	struct vring_config config;
	struct vring_position position;
	unsigned longest; /* descriptors of a chain */
	uint32_t random;
	unsigned n_told, n_corrected, n_contradicted, n_believed;
};

static struct vring_batch batch;

static uint32_t draw(struct lab *l, uint32_t n)
{
	l->random = l->random * 1664525 + 1013904223;
	return (l->random >> 8) % n;
}

static void open_lab(struct lab *l, uint16_t size, uint64_t features, unsigned longest)
{
	struct guest_region r = {.gpa = 0, .size = MEMORY, .uaddr = 0};

	memset(l, 0, sizeof(*l));
	l->random = size + longest;
	l->longest = longest;
	r.host = l->memory = aligned_alloc(64, MEMORY);
	assert_non_null(l->memory);
	memset(l->memory, 0, MEMORY);
	features |= VIRTIO_BIT(F_VERSION_1);
	assert_int_equal(guest_memory_create(&r, 1, &l->guest), 0);
	assert_int_equal(driver_ring_init(&l->driver, features, size, l->memory, l->memory + DRIVER,
			     l->memory + DEVICE),
	    0);
	l->position = vring_position_initial(VIRTIO_HAS(features, F_RING_PACKED));
	l->config = (struct vring_config){.direction = VRING_TRANSMIT,
	    .features = features,
	    .size = size,
	    .desc = l->memory,
	    .driver = l->memory + DRIVER,
	    .device = l->memory + DEVICE,
	    .position = &l->position,
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
	struct driver_buffer b[8];
	unsigned n = 1 + draw(l, l->longest);

	for (unsigned i = 0; i < 8; i++)
		b[i] = (struct driver_buffer){BUFFERS + 64 * i, 64};
	driver_ring_add(&l->driver, b, n, 0, l);
	driver_ring_publish(&l->driver);
}

static void use(struct lab *l, unsigned max)
{
	batch.n = batch.n_segments = 0;
	vring_fetch(&l->device, &batch, max);
	vring_complete(&l->device, &batch);
}

static void reap(struct lab *l, unsigned max)
{
	void *token;
	uint32_t len;

	while (max-- && driver_ring_reap(&l->driver, &token, &len) == 1)
		; /* free the slots */
}

/* Are all slots as the driver leaves them on its first lap, without any mark? */
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

static uint64_t word(const struct vring_position *position)
{
	return position->avail | (uint64_t)position->avail_wrap << 16;
}

/* Tell a position. The result must be the true position, or the position that was told. */
static enum vring_verdict tell(struct lab *l, struct vring_position told)
{
	struct vring_position before = told;
	enum vring_verdict verdict = vring_verify(&l->config, &told);

	l->n_told++;
	switch (verdict) {
	case VRING_VERDICT_AGREES:
		assert_int_equal(word(&told), word(&before));
		l->n_believed += word(&told) != word(&l->position);
		break;
	case VRING_VERDICT_CORRECTED:
		l->n_corrected++;
		assert_int_not_equal(word(&before), word(&l->position));
		assert_int_equal(word(&told), word(&l->position));
		assert_int_equal(told.used, l->position.used);
		assert_int_equal(told.used_wrap, l->position.used_wrap);
		break;
	case VRING_VERDICT_CONTRADICTS:
		l->n_contradicted++;
		assert_int_equal(word(&told), word(&before));
		assert_int_not_equal(word(&before), word(&l->position));
		break;
	}
	return verdict;
}

static struct vring_position place(uint16_t slot, bool wrap)
{
	return (struct vring_position){
	    .avail = slot, .used = slot, .avail_wrap = wrap, .used_wrap = wrap};
}

/* Tell a position, unless it makes the ring look like a new one. */
static void tell_stale(struct lab *l, struct vring_position told)
{
	if (!looks_new(l) || word(&told))
		tell(l, told);
}

static void tell_all_kinds(struct lab *l)
{
	struct vring_position start = vring_position_initial(true), at = l->position;

	assert_int_equal(tell(l, at), VRING_VERDICT_AGREES);
	tell(l, start);
	tell_stale(l, place(0, false)); /* as User Mode Linux does */
	tell_stale(l, place(at.avail, !at.avail_wrap));
	tell_stale(l, place(draw(l, l->config.size), draw(l, 2)));
}

/*
 * Let driver and device use the ring in turn, with different numbers of chains, and tell positions
 * after each step.
 */
static void run(struct lab *l)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		for (unsigned n = draw(l, 6); n && l->driver.n_free >= l->longest; n--)
			offer(l);
		tell_all_kinds(l);
		use(l, 1 + draw(l, 8));
		tell_all_kinds(l);
		reap(l, draw(l, 2) ? UINT32_MAX : draw(l, 4));
		tell_all_kinds(l);
	}
}

static const uint16_t sizes[] = {4, 5, 16, 255, 256};

static void chains_of_one_slot_show_where_their_ring_stands(void **state)
{
	(void)state;
	for (unsigned k = 0; k < ARRAY_SIZE(sizes); k++) {
		struct lab l;

		open_lab(&l, sizes[k], VIRTIO_BIT(F_RING_PACKED) | VIRTIO_BIT(F_INDIRECT_DESC), 1);
		run(&l);
		assert_true(l.n_corrected > l.n_told / 3);
		assert_int_equal(l.n_contradicted, 0);
		assert_true(l.n_believed < l.n_told / 8);
		close_lab(&l);
	}
}

/* The driver may use indirect tables, but uses chains of several slots. */
static void a_true_position_is_believed_whatever_the_chains_are(void **state)
{
	(void)state;
	for (unsigned k = 2; k < ARRAY_SIZE(sizes); k++) {
		struct lab l;

		open_lab(&l, sizes[k], VIRTIO_BIT(F_RING_PACKED) | VIRTIO_BIT(F_INDIRECT_DESC), 4);
		for (unsigned i = 0; i < ROUNDS; i++) {
			for (unsigned n = draw(&l, 6); n && l.driver.n_free >= l.longest; n--)
				offer(&l);
			assert_int_equal(tell(&l, l.position), VRING_VERDICT_AGREES);
			use(&l, 1 + draw(&l, 8));
			assert_int_equal(tell(&l, l.position), VRING_VERDICT_AGREES);
			reap(&l, draw(&l, 2) ? UINT32_MAX : draw(&l, 4));
			assert_int_equal(tell(&l, l.position), VRING_VERDICT_AGREES);
		}
		close_lab(&l);
	}
}

static void rings_of_all_shapes(uint64_t features, unsigned longest)
{
	for (unsigned k = 0; k < ARRAY_SIZE(sizes); k++) {
		struct lab l;

		if (sizes[k] <= longest)
			continue; /* too small for such chains */
		open_lab(&l, sizes[k], VIRTIO_BIT(F_RING_PACKED) | features, longest);
		run(&l);
		assert_true(l.n_corrected > 0);
		assert_true(l.n_believed < l.n_told / 4);
		close_lab(&l);
	}
}

static void no_ring_is_put_where_it_does_not_stand(void **state)
{
	(void)state;
	for (unsigned longest = 1; longest <= 4; longest++) {
		rings_of_all_shapes(0, longest);
		rings_of_all_shapes(VIRTIO_BIT(F_IN_ORDER), longest);
	}
}

static void a_new_ring_stands_at_its_beginning(void **state)
{
	(void)state;
	for (unsigned n = 0; n <= 16; n++) {
		struct lab l;

		open_lab(&l, 16, VIRTIO_BIT(F_RING_PACKED), 1);
		for (unsigned i = 0; i < n; i++)
			offer(&l);
		assert_int_equal(tell(&l, l.position), VRING_VERDICT_AGREES);
		assert_int_equal(tell(&l, place(0, false)), VRING_VERDICT_CORRECTED);
		close_lab(&l);
	}
}

static void a_position_outside_the_ring_is_left_to_others(void **state)
{
	struct lab l;

	(void)state;
	open_lab(&l, 16, VIRTIO_BIT(F_RING_PACKED), 1);
	assert_int_equal(tell(&l, place(16, true)), VRING_VERDICT_AGREES);
	close_lab(&l);
}

/* The indices of a ring, the position that is told, and the position that is expected. */
static void a_split_ring_stands_at_its_used_index(void **state)
{
	static const struct {
		uint16_t used, avail, told, expected;
	} cases[] = {
	    {301, 557, 557, 301}, /* Cloud Hypervisor tells how far the driver is */
	    {301, 557, 0, 301},   /* DPDK's virtio-user begins anew */
	    {0, 256, 256, 0},     /* filled before the first start */
	    {0, 0, 77, 0},        /* the position of another ring */
	    {301, 557, 301, 301}, /* the truth */
	    {0xfff0, 0x10, 5, 0xfff0},
	    /*
	     * The used index cannot be right, because the driver has started again and did not
	     * clear it.
	     */
	    {301, 0, 0, 0},
	    {301, 300, 290, 290},
	    {0, 257, 200, 200},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vring_position told = place(cases[i].told, false);
		struct lab l;

		open_lab(&l, 256, 0, 1);
		((struct vring_split_used *)(void *)(l.memory + DEVICE))->idx = cases[i].used;
		((struct vring_split_avail *)(void *)(l.memory + DRIVER))->idx = cases[i].avail;
		assert_int_equal(vring_verify(&l.config, &told),
		    cases[i].told == cases[i].expected ? VRING_VERDICT_AGREES
						       : VRING_VERDICT_CORRECTED);
		assert_int_equal(told.avail, cases[i].expected);
		assert_int_equal(told.used, cases[i].expected);
		close_lab(&l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(chains_of_one_slot_show_where_their_ring_stands),
	    cmocka_unit_test(a_true_position_is_believed_whatever_the_chains_are),
	    cmocka_unit_test(no_ring_is_put_where_it_does_not_stand),
	    cmocka_unit_test(a_new_ring_stands_at_its_beginning),
	    cmocka_unit_test(a_position_outside_the_ring_is_left_to_others),
	    cmocka_unit_test(a_split_ring_stands_at_its_used_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
