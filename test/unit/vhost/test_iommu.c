/* SPDX-License-Identifier: BSD-3-Clause */
/* A device behind an IOMMU: rings run when they are translated, and misses are asked for. */
#include "fake.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vhost/iommu.h"

#define PAGE     UINT64_C(4096)
#define GPA      UINT64_C(0x40000000)
#define UADDR    UINT64_C(0x7f0000000000)
#define IOVA     UINT64_C(0xfffe0000)
#define PAGES    64
#define FEATURES (VIRTIO_BIT(F_VERSION_1) | FAKE_BIT30 | VIRTIO_BIT(F_ACCESS_PLATFORM))
#define SIZE     64

enum { RO = 1, WO, RW };
enum { MISS = 1, UPDATE, INVALIDATE };

struct world {
	struct fake *f;
	int channel, file;
	uint8_t *memory;
};

static struct world w;

static uint64_t tell(uint8_t type, uint64_t iova, uint64_t size, uint64_t uaddr, uint8_t perm)
{
	const struct vhost_wire_iotlb wire = {iova, size, uaddr, perm, type, {0}};

	return fake_ask(w.f, VHOST_USER_IOTLB_MSG, &wire, sizeof(wire), NULL, 0);
}

/*
 * Translate IOVA page i to the neighbouring page of memory, so that a missing translation is
 * noticed.
 */
static uint64_t translate(unsigned page, uint8_t perm)
{
	return tell(UPDATE, IOVA + page * PAGE, PAGE, UADDR + (page ^ 1) * PAGE, perm);
}

static uint8_t *at(unsigned page)
{
	return w.memory + (page ^ 1) * PAGE;
}

/* The next request on the channel; false: there is none. */
static bool take_miss(struct vhost_wire_iotlb *ret)
{
	struct vhost_header header;

	if (recv(w.channel, &header, sizeof(header), MSG_DONTWAIT) != sizeof(header))
		return false;
	assert_int_equal(header.request, VHOST_USER_BACKEND_IOTLB_MSG);
	assert_int_equal(header.flags, VHOST_VERSION);
	assert_int_equal(header.size, sizeof(*ret));
	assert_int_equal(recv(w.channel, ret, sizeof(*ret), MSG_DONTWAIT), sizeof(*ret));
	assert_int_equal(ret->type, MISS);
	assert_int_equal(ret->size, PAGE);
	return true;
}

static unsigned count_misses(void)
{
	struct vhost_wire_iotlb wire;
	unsigned n = 0;

	while (take_miss(&wire))
		n++;
	return n;
}

static void expect_miss(unsigned page, uint8_t perm)
{
	struct vhost_wire_iotlb wire;

	assert_true(take_miss(&wire));
	assert_int_equal(wire.iova, IOVA + page * PAGE);
	assert_int_equal(wire.perm, perm);
}

static void open_channel(void)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(fake_ask(w.f, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1), 0);
	close(pair[1]);
	w.channel = pair[0];
}

static struct vhost_wire_region whole_region(void)
{
	return (struct vhost_wire_region){.gpa = GPA, .size = PAGES * PAGE, .uaddr = UADDR};
}

static int setup(void **state)
{
	struct vhost_wire_region region = whole_region();

	fake_setup(state);
	w.f = *state;
	w.f->dev->offer_iommu = true;
	fake_negotiate(w.f);
	w.file = memory_file(PAGES * PAGE);
	w.memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, w.file, 0);
	open_channel();
	assert_int_equal(fake_u64(w.f, VHOST_USER_SET_FEATURES, FEATURES), 0);
	assert_int_equal(fake_table(w.f, &region, &w.file, 1), 0);
	return 0;
}

static int teardown(void **state)
{
	munmap(w.memory, PAGES * PAGE);
	close(w.channel);
	close(w.file);
	return fake_teardown(state);
}

