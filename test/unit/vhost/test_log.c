/* SPDX-License-Identifier: BSD-3-Clause */
/* The dirty log: where it may be, what is marked in it, when it begins and when it ends. */
#include "fake.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vhost/area.h"
#include "virtio/driver.h"

#define GPA       UINT64_C(0x100000)
#define UADDR     UINT64_C(0x7f0000000000)
#define MEM_SIZE  0x400000
#define RING      0 /* a receive ring */
#define SIZE      512
#define BUFFERS   0x80000 /* offset in memory */
#define LOG_SIZE  ((GPA + MEM_SIZE) / 4096 / 8)
#define ELSEWHERE (UINT64_C(0x1000)) /* a guest address below all memory */

#define SPLIT  (VIRTIO_BIT(F_VERSION_1) | FAKE_BIT30)
#define PACKED (SPLIT | VIRTIO_BIT(F_RING_PACKED))
#define LOG    VIRTIO_BIT(VHOST_F_LOG_ALL)

static int mem_fd, log_fd;
static uint8_t *mem, *logged;
static struct driver_ring driver;
static struct vring_batch batch;

static int log_setup(void **state)
{
	mem_fd = memory_file(MEM_SIZE);
	log_fd = memory_file(0x4000);
	mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, mem_fd, 0);
	logged = mmap(NULL, 0x4000, PROT_READ | PROT_WRITE, MAP_SHARED, log_fd, 0);
	fake_setup(state);
	fake_negotiate(*state);
	return 0;
}

static int log_teardown(void **state)
{
	munmap(mem, MEM_SIZE);
	munmap(logged, 0x4000);
	driver_ring_cleanup(&driver);
	memset(&driver, 0, sizeof(driver));
	fake_teardown(state);
	close(log_fd);
	return close(mem_fd);
}

/*
 * Send SET_LOG_BASE. Returns the result of fake_run(); *ret_size is the size of the reply, if there
 * is one.
 */
static int tell_log(struct fake *f, uint64_t size, uint64_t offset, int fd, uint32_t flags,
    union vhost_payload *ret_reply, uint32_t *ret_size)
{
	struct vhost_wire_log wire = {.size = size, .offset = offset};
	struct vhost_header header;
	int error;

	fake_send(f, VHOST_USER_SET_LOG_BASE, flags, &wire, sizeof(wire), &fd, 1);
	error = fake_run(f);
	if (error)
		return error;
	assert_true(fake_reply(f, &header, ret_reply));
	assert_int_equal(header.flags, 0x5);
	*ret_size = header.size;
	return 0;
}

static void set_log(struct fake *f, uint64_t size, uint64_t offset)
{
	union vhost_payload reply;
	uint32_t reply_size;

	assert_int_equal(tell_log(f, size, offset, log_fd, 0, &reply, &reply_size), 0);
	assert_int_equal(reply_size, 8);
	assert_int_equal(reply.u64, 0);
}

