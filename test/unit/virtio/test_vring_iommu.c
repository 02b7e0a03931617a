/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rings behind an IOMMU: a chain with a miss waits, a chain with a denied address fails, nothing
 * else is lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "virtio/driver.h"
#include "virtio/vring.h"

#define PAGE       4096u
#define PAGES      256u
#define IOVA       UINT64_C(0xffff0000) /* the driver's addresses begin here */
#define UADDR      UINT64_C(0x7f0000000000)
#define RING       32u
#define TABLES     (PAGES - 4) /* pages of indirect tables, each ring slot 512 bytes */
#define LEN_MAX    9000u
#define TABLE_SLOT 512u

struct world {
	uint8_t *memory;       /* index: uaddr minus UADDR */
	unsigned frame[PAGES]; /* IOVA page -> uaddr page: scrambled */
	bool known[PAGES];     /* the table has a translation; by IOVA page */
	unsigned asked[PAGES]; /* how often it was asked for since it became unknown */
	bool forbidden[PAGES]; /* the keeper denies it */
	struct guest_memory *guest;
	struct iotlb *tlb;
	struct vring_iommu iommu;
	struct vring_misses misses;
	uint8_t areas[3][RING * 32] __attribute__((aligned(64)));
	struct driver_ring driver;
	struct vring vring;
	struct vring_position position;
	struct vring_batch batch;
	enum vring_direction direction;
	uint64_t seed;
	/* The numbers and contents of the chains that the device has. */
	uint64_t added, fetched;
	struct sent {
		uint64_t iova;
		uint32_t len;
		bool forbidden;
	} sent[RING];
};

static uint32_t draw(struct world *w, uint32_t n)
{
	w->seed = w->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(w->seed >> 33) % n;
}

static uint8_t *at(struct world *w, uint64_t iova)
{
	uint64_t offset = iova - IOVA;

	return w->memory + w->frame[offset / PAGE] * PAGE + offset % PAGE;
}

static void publish(struct world *w)
{
	struct iotlb_view *old = atomic_load(&w->iommu.view), *view;

	assert_int_equal(iotlb_view_create(w->tlb, w->guest, &view), 0);
	atomic_store(&w->iommu.view, view);
	vring_misses_answer(&w->misses, view);
	iotlb_view_destroy(old);
}

static void know(struct world *w, unsigned page)
{
	/* Buffers are readable or writable as they need to be, and no more. */
	unsigned perm = page >= TABLES      ? IOTLB_READ
	    : w->direction == VRING_RECEIVE ? IOTLB_WRITE
					    : IOTLB_READ;

	iotlb_update(
	    w->tlb, IOVA + page * PAGE, PAGE, UADDR + w->frame[page] * PAGE, perm, NULL, 0);
	w->known[page] = true;
}

static void forget(struct world *w, unsigned page)
{
	iotlb_invalidate(w->tlb, IOVA + page * PAGE, PAGE);
	w->known[page] = false;
	w->asked[page] = 0;
}

static struct world *world_create(uint64_t features, enum vring_direction direction, uint64_t seed)
{
	struct world *w = aligned_alloc(64, (sizeof(*w) + 63) / 64 * 64);
	struct guest_region region = {.uaddr = UADDR, .size = PAGES * PAGE};
	struct vring_config config = {.direction = direction, .features = features, .size = RING};
	bool packed = VIRTIO_HAS(features, F_RING_PACKED);

	memset(w, 0, sizeof(*w));
	w->seed = seed;
	w->direction = direction;
	w->memory = calloc(PAGES, PAGE);
	for (unsigned i = 0; i < PAGES; i++) {
		unsigned k = draw(w, i + 1);

		w->frame[i] = w->frame[k];
		w->frame[k] = i;
	}
	region.host = w->memory;
	guest_memory_create(&region, 1, &w->guest);
	iotlb_create(PAGES, &w->tlb);
	publish(w);
	assert_int_equal(
	    driver_ring_init(&w->driver, features, RING, w->areas[0], w->areas[1], w->areas[2]), 0);
	w->position = vring_position_initial(packed);
	config.desc = w->areas[0];
	config.driver = w->areas[1];
	config.device = w->areas[2];
	config.position = &w->position;
	config.iommu = &w->iommu;
	config.misses = &w->misses;
	assert_int_equal(vring_start(&w->vring, &config), 0);
	return w;
}

static void world_destroy(struct world *w)
{
	driver_ring_cleanup(&w->driver);
	iotlb_view_destroy(atomic_load(&w->iommu.view));
	iotlb_destroy(w->tlb);
	guest_memory_destroy(w->guest);
	free(w->memory);
	free(w);
}