/* A ring whose areas are IOVA pages 0, 1 and 2. */
static void start_ring(unsigned ring)
{
	assert_int_equal(fake_vring(w.f, VHOST_USER_SET_VRING_NUM, ring, SIZE), 0);
	assert_int_equal(fake_vring(w.f, VHOST_USER_SET_VRING_BASE, ring, 0), 0);
	assert_int_equal(fake_addr(w.f, ring, IOVA, IOVA + PAGE, IOVA + 2 * PAGE), 0);
	assert_int_equal(
	    fake_notifier(w.f, VHOST_USER_SET_VRING_KICK, ring | VHOST_VRING_NOFD, -1), 0);
}

static void translate_ring(void)
{
	for (unsigned page = 0; page < 3; page++)
		assert_int_equal(translate(page, RW), 0);
}

static void running_ring(unsigned ring)
{
	translate_ring();
	start_ring(ring);
	assert_true(w.f->dev->vring[ring]->active);
}

/* The driver offers one buffer at an IOVA. */
static void offer(unsigned n, uint64_t iova, uint16_t flags)
{
	struct vring_split_desc *desc = (void *)at(0);
	uint16_t *avail = (void *)at(1);

	desc[n] = (struct vring_split_desc){.addr = iova, .len = 100, .flags = flags};
	avail[2 + n] = n;
	avail[1] = n + 1;
}

static struct vring_batch batch;

static unsigned fetch(unsigned ring)
{
	batch.n = batch.n_segments = 0;
	return vring_fetch(&w.f->dev->vring[ring]->ring, &batch, SIZE);
}

static void it_is_offered_only_when_wanted(void **state)
{
	(void)state;
	assert_true(VIRTIO_HAS(fake_get(w.f, VHOST_USER_GET_FEATURES), F_ACCESS_PLATFORM));
	w.f->dev->offer_iommu = false;
	assert_false(VIRTIO_HAS(fake_get(w.f, VHOST_USER_GET_FEATURES), F_ACCESS_PLATFORM));
	assert_int_equal(fake_u64(w.f, VHOST_USER_SET_FEATURES, FEATURES), 1);
	assert_int_equal(
	    fake_u64(w.f, VHOST_USER_SET_FEATURES, FEATURES & ~VIRTIO_BIT(F_ACCESS_PLATFORM)), 0);
	assert_int_equal(translate(0, RW), 1);
}

static void a_ring_runs_when_all_of_it_is_translated(void **state)
{
	struct vhost_device *dev = w.f->dev;

	(void)state;
	start_ring(1);
	assert_false(dev->vring[1]->active);
	vhost_iommu_service(dev, 5000);
	expect_miss(0, RO);
	expect_miss(1, RO);
	expect_miss(2, WO);
	vhost_iommu_service(dev, 5500);
	assert_int_equal(count_misses(), 0);
	vhost_iommu_service(dev, 6001);
	assert_int_equal(count_misses(), 3);
	assert_int_equal(translate(0, RO), 0);
	assert_int_equal(translate(1, RO), 0);
	assert_int_equal(translate(2, RO), 0); /* not the permission that the area needs */
	assert_false(dev->vring[1]->active);
	assert_int_equal(translate(2, RW), 0);
	assert_true(dev->vring[1]->active);
	vhost_iommu_service(dev, 9000);
	assert_int_equal(count_misses(), 0);
}

static void the_last_page_of_a_large_ring_counts(void **state)
{
	struct vhost_device *dev = w.f->dev;

	(void)state;
	assert_int_equal(fake_vring(w.f, VHOST_USER_SET_VRING_NUM, 1, 512), 0);
	assert_int_equal(fake_addr(w.f, 1, IOVA, IOVA + 8 * PAGE, IOVA + 16 * PAGE), 0);
	assert_int_equal(
	    fake_notifier(w.f, VHOST_USER_SET_VRING_KICK, 1 | VHOST_VRING_NOFD, -1), 0);
	/*
	 * The areas have 8 KiB, 1 KiB, and 4 KiB and 6 bytes: pages 0 and 1; page 8; pages 16 and
	 * 17.
	 */
	for (unsigned i = 0; i < 2; i++) {
		tell(UPDATE, IOVA + i * PAGE, PAGE, UADDR + i * PAGE, RO);
		tell(UPDATE, IOVA + (8 + i) * PAGE, PAGE, UADDR + (8 + i) * PAGE, RO);
		assert_false(dev->vring[1]->active);
		tell(UPDATE, IOVA + (16 + i) * PAGE, PAGE, UADDR + (16 + i) * PAGE, RW);
		assert_int_equal(dev->vring[1]->active, i == 1);
	}
	tell(INVALIDATE, IOVA + 17 * PAGE + 5, 1, 0, 0);
	assert_false(dev->vring[1]->active);
}