static void tell_addr(struct fake *f, bool packed, bool log, uint64_t log_gpa)
{
	struct vring_layout l = vring_layout(SIZE, packed);
	struct vhost_wire_vring_addr addr = {
	    .index = RING,
	    .flags = log ? VHOST_WIRE_VRING_LOG : 0,
	    .desc = UADDR,
	    .avail = UADDR + 0x2000,
	    .used = UADDR + 0x4000,
	    .log = log_gpa,
	};

	assert_true(l.desc <= 0x2000 && l.driver <= 0x2000);
	assert_int_equal(fake_ask(f, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 0);
}

static void tell_features(struct fake *f, uint64_t features)
{
	assert_int_equal(fake_u64(f, VHOST_USER_SET_FEATURES, features), 0);
}

/*
 * Run a ring with n buffers of 2000 bytes, 4096 apart, so that each of them crosses the end of a
 * page.
 */
static void run_ring(struct fake *f, uint64_t features, unsigned n)
{
	struct vhost_wire_region region = {.gpa = GPA, .size = MEM_SIZE, .uaddr = UADDR};

	assert_int_equal(
	    driver_ring_init(&driver, features, SIZE, mem, mem + 0x2000, mem + 0x4000), 0);
	for (unsigned i = 0; i < n; i++) {
		struct driver_buffer b = {.addr = GPA + BUFFERS + i * 4096 + 3000, .len = 2000};

		assert_int_equal(driver_ring_add(&driver, &b, 0, 1, mem), 0);
	}
	driver_ring_publish(&driver);
	assert_int_equal(fake_table(f, &region, &mem_fd, 1), 0);
	tell_features(f, features);
	assert_int_equal(fake_vring(f, VHOST_USER_SET_VRING_NUM, RING, SIZE), 0);
	tell_addr(f, VIRTIO_HAS(features, F_RING_PACKED), false, 0);
	assert_int_equal(
	    fake_notifier(f, VHOST_USER_SET_VRING_KICK, RING | VHOST_VRING_NOFD, -1), 0);
	assert_true(f->running);
	f->synchronizes = f->pauses = 0;
}

/* Deliver n frames of len bytes, as a worker does. */
static void deliver(struct fake *f, unsigned n, uint32_t len)
{
	struct vring *ring = &f->dev->vring[RING]->ring;

	for (unsigned i = 0; i < n; i++) {
		struct vring_reservation reserved;

		vring_visit(&batch);
		assert_int_equal(vring_reserve(ring, &batch, &len, 1, &reserved), 1);
		assert_int_equal(reserved.status, VRING_RESERVE_OK);
		memset(batch.segment[0].addr, 0x5a, len);
		vring_complete(ring, &batch);
	}
}

static bool is_marked(uint64_t gpa)
{
	return logged[(gpa >> 12) / 8] >> ((gpa >> 12) % 8) & 1;
}

static unsigned count_marked(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 0x4000; i++)
		n += __builtin_popcount(logged[i]);
	return n;
}

static void forget_marks(void)
{
	memset(logged, 0, 0x4000);
}

static void every_page_of_the_data_is_marked_and_no_other(void **state)
{
	struct fake *f = *state;

	for (unsigned k = 0; k < 2; k++) {
		run_ring(f, k ? PACKED : SPLIT, 20);
		set_log(f, LOG_SIZE, 0);
		deliver(f, 1, 500);
		assert_int_equal(count_marked(), 0); /* LOG_ALL is not set */
		tell_features(f, (k ? PACKED : SPLIT) | LOG);
		deliver(f, 1, 500); /* the second buffer, within its page */
		assert_int_equal(count_marked(), 1);
		assert_true(is_marked(GPA + BUFFERS + 0x1000));
		deliver(f, 1, 1097); /* one byte in the next page */
		assert_int_equal(count_marked(), 3);
		assert_true(is_marked(GPA + BUFFERS + 0x2000));
		assert_true(is_marked(GPA + BUFFERS + 0x3000));
		tell_features(f, k ? PACKED : SPLIT);
		forget_marks();
		deliver(f, 3, 2000);
		assert_int_equal(count_marked(), 0);
		assert_int_equal(f->pauses, 0);
		assert_int_equal(f->synchronizes, 2);
		fake_get_base(f, RING);
		driver_ring_cleanup(&driver);
		memset(mem, 0, MEM_SIZE);
		assert_int_equal(
		    fake_vring(f, VHOST_USER_SET_VRING_BASE, RING, k ? 0 : 0x80008000), 0);
	}
	memset(&driver, 0, sizeof(driver));
}

