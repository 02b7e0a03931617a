/* SPDX-License-Identifier: BSD-3-Clause */
/* Translations against a model that keeps one entry per address. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "virtio/iotlb.h"

#define SPACE 512 /* the number of IOVAs and of uaddrs in the model */
#define RW    (IOTLB_READ | IOTLB_WRITE)

static uint8_t host[2 * SPACE];

/* Three regions that adjoin in uaddr, but not in guest addresses. */
static struct guest_memory *make_memory(void)
{
	const struct guest_region regions[] = {
	    {.gpa = 0, .uaddr = 0, .size = 128, .host = host + 512},
	    {.gpa = 4096, .uaddr = 128, .size = 128, .host = host},
	    /* The mapping adjoins the one before, but this is another region. */
	    {.gpa = 8192, .uaddr = 256, .size = SPACE - 300, .host = host + 128},
	};
	struct guest_memory *memory;

	assert_int_equal(guest_memory_create(regions, ARRAY_SIZE(regions), &memory), 0);
	return memory;
}

struct model {
	uint8_t perm[SPACE];
	uint16_t uaddr[SPACE];
};

static uint64_t seed;

static uint32_t draw(uint32_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(seed >> 33) % n;
}

static uint8_t *model_host(
    const struct guest_memory *memory, const struct model *m, unsigned iova, unsigned perm)
{
	if ((m->perm[iova] & perm) != perm)
		return NULL;
	return guest_memory_from_uaddr(memory, m->uaddr[iova], 1);
}

/*
 * Compare the whole view with the model, address by address. If entries may have been forgotten,
 * addresses may be missing, but none may be wrong.
 */
static void check_view(
    const struct iotlb *tlb, const struct guest_memory *memory, const struct model *m, bool evicts)
{
	struct iotlb_view *view;

	assert_int_equal(iotlb_view_create(tlb, memory, &view), 0);
	for (unsigned iova = 0; iova < SPACE; iova++) {
		for (unsigned perm = IOTLB_READ; perm <= RW; perm++) {
			uint8_t *want = model_host(memory, m, iova, perm);
			uint64_t missing;
			uint8_t *got = iotlb_view_resolve(view, iova, 1, perm, &missing);

			if (got || !evicts)
				assert_ptr_equal(got, want);
			assert_int_equal(missing, got ? iova + 1 : iova);
		}
	}
	iotlb_view_destroy(view);
}

static void random_step(struct iotlb *tlb, struct model *m)
{
	unsigned iova = draw(SPACE), size = 1 + draw(draw(4) ? 16 : SPACE - iova);
	unsigned uaddr, perm = draw(4);

	size = MIN(size, SPACE - iova);
	/* Often continue the translation before it. */
	uaddr = iova && draw(2) ? m->uaddr[iova - 1] + 1u : draw(SPACE);
	if (uaddr + size > SPACE)
		uaddr = SPACE - size;
	if (perm)
		assert_int_equal(iotlb_update(tlb, iova, size, uaddr, perm, NULL, 0), 0);
	else
		assert_int_equal(iotlb_invalidate(tlb, iova, size), 0);
	for (unsigned i = 0; i < size; i++) {
		m->perm[iova + i] = perm;
		m->uaddr[iova + i] = uaddr + i;
	}
}

static void run_model(unsigned max_entries, bool evicts)
{
	struct guest_memory *memory = make_memory();
	struct model m = {0};
	struct iotlb *tlb;

	assert_int_equal(iotlb_create(max_entries, &tlb), 0);
	for (unsigned step = 0; step < 20000; step++) {
		random_step(tlb, &m);
		assert_true(iotlb_count(tlb) <= max_entries);
		if (step % 16 == 0)
			check_view(tlb, memory, &m, evicts);
	}
	iotlb_destroy(tlb);
	guest_memory_destroy(memory);
}

static void updates_and_invalidations_are_exact(void **state)
{
	(void)state;
	seed = 1;
	run_model(SPACE, false);
}