static void a_ring_that_lies_apart_here_cannot_run(void **state)
{
	(void)state;
	assert_int_equal(fake_vring(w.f, VHOST_USER_SET_VRING_NUM, 1, 512), 0);
	assert_int_equal(fake_addr(w.f, 1, IOVA, IOVA + 8 * PAGE, IOVA + 16 * PAGE), 0);
	fake_notifier(w.f, VHOST_USER_SET_VRING_KICK, 1 | VHOST_VRING_NOFD, -1);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(translate(i, RW), 0);
	assert_false(w.f->dev->vring[1]->active);
	count_misses();
	vhost_iommu_service(w.f->dev, 1000000);
	assert_int_equal(count_misses(), 0); /* all pages are translated, so nothing is asked for */
}

static void a_ring_comes_back_where_it_stood(void **state)
{
	struct vhost_device *dev = w.f->dev;

	(void)state;
	running_ring(1);
	assert_int_equal(translate(8, RO), 0);
	for (unsigned i = 0; i < 5; i++)
		offer(i, IOVA + 8 * PAGE, 0);
	assert_int_equal(fetch(1), 5);
	vring_complete(&dev->vring[1]->ring, &batch);
	assert_int_equal(tell(INVALIDATE, IOVA + PAGE, 1, 0, 0), 0);
	assert_false(dev->vring[1]->active);
	assert_int_equal(tell(INVALIDATE, 0, 0, 0, 0), 0);
	translate_ring();
	assert_true(dev->vring[1]->active);
	assert_int_equal(fetch(1), 0);
	offer(5, IOVA + 8 * PAGE, 0);
	assert_int_equal(fetch(1), 0);
	assert_int_equal(translate(8, RO), 0);
	assert_int_equal(fetch(1), 1);
	assert_ptr_equal(batch.segment[0].addr, dev->memory->region[0].host + (8 ^ 1) * PAGE);
	assert_int_equal(fake_get_base(w.f, 1), 6);
}

static void a_ring_follows_its_translation(void **state)
{
	struct vhost_device *dev = w.f->dev;
	void *before;

	(void)state;
	running_ring(1);
	before = dev->vring[1]->config.device;
	assert_int_equal(tell(UPDATE, IOVA + 2 * PAGE, PAGE, UADDR + 40 * PAGE, RW), 0);
	assert_true(dev->vring[1]->active);
	assert_ptr_not_equal(dev->vring[1]->config.device, before);
	assert_ptr_equal(dev->vring[1]->ring.split.used, dev->memory->region[0].host + 40 * PAGE);
}

/* The translations are asked for before a frame comes that would be lost without them. */
static void receive_buffers_are_asked_for_when_a_ring_starts(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++)
		offer(i, IOVA + (30 + i) * PAGE, VRING_DESC_F_WRITE);
	running_ring(0);
	vhost_iommu_service(w.f->dev, 1);
	for (unsigned i = 0; i < 3; i++)
		expect_miss(30 + i, WO);
	/* The ring's own areas are asked for again when all translations were taken back. */
	assert_int_equal(tell(INVALIDATE, 0, 0, 0, 0), 0);
	assert_int_equal(count_misses(), 3);
	translate_ring();
	assert_int_equal(count_misses(), 3);
	assert_int_equal(fetch(0), 0);
	assert_int_equal(w.f->dev->state.vring[0].position.avail, 0);
}