static void a_split_ring_is_marked_where_its_log_address_says(void **state)
{
	struct fake *f = *state;

	run_ring(f, SPLIT, 250);
	set_log(f, LOG_SIZE, 0);
	tell_addr(f, false, true, ELSEWHERE); /* LOG_ALL is not needed for this */
	deliver(f, 1, 100);
	assert_int_equal(count_marked(), 1);
	assert_true(is_marked(ELSEWHERE));
	forget_marks();
	/* The used elements 98 and 99 are in another page than index and flags. */
	tell_addr(f, false, true, ELSEWHERE + 0xffc - 8 * 100);
	deliver(f, 98, 100);
	assert_int_equal(count_marked(), 1);
	deliver(f, 2, 100);
	assert_int_equal(count_marked(), 2);
	assert_true(is_marked(ELSEWHERE + 0x1000));
	forget_marks();
	deliver(f, 1, 100);
	assert_int_equal(count_marked(), 2); /* one for the index, one for the element */
	forget_marks();
	vring_kick_disable(&f->dev->vring[RING]->ring);
	assert_true(is_marked(ELSEWHERE));
	assert_true(is_marked(ELSEWHERE + 0x1000)); /* the event word, behind the elements */
	forget_marks();
	vring_kick_enable(&f->dev->vring[RING]->ring);
	assert_int_equal(count_marked(), 2);
	tell_addr(f, false, false, ELSEWHERE);
	forget_marks();
	deliver(f, 10, 100);
	vring_kick_disable(&f->dev->vring[RING]->ring);
	assert_int_equal(count_marked(), 0);
	assert_int_equal(f->pauses, 0);
}

static void a_packed_ring_is_marked_where_it_is_and_its_events_where_the_log_address_says(
    void **state)
{
	struct fake *f = *state;

	run_ring(f, PACKED, 250);
	set_log(f, LOG_SIZE, 0);
	tell_addr(f, true, true, ELSEWHERE);
	deliver(f, 1, 100);
	assert_int_equal(count_marked(), 1);
	assert_true(is_marked(GPA));
	vring_kick_enable(&f->dev->vring[RING]->ring);
	assert_int_equal(count_marked(), 2);
	assert_true(is_marked(ELSEWHERE));
}

static void a_packed_ring_that_wraps_is_marked_on_both_ends(void **state)
{
	struct fake *f = *state;
	struct vring *ring;
	const uint32_t len[20] = {[0 ... 19] = 64};
	struct vring_reservation reserved[20];
	uint32_t got;
	void *token;

	run_ring(f, PACKED, 500);
	deliver(f, 500, 64);
	for (unsigned i = 0; i < 500; i++) {
		struct driver_buffer b = {.addr = GPA + BUFFERS, .len = 64};

		assert_int_equal(driver_ring_reap(&driver, &token, &got), 1);
		if (i < 20)
			assert_int_equal(driver_ring_add(&driver, &b, 0, 1, mem), 0);
	}
	driver_ring_publish(&driver);
	set_log(f, LOG_SIZE, 0);
	tell_addr(f, true, true, ELSEWHERE);
	ring = &f->dev->vring[RING]->ring;
	vring_visit(&batch);
	assert_int_equal(vring_reserve(ring, &batch, len, 20, reserved), 20);
	vring_complete(ring, &batch);
	/* Entries 500 to 511 lie in the second page, the others in the first. */
	assert_true(is_marked(GPA));
	assert_true(is_marked(GPA + 0x1000));
	assert_int_equal(count_marked(), 2);
}

static void a_second_log_replaces_the_first_without_a_pause(void **state)
{
	struct fake *f = *state;

	run_ring(f, SPLIT | LOG, 20);
	set_log(f, LOG_SIZE, 0);
	deliver(f, 1, 100);
	assert_int_equal(count_marked(), 1);
	set_log(f, LOG_SIZE, 0x1000 + 5); /* aligned neither to a page nor to a word */
	forget_marks();
	deliver(f, 1, 100);
	assert_int_equal(count_marked(), 1);
	assert_int_equal(logged[0x1005 + ((GPA + BUFFERS + 0x1000) >> 12) / 8], 2);
	assert_int_equal(f->pauses, 0);
	assert_int_equal(f->synchronizes, 2);
	set_log(f, 1, 0x3fff); /* the last byte of the file */
	forget_marks();
	deliver(f, 3, 2000);
	assert_int_equal(count_marked(), 0);
	assert_int_equal(f->dev->vring[RING]->ring.log->ignored, 3);
	/* The number of ignored marks outlives this log. It is logged at the end. */
	set_log(f, LOG_SIZE, 0);
	set_log(f, LOG_SIZE, 8);
	assert_int_equal(f->dev->log.ignored, 3);
}