static void a_small_table_knows_less_and_nothing_wrong(void **state)
{
	(void)state;
	for (unsigned max = 1; max < 12; max++) {
		seed = max;
		run_model(max, true);
	}
}

static void pages_of_one_buffer_become_one_piece(void **state)
{
	struct guest_region region = {.gpa = 0, .uaddr = 0x100000, .size = 1 << 20};
	struct guest_memory *memory;
	struct iotlb_view *view;
	struct iotlb *tlb;
	uint64_t missing;

	(void)state;
	region.host = calloc(1, region.size);
	assert_int_equal(guest_memory_create(&region, 1, &memory), 0);
	assert_int_equal(iotlb_create(64, &tlb), 0);
	/* In an order in which entries are merged at either end, between two entries, and twice. */
	for (unsigned i = 0; i < 256; i++) {
		uint64_t page = (i * 37 % 128) * IOTLB_PAGE;
		unsigned perm = RW;

		iotlb_update(tlb, 0x8000 + page, IOTLB_PAGE, 0x100000 + page, perm, NULL, 0);
	}
	iotlb_view_create(tlb, memory, &view);
	assert_int_equal(iotlb_count(tlb), 1);
	assert_int_equal(view->readable->n_regions, 1);
	assert_ptr_equal(
	    iotlb_view_resolve(view, 0x8000, 128 * IOTLB_PAGE, RW, &missing), region.host);
	assert_null(iotlb_view_resolve(view, 0x8010, 128 * IOTLB_PAGE, RW, &missing));
	assert_int_equal(missing, 0x8000 + 128 * IOTLB_PAGE);
	iotlb_view_destroy(view);
	iotlb_destroy(tlb);
	guest_memory_destroy(memory);
	free(region.host);
}

static void pieces_that_lie_apart_are_not_one(void **state)
{
	struct guest_memory *memory = make_memory();
	struct iotlb_view *view;
	struct iotlb *tlb;
	uint64_t missing;

	(void)state;
	iotlb_create(8, &tlb);
	iotlb_update(tlb, 1000, 256, 0, RW, NULL, 0);
	iotlb_view_create(tlb, memory, &view);
	assert_null(iotlb_view_resolve(view, 1000, 256, IOTLB_READ, &missing));
	assert_int_equal(missing, 1256); /* all of it is translated, but not contiguous */
	assert_ptr_equal(iotlb_view_resolve(view, 1000, 128, RW, &missing), host + 512);
	assert_ptr_equal(iotlb_view_resolve(view, 1128, 128, RW, &missing), host);
	iotlb_view_destroy(view);
	iotlb_update(tlb, 1128, 256, 128, RW, NULL, 0);
	iotlb_view_create(tlb, memory, &view);
	assert_null(iotlb_view_resolve(view, 1128, 256, RW, &missing));
	assert_int_equal(missing, 1128 + 256);
	iotlb_view_destroy(view);
	iotlb_destroy(tlb);
	guest_memory_destroy(memory);
}

static void permissions_are_kept_apart(void **state)
{
	struct guest_memory *memory = make_memory();
	struct iotlb_view *view;
	struct iotlb *tlb;
	uint64_t missing;

	(void)state;
	iotlb_create(8, &tlb);
	iotlb_update(tlb, 0, 10, 0, IOTLB_READ, NULL, 0);
	iotlb_update(tlb, 10, 10, 10, IOTLB_WRITE, NULL, 0);
	iotlb_view_create(tlb, memory, &view);
	assert_non_null(iotlb_view_resolve(view, 0, 10, IOTLB_READ, &missing));
	assert_null(iotlb_view_resolve(view, 0, 10, IOTLB_WRITE, &missing));
	assert_null(iotlb_view_resolve(view, 0, 10, RW, &missing));
	assert_null(iotlb_view_resolve(view, 10, 10, IOTLB_READ, &missing));
	assert_null(iotlb_view_resolve(view, 0, 20, IOTLB_READ, &missing));
	assert_int_equal(missing, 10);
	assert_int_equal(iotlb_permission(tlb, 9), IOTLB_READ);
	assert_int_equal(iotlb_permission(tlb, 10), IOTLB_WRITE);
	assert_int_equal(iotlb_permission(tlb, 20), 0);
	iotlb_view_destroy(view);
	iotlb_destroy(tlb);
	guest_memory_destroy(memory);
}