static void other_translations_do_not_stop_a_ring(void **state)
{
	unsigned pauses, synchronizes;

	(void)state;
	running_ring(1);
	pauses = w.f->pauses;
	synchronizes = w.f->synchronizes;
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(translate(20, RW), 0);
		assert_int_equal(tell(INVALIDATE, IOVA + 20 * PAGE, PAGE, 0, 0), 0);
		translate_ring(); /* the same translation again changes nothing */
	}
	assert_int_equal(w.f->pauses, pauses);
	/* Each message was answered after the workers had left the old view. */
	assert_int_equal(w.f->synchronizes, synchronizes + 50);
}

static void what_cannot_be_is_refused(void **state)
{
	const uint64_t end = UADDR + PAGES * PAGE;

	(void)state;
	assert_int_equal(tell(UPDATE, IOVA, 0, UADDR, RW), 1);
	assert_int_equal(tell(UPDATE, IOVA, PAGE, UADDR, 0), 1);
	assert_int_equal(tell(UPDATE, IOVA, PAGE, UADDR, 4), 1);
	assert_int_equal(tell(UPDATE, IOVA, PAGE, UADDR - 1, RW), 1);
	assert_int_equal(tell(UPDATE, IOVA, PAGE, end - PAGE + 1, RW), 1);
	assert_int_equal(tell(UPDATE, IOVA, UINT64_MAX, UADDR, RW), 1);
	assert_int_equal(tell(UPDATE, UINT64_MAX - PAGE + 2, PAGE, UADDR, RW), 1);
	assert_int_equal(tell(UPDATE, UINT64_MAX - PAGE + 1, PAGE, end - PAGE, RW), 0);
	assert_int_equal(tell(INVALIDATE, IOVA, 0, 0, 0), 1);
	assert_int_equal(tell(INVALIDATE, IOVA, UINT64_MAX, 0, 0), 1);
	for (unsigned type = 0; type < 256; type++) {
		if (type != UPDATE && type != INVALIDATE)
			assert_int_equal(tell(type, IOVA, PAGE, UADDR, RW), 1);
	}
	assert_int_equal(fake_run(w.f), LIVES);
}

static void a_miss_is_asked_for_once_and_answered(void **state)
{
	(void)state;
	running_ring(1);
	offer(0, IOVA + 30 * PAGE - 50, 0);
	offer(1, IOVA + 31 * PAGE, 0);
	assert_int_equal(fetch(1), 0);
	vhost_iommu_service(w.f->dev, 1);
	expect_miss(29, RO);
	expect_miss(30, RO);
	expect_miss(31, RO);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(fetch(1), 0);
		vhost_iommu_service(w.f->dev, 2 + i);
	}
	assert_int_equal(count_misses(), 0);
	assert_int_equal(translate(29, RO), 0);
	assert_int_equal(fetch(1), 0);
	assert_int_equal(translate(30, RO), 0);
	assert_int_equal(fetch(1), 1);
	assert_int_equal(batch.chain[0].fault, VRING_FAULT_NONE);
	assert_int_equal(batch.n_segments, 2);
	vring_complete(&w.f->dev->vring[1]->ring, &batch);
	assert_int_equal(translate(31, RO), 0);
	assert_int_equal(fetch(1), 1);
	assert_int_equal(batch.chain[0].fault, VRING_FAULT_NONE);
}

static void a_miss_without_an_answer_is_a_fault(void **state)
{
	(void)state;
	running_ring(1);
	offer(0, IOVA + 30 * PAGE, 0);
	offer(1, IOVA, 0);
	assert_int_equal(fetch(1), 0);
	vhost_iommu_service(w.f->dev, 1000);
	vhost_iommu_service(w.f->dev, 1000 + VHOST_IOMMU_TIMEOUT_MS);
	assert_int_equal(fetch(1), 0);
	vhost_iommu_service(w.f->dev, 1001 + VHOST_IOMMU_TIMEOUT_MS);
	assert_int_equal(fetch(1), 2);
	assert_int_equal(batch.chain[0].fault, VRING_FAULT_ADDRESS);
	assert_int_equal(batch.chain[1].fault, VRING_FAULT_NONE);
}