static void a_log_survives_what_happens_to_ring_and_memory(void **state)
{
	struct fake *f = *state;
	struct vhost_wire_region region[2] = {
	    {.gpa = GPA, .size = MEM_SIZE, .uaddr = UADDR},
	    {.gpa = GPA + MEM_SIZE, .size = 4096, .uaddr = UADDR + MEM_SIZE},
	};
	int fds[2] = {mem_fd, mem_fd};

	run_ring(f, SPLIT | LOG, 20);
	set_log(f, LOG_SIZE, 0);
	assert_int_equal(fake_table(f, region, fds, 2), 0);
	deliver(f, 1, 100);
	assert_int_equal(count_marked(), 1);
	assert_int_equal(fake_vring(f, VHOST_USER_SET_VRING_ENABLE, RING, 1), 0);
	fake_get_base(f, RING);
	assert_int_equal(
	    fake_notifier(f, VHOST_USER_SET_VRING_KICK, RING | VHOST_VRING_NOFD, -1), 0);
	deliver(f, 1, 100);
	assert_int_equal(count_marked(), 2);
}

static void hostile_sizes_and_offsets_end_the_connection(void **state)
{
	const struct {
		uint64_t size, offset;
	} bad[] = {
	    {0, 0},
	    {0, 0x1000},
	    {0x4001, 0},
	    {0x4000, 1},
	    {1, 0x4000},
	    {UINT64_MAX, 0},
	    {UINT64_MAX, 1},
	    {1, UINT64_MAX},
	    {0x1000, UINT64_MAX - 0xfff},
	    {UINT64_MAX - 0xfff, 0x1000},
	    {UINT64_C(1) << 63, UINT64_C(1) << 63},
	    {UINT64_C(1) << 40, 0},
	};
	union vhost_payload reply;
	uint32_t reply_size;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct fake f;

		fake_create(&f);
		fake_connect(&f);
		fake_negotiate(&f);
		assert_true(
		    tell_log(&f, bad[i].size, bad[i].offset, log_fd, 0, &reply, &reply_size) < 0);
		assert_null(f.dev->log.area.base);
		fake_destroy(&f);
	}
}

static void only_regular_files_hold_a_log(void **state)
{
	union vhost_payload reply;
	uint32_t reply_size;
	int bad[3];

	(void)state;
	assert_int_equal(pipe(bad), 0);
	bad[2] = event_file();
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct fake f;

		fake_create(&f);
		fake_connect(&f);
		fake_negotiate(&f);
		assert_true(tell_log(&f, 1, 0, bad[i], 0, &reply, &reply_size) < 0);
		fake_destroy(&f);
		close(bad[i]);
	}
}

static void a_thousand_logs_cost_nothing(void **state)
{
	struct fake *f = *state;
	unsigned fds = count_fds();
	size_t mapped;

	run_ring(f, SPLIT | LOG, 1);
	set_log(f, 0x1000, 0);
	mapped = count_mapped();
	for (unsigned i = 0; i < 1000; i++)
		set_log(f, 0x1000, i % 8);
	set_log(f, 0x1000, 0);
	assert_int_equal(count_mapped(), mapped);
	assert_int_equal(count_fds(), fds);
}

/* The guard has 65,536 slots for the mappings of all ports. */
static void areas_come_and_go_without_end(void **state)
{
	struct fake *f = *state;
	struct vhost_area area;

	for (unsigned i = 0; i < 65537; i++) {
		assert_int_equal(vhost_area_map(f->dev, "an area", 4096, 0, log_fd, &area), 0);
		vhost_area_unmap(f->dev, &area);
	}
}