static void what_cannot_be_is_refused(void **state)
{
	struct iotlb *tlb;

	(void)state;
	iotlb_create(8, &tlb);
	assert_int_equal(iotlb_update(tlb, 0, 0, 0, RW, NULL, 0), -EINVAL);
	assert_int_equal(iotlb_update(tlb, 1, UINT64_MAX, 0, RW, NULL, 0), 0);
	assert_int_equal(iotlb_update(tlb, 2, UINT64_MAX, 0, RW, NULL, 0), -EINVAL);
	assert_int_equal(iotlb_update(tlb, 0, 4096, UINT64_MAX - 1, RW, NULL, 0), -EINVAL);
	assert_int_equal(iotlb_update(tlb, 0, 4096, 0, 0, NULL, 0), -EINVAL);
	assert_int_equal(iotlb_update(tlb, 0, 4096, 0, 4, NULL, 0), -EINVAL);
	assert_int_equal(iotlb_update(tlb, 0, 4096, 0, 0xff, NULL, 0), -EINVAL);
	assert_int_equal(iotlb_invalidate(tlb, 1, 0), -EINVAL);
	assert_int_equal(iotlb_invalidate(tlb, 2, UINT64_MAX), -EINVAL);
	assert_int_equal(iotlb_count(tlb), 1);
	assert_int_equal(iotlb_permission(tlb, UINT64_MAX), RW);
	assert_int_equal(iotlb_invalidate(tlb, UINT64_MAX, 1), 0);
	assert_int_equal(iotlb_permission(tlb, UINT64_MAX), 0);
	assert_int_equal(iotlb_permission(tlb, UINT64_MAX - 1), RW);
	assert_int_equal(iotlb_invalidate(tlb, 0, 0), 0);
	assert_int_equal(iotlb_count(tlb), 0);
	iotlb_destroy(tlb);
}

static void a_pinned_translation_is_never_pushed_out(void **state)
{
	const struct iotlb_pin pins[] = {{0x100000, 0x3000}, {0x200000, 1}, {5, 0}};
	struct iotlb *tlb;

	(void)state;
	iotlb_create(64, &tlb);
	iotlb_update(tlb, 0x100000, 0x1000, 0x1000, RW, pins, 3);
	iotlb_update(tlb, 0x102000, 0x1000, 0x9000, RW, pins, 3);
	iotlb_update(tlb, 0x1ff000, 0x2000, 0x20000, RW, pins, 3);
	for (uint64_t i = 1; i < 100000; i++) {
		uint64_t iova = 0x1000000 + i * 0x2000;

		assert_int_equal(iotlb_update(tlb, iova, 0x1000, 0, RW, pins, 3), 0);
		assert_true(iotlb_count(tlb) <= 64);
		assert_int_equal(iotlb_permission(tlb, iova), RW);
		/*
		 * The last few translations are still there, because a chain may need all of them.
		 */
		for (uint64_t back = 0; back < 32 && back < i; back++)
			assert_int_equal(iotlb_permission(tlb, iova - back * 0x2000), RW);
		assert_int_equal(iotlb_permission(tlb, 0x100000), RW);
		assert_int_equal(iotlb_permission(tlb, 0x102fff), RW);
		assert_int_equal(iotlb_permission(tlb, 0x200000), RW);
	}
	iotlb_destroy(tlb);
}