static void a_new_channel_is_asked_again(void **state)
{
	struct vhost_device *dev = w.f->dev;

	(void)state;
	running_ring(1);
	start_ring(3);
	assert_int_equal(tell(INVALIDATE, IOVA + 2 * PAGE, PAGE, 0, 0), 0);
	vhost_iommu_service(dev, 1);
	assert_int_equal(count_misses(), 2);
	assert_int_equal(translate(2, RW), 0);
	offer(0, IOVA + 30 * PAGE, 0);
	assert_int_equal(fetch(1), 0);
	vhost_iommu_service(dev, 2);
	assert_int_equal(count_misses(), 1);
	close(w.channel);
	open_channel();
	vhost_iommu_service(dev, 3);
	expect_miss(30, RO);
	assert_int_equal(count_misses(), 0);
}

static void a_miss_is_given_up_without_a_channel_too(void **state)
{
	(void)state;
	running_ring(1);
	close(w.channel);
	w.channel = -1;
	offer(0, IOVA + 30 * PAGE, 0);
	assert_int_equal(fetch(1), 0);
	vhost_iommu_service(w.f->dev, 1000);
	vhost_iommu_service(w.f->dev, 1001 + VHOST_IOMMU_TIMEOUT_MS);
	assert_int_equal(fetch(1), 1);
	assert_int_equal(batch.chain[0].fault, VRING_FAULT_ADDRESS);
}

/* A receive buffer may only be read. */
static void an_answer_without_the_permission_is_a_fault(void **state)
{
	(void)state;
	running_ring(0);
	assert_int_equal(translate(30, RO), 0);
	offer(0, IOVA + 30 * PAGE, VRING_DESC_F_WRITE);
	assert_int_equal(fetch(0), 0);
	vhost_iommu_service(w.f->dev, 1);
	expect_miss(30, WO);
	assert_int_equal(translate(31, RO), 0); /* an answer about another page */
	assert_int_equal(fetch(0), 0);
	assert_int_equal(translate(30, RO), 0);
	assert_int_equal(fetch(0), 1);
	assert_int_equal(batch.chain[0].fault, VRING_FAULT_ADDRESS);
}

static void no_more_is_asked_for_than_the_channel_takes(void **state)
{
	unsigned n;

	(void)state;
	running_ring(1);
	for (unsigned i = 0; i < SIZE; i++)
		offer(i, IOVA + (1000 + 2 * i) * PAGE - 50, 0);
	start_ring(3); /* another ring in the same memory, with the same misses */
	assert_int_equal(fetch(1), 0);
	assert_int_equal(fetch(3), 0);
	vhost_iommu_service(w.f->dev, 1);
	vhost_iommu_service(w.f->dev, 2);
	n = count_misses();
	assert_in_range(n, 32, 64);
	assert_int_equal(fake_run(w.f), LIVES);
	/*
	 * The front-end answers no miss. Each miss is denied in time, the rings go on, and further
	 * misses are asked for.
	 */
	for (uint64_t now = 3, done = 0; done < SIZE; now += 100) {
		assert_true(now < 1000000);
		done += fetch(1);
		for (unsigned i = 0; i < batch.n; i++)
			assert_int_equal(batch.chain[i].fault, VRING_FAULT_ADDRESS);
		vhost_iommu_service(w.f->dev, now);
		count_misses();
	}
}