static void the_reply_is_what_the_front_end_understands(void **state)
{
	const uint64_t base = VHOST_PROTOCOL_BIT(LOG_SHMFD) | VHOST_PROTOCOL_BIT(REPLY_ACK);
	struct fake *f = *state;
	union vhost_payload reply;
	uint32_t size;

	assert_int_equal(fake_u64(f, VHOST_USER_SET_PROTOCOL_FEATURES, base), 0);
	assert_int_equal(tell_log(f, 7, 3, log_fd, VHOST_NEED_REPLY, &reply, &size), 0);
	assert_int_equal(size, 8);
	assert_int_equal(reply.u64, 0);
	assert_int_equal(
	    fake_u64(f, VHOST_USER_SET_PROTOCOL_FEATURES, base | VHOST_PROTOCOL_BIT(DEVICE_STATE)),
	    0);
	assert_int_equal(tell_log(f, 7, 3, log_fd, 0, &reply, &size), 0);
	assert_int_equal(size, 8);
	assert_int_equal(reply.u64, 0);
	assert_int_equal(tell_log(f, 7, 3, log_fd, VHOST_NEED_REPLY, &reply, &size), 0);
	assert_int_equal(size, 16);
	assert_int_equal(reply.log.size, 7);
	assert_int_equal(reply.log.offset, 3);
	/*
	 * Without LOG_SHMFD the message contains an address of the front-end, which is useless
	 * here.
	 */
	assert_int_equal(
	    fake_u64(f, VHOST_USER_SET_PROTOCOL_FEATURES, VHOST_PROTOCOL_BIT(REPLY_ACK)), 0);
	assert_int_equal(fake_u64(f, VHOST_USER_SET_LOG_BASE, 0x7f0000000000), 1);
	fake_send(f, VHOST_USER_SET_LOG_BASE, 0, &reply, 8, NULL, 0);
	assert_int_equal(fake_run(f), LIVES);
	assert_int_equal(fake_get(f, VHOST_USER_GET_FEATURES), FAKE_FEATURES | FAKE_BIT30);
}

static void a_log_address_that_wraps_is_refused(void **state)
{
	struct fake *f = *state;
	struct vhost_wire_vring_addr addr = {.flags = 1, .log = UINT64_MAX - 8};

	assert_int_equal(fake_ask(f, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 1);
	/* A device area has at most 1 MiB. */
	addr.log = UINT64_MAX - 1024 * 1024 + 1;
	assert_int_equal(fake_ask(f, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 1);
	addr.log--;
	assert_int_equal(fake_ask(f, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 0);
	addr.log = UINT64_MAX - 8;
	addr.flags = 0;
	assert_int_equal(fake_ask(f, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 0);
	addr.flags = 1;
	addr.index = FAKE_RINGS;
	addr.log = 0;
	assert_int_equal(fake_ask(f, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 1);
}

static void log_fd_takes_an_eventfd(void **state)
{
	struct fake *f = *state;
	unsigned before = count_fds();
	int event = event_file();

	assert_int_equal(fake_ask(f, VHOST_USER_SET_LOG_FD, NULL, 0, &event, 1), 0);
	assert_int_equal(fake_ask(f, VHOST_USER_SET_LOG_FD, NULL, 0, &log_fd, 1), 1);
	close(event);
	assert_int_equal(count_fds(), before);
}

#define T(name) cmocka_unit_test_setup_teardown(name, log_setup, log_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(every_page_of_the_data_is_marked_and_no_other),
	    T(a_split_ring_is_marked_where_its_log_address_says),
	    T(a_packed_ring_is_marked_where_it_is_and_its_events_where_the_log_address_says),
	    T(a_packed_ring_that_wraps_is_marked_on_both_ends),
	    T(a_second_log_replaces_the_first_without_a_pause),
	    T(a_log_survives_what_happens_to_ring_and_memory),
	    T(hostile_sizes_and_offsets_end_the_connection),
	    T(only_regular_files_hold_a_log),
	    T(a_thousand_logs_cost_nothing),
	    T(areas_come_and_go_without_end),
	    T(the_reply_is_what_the_front_end_understands),
	    T(a_log_address_that_wraps_is_refused),
	    T(log_fd_takes_an_eventfd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
