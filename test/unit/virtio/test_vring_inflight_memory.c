/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In-flight tracking takes memory, private and shared, in proportion to the ring's size, not to the
 * size of the area.
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "virtio/vring_inflight.h"

#define SIZE 256

static uint8_t ring[3 * 4096] CACHE_ALIGNED;

/* The number of pages of a shared mapping that are in memory. */
static unsigned pages_of(void *map, size_t size)
{
	static unsigned char in_memory[512];
	unsigned n = 0, pages = (size + 4095) / 4096;

	assert_true(pages <= ARRAY_SIZE(in_memory));
	assert_int_equal(mincore(map, size, in_memory), 0);
	for (unsigned i = 0; i < pages; i++)
		n += in_memory[i] & 1;
	return n;
}

static size_t heap_in_use(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static void check(uint64_t features, bool defers)
{
	bool packed = VIRTIO_HAS(features, F_RING_PACKED);
	size_t size = vring_inflight_region_size(VRING_SIZE_MAX, packed), before;
	struct vring_position position = vring_position_initial(packed);
	struct vring_config config = {.features = features,
	    .size = SIZE,
	    .desc = ring,
	    .driver = ring + 4096,
	    .device = ring + 8192,
	    .position = &position};
	void *area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(area, MAP_FAILED);
	before = heap_in_use();
	for (unsigned times = 0; times < 3; times++) {
		struct vring_inflight *f =
		    vring_inflight_create(area, VRING_SIZE_MAX, SIZE, packed, defers);

		assert_non_null(f);
		if (times == 2)
			vring_inflight_reset(f, &position);
		else
			assert_int_equal(vring_inflight_recover(f, &config), 0);
		assert_true(heap_in_use() < before + 8192);
		assert_int_equal(pages_of(area, size), packed ? 3 : 2);
		vring_inflight_destroy(f);
	}
	assert_true(heap_in_use() < before + 2048); /* small blocks stay in a cache */
	munmap(area, size);
}

static void a_split_ring_takes_memory_by_its_size(void **state)
{
	(void)state;
	check(VIRTIO_BIT(F_VERSION_1), true);
	check(VIRTIO_BIT(F_VERSION_1), false);
}

static void a_packed_ring_takes_memory_by_its_size(void **state)
{
	(void)state;
	check(VIRTIO_BIT(F_VERSION_1) | VIRTIO_BIT(F_RING_PACKED), true);
	check(VIRTIO_BIT(F_VERSION_1) | VIRTIO_BIT(F_RING_PACKED), false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_split_ring_takes_memory_by_its_size),
	    cmocka_unit_test(a_packed_ring_takes_memory_by_its_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