/* Let the driver add a chain of one buffer, which is cut into up to four pieces. */
static void add_chain(struct world *w)
{
	struct sent *s = &w->sent[w->added % RING];
	struct driver_buffer buffers[4];
	unsigned n = 0, out, in;
	uint32_t left;
	uint64_t iova;
	uintptr_t token = w->added + 1;

	s->len = 1 + draw(w, LEN_MAX);
	s->iova = iova = IOVA + draw(w, TABLES * PAGE - LEN_MAX);
	s->forbidden = false;
	for (left = s->len; left; n++) {
		uint32_t part = n == 3 ? left : 1 + draw(w, left);

		buffers[n] = (struct driver_buffer){.addr = iova, .len = part};
		iova += part;
		left -= part;
	}
	for (unsigned i = 0; i < s->len; i++)
		*at(w, s->iova + i) = 0;
	for (uint64_t page = (s->iova - IOVA) / PAGE; page <= (s->iova + s->len - 1 - IOVA) / PAGE;
	     page++)
		s->forbidden |= w->forbidden[page];
	in = w->direction == VRING_RECEIVE ? n : 0;
	out = n - in;
	if (draw(w, 2)) {
		uint64_t table = IOVA + TABLES * PAGE + w->added % RING * TABLE_SLOT;

		if (driver_ring_add_indirect(
			&w->driver, buffers, out, in, at(w, table), table, (void *)token) == 0)
			w->added++;
	} else if (driver_ring_add(&w->driver, buffers, out, in, (void *)token) == 0) {
		w->added++;
	}
	driver_ring_publish(&w->driver);
}

/* Check that the chain's segments are the driver's buffer, in order. */
static void check_chain(struct world *w, const struct vring_chain *c)
{
	const struct sent *s = &w->sent[w->fetched++ % RING];
	uint64_t iova = s->iova;

	assert_int_equal(c->fault, s->forbidden ? VRING_FAULT_ADDRESS : VRING_FAULT_NONE);
	if (c->fault)
		return;
	assert_int_equal(c->len, s->len);
	for (unsigned i = 0; i < c->n_segments; i++) {
		const struct vring_segment *seg = &w->batch.segment[c->segment + i];

		for (unsigned k = 0; k < seg->len; k++)
			assert_ptr_equal(seg->addr + k, at(w, iova + k));
		iova += seg->len;
	}
	assert_int_equal(iova, s->iova + s->len);
}

/* Fetch chains, sometimes unfetch some, complete the others, and let the driver take them. */
static void fetch_some(struct world *w)
{
	uint32_t len;
	void *token;
	unsigned n;

	w->batch.n = w->batch.n_segments = 0;
	n = vring_fetch(&w->vring, &w->batch, 1 + draw(w, RING));
	assert_int_equal(n, w->batch.n);
	assert_false(w->vring.broken);
	if (n && draw(w, 4) == 0)
		vring_unfetch(&w->vring, &w->batch, draw(w, n));
	for (unsigned i = 0; i < w->batch.n; i++)
		check_chain(w, &w->batch.chain[i]);
	vring_complete(&w->vring, &w->batch);
	while (driver_ring_reap(&w->driver, &token, &len) == 1)
		;
}

/*
 * Answer some of the misses. A page must not be asked for again before its translation was
 * forgotten.
 */
static unsigned keep(struct world *w, bool all)
{
	unsigned slot = 0, answers = 0;
	uint64_t miss;

	while ((miss = vring_misses_take(&w->misses, &slot))) {
		uint64_t iova = vring_miss_iova(miss);
		unsigned page = (iova - IOVA) / PAGE;

		assert_true(page < PAGES);
		assert_false(w->known[page]);
		if (!all && draw(w, 3) == 0) {
			vring_misses_give_back(&w->misses, slot - 1, miss);
			break;
		}
		if (w->forbidden[page]) {
			assert_true(vring_misses_deny(&w->misses, slot - 1, miss));
			assert_false(vring_misses_deny(&w->misses, slot - 1, miss));
			atomic_fetch_add(&w->iommu.denials, 1);
		} else {
			assert_int_equal(w->asked[page]++, 0);
			know(w, page);
		}
		answers++;
	}
	if (answers)
		publish(w);
	return answers;
}

static void run(uint64_t features, enum vring_direction direction, uint64_t seed)
{
	struct world *w = world_create(features, direction, seed);

	for (unsigned i = 0; i < PAGES; i++)
		w->forbidden[i] = i < TABLES && draw(w, 40) == 0;
	for (unsigned step = 0; step < 30000; step++) {
		switch (draw(w, 8)) {
		case 0:
		case 1:
		case 2:
			add_chain(w);
			break;
		case 3:
			if (draw(w, 4) == 0)
				forget(w, draw(w, PAGES));
			publish(w);
			break;
		case 4:
			keep(w, false);
			break;
		default:
			fetch_some(w);
		}
	}
	for (unsigned i = 0; i < 10000 && w->fetched < w->added; i++) {
		fetch_some(w);
		keep(w, true);
	}
	assert_int_equal(w->fetched, w->added);
	assert_true(w->added > 1000);
	world_destroy(w);
}

#define SPLIT  (VIRTIO_BIT(F_VERSION_1) | VIRTIO_BIT(F_INDIRECT_DESC))
#define PACKED (SPLIT | VIRTIO_BIT(F_RING_PACKED))