static void memory_is_replaced_under_translations(void **state)
{
	struct vhost_device *dev = w.f->dev;
	struct vhost_wire_region regions[2] = {whole_region(), whole_region()};
	int fds[2] = {w.file, w.file};

	(void)state;
	running_ring(1);
	assert_int_equal(translate(40, RO), 0);
	/* Replace the memory: its upper half is a region of its own at another guest address. */
	regions[0].size = 32 * PAGE;
	regions[1].size = 32 * PAGE;
	regions[1].gpa += 0x100000000;
	regions[1].uaddr += 32 * PAGE;
	regions[1].mmap_offset = 32 * PAGE;
	assert_int_equal(fake_table(w.f, regions, fds, 2), 0);
	assert_true(dev->vring[1]->active);
	offer(0, IOVA + 40 * PAGE, 0);
	assert_int_equal(fetch(1), 1);
	assert_ptr_equal(batch.segment[0].addr, dev->memory->region[1].host + (8 ^ 1) * PAGE);
	/* Remove the upper half: translations to it are missing then. */
	assert_int_equal(fake_table(w.f, regions, fds, 1), 0);
	assert_true(dev->vring[1]->active);
	offer(1, IOVA + 40 * PAGE, 0);
	assert_int_equal(fetch(1), 0);
	assert_int_equal(fake_table(w.f, &regions[1], fds, 1), 0);
	assert_false(dev->vring[1]->active);
}

static void a_reset_forgets_translations(void **state)
{
	(void)state;
	running_ring(1);
	assert_int_equal(fake_ask(w.f, VHOST_USER_RESET_DEVICE, NULL, 0, NULL, 0), 0);
	assert_null(w.f->dev->iommu);
	assert_int_equal(fake_u64(w.f, VHOST_USER_SET_FEATURES, FEATURES), 0);
	assert_false(w.f->dev->vring[1]->active);
	translate_ring();
	assert_true(w.f->dev->vring[1]->active);
	/* Without an IOMMU the addresses of the ring are no longer IOVAs. */
	assert_int_equal(
	    fake_u64(w.f, VHOST_USER_SET_FEATURES, FEATURES & ~VIRTIO_BIT(F_ACCESS_PLATFORM)), 0);
	assert_false(w.f->dev->vring[1]->active);
	assert_int_equal(fake_addr(w.f, 1, UADDR, UADDR + PAGE, UADDR + 2 * PAGE), 0);
	assert_true(w.f->dev->vring[1]->active);
}

static void updates_without_end_cost_no_memory(void **state)
{
	size_t before = 0;

	(void)state;
	running_ring(1);
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t iova = (UINT64_C(1) << 40) + i * UINT64_C(3) * PAGE;

		tell(UPDATE, iova, PAGE + i % 7, UADDR + i % 32 * PAGE, RW);
		if (i % 5 == 0)
			tell(INVALIDATE, iova + 1, 1, 0, 0);
		if (i == 3 * VHOST_IOMMU_ENTRIES_MAX)
			before = mallinfo2().uordblks;
	}
	assert_true(mallinfo2().uordblks < before + (64 << 10));
	/* The translations of the ring were not forgotten to make room. */
	assert_true(w.f->dev->vring[1]->active);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(it_is_offered_only_when_wanted),
	    TEST(a_ring_runs_when_all_of_it_is_translated),
	    TEST(the_last_page_of_a_large_ring_counts),
	    TEST(a_ring_that_lies_apart_here_cannot_run),
	    TEST(a_ring_comes_back_where_it_stood),
	    TEST(a_ring_follows_its_translation),
	    TEST(receive_buffers_are_asked_for_when_a_ring_starts),
	    TEST(other_translations_do_not_stop_a_ring),
	    TEST(what_cannot_be_is_refused),
	    TEST(a_miss_is_asked_for_once_and_answered),
	    TEST(a_miss_without_an_answer_is_a_fault),
	    TEST(a_new_channel_is_asked_again),
	    TEST(a_miss_is_given_up_without_a_channel_too),
	    TEST(an_answer_without_the_permission_is_a_fault),
	    TEST(no_more_is_asked_for_than_the_channel_takes),
	    TEST(memory_is_replaced_under_translations),
	    TEST(a_reset_forgets_translations),
	    TEST(updates_without_end_cost_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