static void a_table_full_of_pins_takes_nothing_more(void **state)
{
	const struct iotlb_pin pin = {0, 0x1000};
	struct iotlb *tlb;

	(void)state;
	iotlb_create(4, &tlb);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(iotlb_update(tlb, i * 2, 1, i, RW, &pin, 1), 0);
	assert_int_equal(iotlb_update(tlb, 0x5000, 1, 0, RW, &pin, 1), -ENOSPC);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(iotlb_permission(tlb, i * 2), RW);
	assert_int_equal(iotlb_invalidate(tlb, 2, 1), 0);
	assert_int_equal(iotlb_update(tlb, 0x5000, 1, 0, RW, &pin, 1), 0);
	iotlb_destroy(tlb);
}

static void holes_do_not_make_a_full_table_grow(void **state)
{
	struct iotlb *tlb;

	(void)state;
	iotlb_create(16, &tlb);
	iotlb_update(tlb, 0, 1 << 20, 0, RW, NULL, 0);
	for (unsigned i = 1; i < 1000; i++) {
		iotlb_invalidate(tlb, i * 16, 1);
		assert_true(iotlb_count(tlb) <= 16);
		assert_int_equal(iotlb_permission(tlb, i * 16), 0);
	}
	iotlb_destroy(tlb);
}

/* Each entry spans many regions. A view without a limit would have the product of both numbers. */
static void a_view_is_bounded(void **state)
{
	static struct guest_region regions[GUEST_MEMORY_REGIONS_MAX];
	struct guest_memory *memory;
	struct iotlb_view *view;
	struct iotlb *tlb;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(regions); i++)
		regions[i] = (struct guest_region){
		    .gpa = i * 2, .uaddr = i * 2, .size = 1, .host = host + i * 2 % sizeof(host)};
	assert_int_equal(guest_memory_create(regions, ARRAY_SIZE(regions), &memory), 0);
	iotlb_create(256, &tlb);
	for (unsigned i = 0; i < 256; i++)
		iotlb_update(tlb, i * 8192, 4096, 0, RW, NULL, 0);
	assert_int_equal(iotlb_count(tlb), 256);
	assert_int_equal(iotlb_view_create(tlb, memory, &view), 0);
	assert_true(view->readable->n_regions <= 256 + GUEST_MEMORY_REGIONS_MAX);
	assert_true(view->writable->n_regions <= 256 + GUEST_MEMORY_REGIONS_MAX);
	iotlb_view_destroy(view);
	iotlb_destroy(tlb);
	guest_memory_destroy(memory);
}

static void without_memory_a_view_is_empty(void **state)
{
	struct iotlb_view *view;
	struct iotlb *tlb;
	uint64_t missing;

	(void)state;
	iotlb_create(4, &tlb);
	iotlb_update(tlb, 0, 4096, 0, RW, NULL, 0);
	assert_int_equal(iotlb_view_create(tlb, NULL, &view), 0);
	assert_null(iotlb_view_resolve(view, 0, 1, IOTLB_READ, &missing));
	assert_int_equal(missing, 0);
	iotlb_view_destroy(view);
	iotlb_view_destroy(NULL);
	iotlb_destroy(tlb);
	iotlb_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(updates_and_invalidations_are_exact),
	    cmocka_unit_test(a_small_table_knows_less_and_nothing_wrong),
	    cmocka_unit_test(pages_of_one_buffer_become_one_piece),
	    cmocka_unit_test(pieces_that_lie_apart_are_not_one),
	    cmocka_unit_test(permissions_are_kept_apart),
	    cmocka_unit_test(what_cannot_be_is_refused),
	    cmocka_unit_test(a_pinned_translation_is_never_pushed_out),
	    cmocka_unit_test(a_table_full_of_pins_takes_nothing_more),
	    cmocka_unit_test(holes_do_not_make_a_full_table_grow),
	    cmocka_unit_test(a_view_is_bounded),
	    cmocka_unit_test(without_memory_a_view_is_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