static void every_chain_arrives_or_is_denied(void **state)
{
	const uint64_t features[] = {
	    SPLIT, PACKED, SPLIT | VIRTIO_BIT(F_IN_ORDER), PACKED | VIRTIO_BIT(F_IN_ORDER)};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
		run(features[i], VRING_TRANSMIT, i + 1);
		run(features[i], VRING_RECEIVE, i + 100);
	}
}

static void a_stalled_ring_asks_once_and_ahead(void **state)
{
	struct world *w = world_create(SPLIT, VRING_TRANSMIT, 7);
	unsigned slot = 0, n = 0;

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		struct driver_buffer b = {.addr = IOVA + 2 * i * PAGE + PAGE - 8, .len = 16};

		driver_ring_add(&w->driver, &b, 1, 0, w);
	}
	driver_ring_publish(&w->driver);
	assert_int_equal(vring_fetch(&w->vring, &w->batch, RING), 0);
	assert_true(vring_stalled(&w->vring));
	assert_true(w->vring.translation.news);
	w->vring.translation.news = false;
	while (vring_misses_take(&w->misses, &slot))
		n++;
	assert_int_equal(n, 16); /* both pages of all buffers */
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(vring_fetch(&w->vring, &w->batch, RING), 0);
		publish(w); /* a view without an answer */
	}
	assert_false(w->vring.translation.news);
	slot = 0;
	assert_int_equal(vring_misses_take(&w->misses, &slot), 0);
	for (unsigned i = 0; i < 7; i++)
		know(w, i);
	publish(w);
	assert_int_equal(vring_fetch(&w->vring, &w->batch, RING), 3);
	assert_int_equal(w->batch.n_segments, 6);
	assert_int_equal(w->position.avail, 3);
	world_destroy(w);
}

static unsigned lookups;

const struct guest_region *__real_guest_memory_find(
    const struct guest_memory *memory, uint64_t gpa);
const struct guest_region *__wrap_guest_memory_find(
    const struct guest_memory *memory, uint64_t gpa);

const struct guest_region *__wrap_guest_memory_find(const struct guest_memory *memory, uint64_t gpa)
{
	lookups++;
	return __real_guest_memory_find(memory, gpa);
}

/*
 * There are 32 tables of 128 buffers. Either each buffer has 20 pages, and none of them is
 * translated, or each buffer has one page, and every second one is translated.
 */
static void looking_ahead_is_bounded(void **state)
{
	struct driver_buffer b[128];
	const uint64_t features[] = {SPLIT, PACKED};

	(void)state;
	for (unsigned v = 0; v < 4; v++) {
		struct world *w = world_create(features[v & 1], VRING_TRANSMIT, 7);
		uint64_t table = IOVA + TABLES * PAGE;

		for (unsigned i = 0; i < 128; i++)
			b[i] = (struct driver_buffer){
			    IOVA + (v & 2 ? i : 0) * PAGE, (v & 2 ? 1 : 20) * PAGE};
		know(w, TABLES);
		for (unsigned i = 1; (v & 2) && i < 128; i += 2)
			know(w, i);
		publish(w);
		for (unsigned i = 0; i < RING; i++)
			driver_ring_add_indirect(&w->driver, b, 128, 0, at(w, table), table, w);
		driver_ring_publish(&w->driver);
		lookups = 0;
		assert_int_equal(vring_fetch(&w->vring, &w->batch, RING), 0);
		assert_true(vring_stalled(&w->vring));
		assert_true(lookups > 20);
		assert_true(lookups < 1200);
		world_destroy(w);
	}
}

static void a_receive_buffer_must_be_writable(void **state)
{
	struct world *w = world_create(PACKED, VRING_RECEIVE, 7);
	struct driver_buffer b = {.addr = IOVA, .len = 100};
	struct vring_reservation reserved;
	uint32_t len = 60;
	unsigned slot = 0;
	uint64_t miss;

	(void)state;
	iotlb_update(w->tlb, IOVA, PAGE, UADDR, IOTLB_READ, NULL, 0);
	publish(w);
	driver_ring_add(&w->driver, &b, 0, 1, w);
	driver_ring_publish(&w->driver);
	vring_visit(&w->batch);
	assert_int_equal(vring_reserve(&w->vring, &w->batch, &len, 1, &reserved), 1);
	assert_int_equal(reserved.status, VRING_RESERVE_NONE);
	miss = vring_misses_take(&w->misses, &slot);
	assert_int_equal(vring_miss_iova(miss), IOVA);
	assert_int_equal(vring_miss_perm(miss), IOTLB_WRITE);
	vring_misses_deny(&w->misses, slot - 1, miss);
	atomic_fetch_add(&w->iommu.denials, 1);
	vring_reserve(&w->vring, &w->batch, &len, 1, &reserved);
	assert_int_equal(reserved.status, VRING_RESERVE_FAULT);
	assert_false(vring_stalled(&w->vring));
	world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_chain_arrives_or_is_denied),
	    cmocka_unit_test(a_stalled_ring_asks_once_and_ahead),
	    cmocka_unit_test(looking_ahead_is_bounded),
	    cmocka_unit_test(a_receive_buffer_must_be_writable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
