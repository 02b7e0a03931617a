/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GET_INFLIGHT_FD and SET_INFLIGHT_FD. Areas are made, accepted or refused. Chains in flight are
 * fetched again by the device, or returned to the driver. proves: S06 S08
 */
#include "fake.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhost/ring.h"
#include "virtio/driver.h"
#include "virtio/vring_inflight.h"

#define UADDR    UINT64_C(0x7f0000000000)
#define MEM_SIZE 0x100000
#define SIZE     16
#define DESC     0x0
#define DRIVER   0x1000
#define DEVICE   0x2000
#define BUFFER   0x3000

#define SPLIT  (VIRTIO_BIT(F_VERSION_1) | FAKE_BIT30)
#define PACKED (SPLIT | VIRTIO_BIT(F_RING_PACKED))

static int mem_fd;
static uint8_t *mem;
static struct driver_ring driver;
static struct vhost_device_type deferring;
static struct vring_batch batch;

static int inflight_setup(void **state)
{
	mem_fd = memory_file(MEM_SIZE);
	mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, mem_fd, 0);
	assert_ptr_not_equal(mem, MAP_FAILED);
	fake_setup(state);
	fake_negotiate(*state);
	return 0;
}

static int inflight_teardown(void **state)
{
	munmap(mem, MEM_SIZE);
	fake_teardown(state);
	return close(mem_fd);
}

static struct vhost_wire_inflight wire_of(unsigned n_queues, unsigned queue_size)
{
	return (struct vhost_wire_inflight){.n_queues = n_queues, .queue_size = queue_size};
}

/* Ask for an area: its file, or -1; *wire as answered. */
static int get(struct fake *f, struct vhost_wire_inflight *wire)
{
	struct vhost_header header;
	union {
		struct cmsghdr cmsg;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov[2] = {{&header, sizeof(header)}, {wire, sizeof(*wire)}};
	struct msghdr mh = {.msg_iov = iov,
	    .msg_iovlen = 2,
	    .msg_control = &control,
	    .msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg;
	int fd = -1;

	fake_send(f, VHOST_USER_GET_INFLIGHT_FD, 0, wire, sizeof(*wire), NULL, 0);
	assert_int_equal(fake_run(f), LIVES);
	assert_int_equal(recvmsg(f->peer, &mh, MSG_DONTWAIT), sizeof(header) + sizeof(*wire));
	assert_int_equal(header.size, sizeof(*wire));
	cmsg = CMSG_FIRSTHDR(&mh);
	if (cmsg)
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	return fd;
}

static uint64_t set(struct fake *f, struct vhost_wire_inflight wire, int fd)
{
	return fake_ask(f, VHOST_USER_SET_INFLIGHT_FD, &wire, sizeof(wire), &fd, 1);
}

static void areas_are_made_and_forgotten(void **state)
{
	struct fake *f = *state;
	unsigned fds = count_fds();

	for (unsigned i = 0; i < 1000; i++) {
		struct vhost_wire_inflight wire = wire_of(FAKE_RINGS, 1 + i);
		struct stat st;
		int fd = get(f, &wire);

		assert_true(fd >= 0);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(wire.mmap_offset, 0);
		assert_int_equal(wire.mmap_size, st.st_size);
		assert_true(wire.mmap_size >= FAKE_RINGS * (32 + 32 * (1 + i)));
		assert_int_equal(ftruncate(fd, 0), -1); /* sealed */
		assert_int_equal(set(f, wire, fd), 0);
		close(fd);
		assert_int_equal(count_fds(), fds);
	}
	assert_null(f->dev->vring[0]);
}

static void areas_for_too_much_are_refused(void **state)
{
	static const struct vhost_wire_inflight bad[] = {{.n_queues = 0, .queue_size = 16},
	    {.n_queues = FAKE_RINGS + 1, .queue_size = 16},
	    {.n_queues = 65535, .queue_size = 65535}, {.n_queues = 1, .queue_size = 0},
	    {.n_queues = 1, .queue_size = 32769}};
	struct fake *f = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct vhost_wire_inflight wire = bad[i];

		assert_int_equal(get(f, &wire), -1);
		assert_int_equal(wire.mmap_size, 0);
		wire.mmap_size = MEM_SIZE;
		assert_int_equal(set(f, wire, mem_fd), 1);
	}
}

static void areas_that_do_not_fit_their_file_are_refused(void **state)
{
	static const struct vhost_wire_inflight bad[] = {
	    {.mmap_size = MEM_SIZE, .mmap_offset = MEM_SIZE, .n_queues = 2, .queue_size = 16},
	    {.mmap_size = MEM_SIZE, .mmap_offset = UINT64_MAX - 7, .n_queues = 2, .queue_size = 16},
	    {.mmap_size = MEM_SIZE, .mmap_offset = 4, .n_queues = 2, .queue_size = 16},
	    {.mmap_size = 2 * 16 * 16, .n_queues = 2, .queue_size = 16},
	    {.mmap_size = 0, .n_queues = 2, .queue_size = 16},
	    {.mmap_size = UINT64_MAX, .n_queues = FAKE_RINGS, .queue_size = 32768},
	};
	struct fake *f = *state;
	int pipes[2];

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(set(f, bad[i], mem_fd), 1);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(set(f, (struct vhost_wire_inflight){4096, 0, 2, 16, 0}, pipes[0]), 1);
	close(pipes[0]);
	close(pipes[1]);
	assert_null(f->dev->inflight.area.base);
}

/* Start a ring that our driver uses. */
static void start(struct fake *f, uint64_t features, unsigned index, uint32_t base)
{
	struct vhost_wire_region region = {.gpa = 0, .size = MEM_SIZE, .uaddr = UADDR};

	assert_int_equal(fake_u64(f, VHOST_USER_SET_FEATURES, features), 0);
	assert_int_equal(fake_table(f, &region, &mem_fd, 1), 0);
	assert_int_equal(fake_vring(f, VHOST_USER_SET_VRING_NUM, index, SIZE), 0);
	assert_int_equal(fake_vring(f, VHOST_USER_SET_VRING_BASE, index, base), 0);
	assert_int_equal(fake_addr(f, index, UADDR + DESC, UADDR + DRIVER, UADDR + DEVICE), 0);
	assert_int_equal(
	    fake_notifier(f, VHOST_USER_SET_VRING_KICK, index | VHOST_VRING_NOFD, -1), 0);
	assert_true(f->dev->vring[index]->active);
}

static void offer(unsigned n, bool in)
{
	const struct driver_buffer b = {BUFFER, 64};

	for (uintptr_t i = 0; i < n; i++)
		assert_int_equal(driver_ring_add(&driver, &b, !in, in, (void *)(i + 1)), 0);
	driver_ring_publish(&driver);
}

static unsigned fetch(struct fake *f, unsigned index, unsigned max)
{
	batch.n = batch.n_segments = 0;
	return vring_fetch(&f->dev->vring[index]->ring, &batch, max);
}

/* The connection ends, as if the back-end had crashed, and the front-end connects again. */
static void come_back(struct fake *f, struct vhost_wire_inflight wire, int fd)
{
	fake_disconnect(f);
	fake_connect(f);
	fake_negotiate(f);
	assert_int_equal(set(f, wire, fd), 0);
}

static void come_and_go(struct fake *f, uint64_t features)
{
	struct vhost_wire_inflight wire = wire_of(2, SIZE);
	uint16_t first;
	int fd;

	deferring = *f->dev->type;
	deferring.defers = true;
	f->dev->type = &deferring;
	assert_int_equal(fake_u64(f, VHOST_USER_SET_FEATURES, features), 0);
	fd = get(f, &wire);
	assert_int_equal(
	    driver_ring_init(&driver, features, SIZE, mem + DESC, mem + DRIVER, mem + DEVICE), 0);
	assert_int_equal(set(f, wire, fd), 0);
	start(f, features, 1, VIRTIO_HAS(features, F_RING_PACKED) ? 0x80008000 : 0);
	offer(10, false);
	assert_int_equal(fetch(f, 1, 5), 5);
	first = batch.chain[0].id;
	/* Complete two chains out of order. */
	batch.chain[0] = batch.chain[3];
	batch.n = 2;
	vring_complete(&f->dev->vring[1]->ring, &batch);
	come_back(f, wire, fd);
	start(f, features, 1, VIRTIO_HAS(features, F_RING_PACKED) ? 0x80008000 : 2);
	assert_int_equal(vring_inflight_count(f->dev->vring[1]->inflight), 3);
	/* A ring that is started anew for another reason still has its chains in flight. */
	vhost_rings_change(f->dev);
	vhost_device_settle(f->dev);
	assert_int_equal(vring_inflight_count(f->dev->vring[1]->inflight), 3);
	assert_int_equal(fetch(f, 1, 16), 8);
	assert_int_equal(batch.chain[0].id, first);
	vring_complete(&f->dev->vring[1]->ring, &batch);
	assert_int_equal(vring_inflight_count(f->dev->vring[1]->inflight), 0);
	driver_ring_cleanup(&driver);
	f->dev->type = &fake_type;
	close(fd);
}

static void split_chains_in_flight_are_taken_up_again(void **state)
{
	come_and_go(*state, SPLIT);
}

static void packed_chains_in_flight_are_taken_up_again(void **state)
{
	come_and_go(*state, PACKED);
}

/*
 * Chains were left by a device that defers; a device that does not defer returns them with length
 * 0.
 */
static void give_back(struct fake *f, uint64_t features, unsigned index)
{
	uint32_t base = VIRTIO_HAS(features, F_RING_PACKED) ? 0x80008000 : 0, len;
	struct vhost_wire_inflight wire = wire_of(2, SIZE);
	unsigned n_used = 0;
	void *token;
	int fd;

	deferring = *f->dev->type;
	deferring.defers = true;
	f->dev->type = &deferring;
	assert_int_equal(fake_u64(f, VHOST_USER_SET_FEATURES, features), 0);
	fd = get(f, &wire);
	assert_int_equal(
	    driver_ring_init(&driver, features, SIZE, mem + DESC, mem + DRIVER, mem + DEVICE), 0);
	assert_int_equal(set(f, wire, fd), 0);
	start(f, features, index, base);
	offer(10, index == 0);
	assert_int_equal(fetch(f, index, 6), 6);
	batch.n = 1;
	batch.chain[0] = batch.chain[2];
	vring_complete(&f->dev->vring[index]->ring, &batch);
	fake_disconnect(f);
	f->dev->type = &fake_type;
	fake_connect(f);
	fake_negotiate(f);
	assert_int_equal(set(f, wire, fd), 0);
	start(f, features, index, VIRTIO_HAS(features, F_RING_PACKED) ? base : 1);
	assert_int_equal(fetch(f, index, 16), 4); /* the chains that were never fetched */
	while (driver_ring_reap(&driver, &token, &len) == 1) {
		assert_int_equal(len, 0);
		n_used++;
	}
	assert_int_equal(n_used, 6);
	vring_complete(&f->dev->vring[index]->ring, &batch);
	while (driver_ring_reap(&driver, &token, &len) == 1)
		n_used++;
	assert_int_equal(n_used, 10);
	driver_ring_cleanup(&driver);
	close(fd);
}

static void split_chains_of_another_device_are_given_back(void **state)
{
	give_back(*state, SPLIT, 0);
}

static void packed_chains_of_another_device_are_given_back(void **state)
{
	give_back(*state, PACKED, 1);
}

/*
 * The front-end tells the driver's position, as Cloud Hypervisor does even with an in-flight area.
 */
static void a_split_ring_goes_on_where_it_stands_beside_an_area(void **state)
{
	struct vhost_wire_inflight wire = wire_of(2, SIZE);
	struct fake *f = *state;
	int fd;

	assert_int_equal(fake_u64(f, VHOST_USER_SET_FEATURES, SPLIT), 0);
	fd = get(f, &wire);
	assert_int_equal(
	    driver_ring_init(&driver, SPLIT, SIZE, mem + DESC, mem + DRIVER, mem + DEVICE), 0);
	offer(10, false);
	assert_int_equal(set(f, wire, fd), 0);
	start(f, SPLIT, 1, 10);
	assert_int_equal(fetch(f, 1, 4), 4);
	vring_complete(&f->dev->vring[1]->ring, &batch);
	come_back(f, wire, fd);
	start(f, SPLIT, 1, 10);
	assert_int_equal(fetch(f, 1, 16), 6);
	vring_complete(&f->dev->vring[1]->ring, &batch);
	driver_ring_cleanup(&driver);
	close(fd);
}

/*
 * With random bytes in the area a ring still starts, and returns only chains that the driver has
 * offered.
 */
static void nonsense_in_an_area_is_survived(void **state)
{
	struct vhost_wire_inflight wire = wire_of(2, SIZE);
	struct fake *f = *state;
	size_t size;
	uint8_t *area;
	int fd;

	deferring = *f->dev->type;
	deferring.defers = true;
	fd = get(f, &wire);
	size = wire.mmap_size;
	area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(area, MAP_FAILED);
	srandom(1);
	for (unsigned i = 0; i < 3000; i++) {
		bool packed = i & 1;

		f->dev->type = i & 2 ? &deferring : &fake_type;
		for (size_t k = 0; k < size; k++)
			area[k] = random() % 4 ? 0 : random() % 20;
		area[8] = 1; /* the version */
		area[9] = 0;
		area[10] = SIZE;
		area[11] = 0;
		memset(mem, 0, BUFFER);
		assert_int_equal(driver_ring_init(&driver, packed ? PACKED : SPLIT, SIZE,
				     mem + DESC, mem + DRIVER, mem + DEVICE),
		    0);
		offer(5, false);
		come_back(f, wire, fd);
		start(f, packed ? PACKED : SPLIT, 1, packed ? 0x80008000 : 0);
		while (fetch(f, 1, 16))
			vring_complete(&f->dev->vring[1]->ring, &batch);
		driver_ring_cleanup(&driver);
	}
	f->dev->type = &fake_type;
	munmap(area, size);
	close(fd);
}

/*
 * A ring with more entries than the area has for a ring, or without a region in the area, runs
 * without tracking.
 */
static void rings_that_do_not_fit_run_untracked(void **state)
{
	struct vhost_wire_inflight wire = wire_of(1, SIZE / 2);
	struct fake *f = *state;
	int fd = get(f, &wire);

	assert_int_equal(set(f, wire, fd), 0);
	start(f, SPLIT, 0, 0);
	assert_null(f->dev->vring[0]->inflight);
	start(f, SPLIT, 1, 0);
	assert_null(f->dev->vring[1]->inflight);
	/* A large enough area takes effect while the ring runs. */
	wire = wire_of(2, SIZE);
	close(fd);
	fd = get(f, &wire);
	assert_int_equal(set(f, wire, fd), 0);
	assert_non_null(f->dev->vring[1]->inflight);
	assert_true(f->dev->vring[1]->active);
	close(fd);
}

static off_t bytes_in_file(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_blocks * 512;
}

/*
 * The file takes only as much memory as the present rings need, although it has room for larger
 * rings.
 */
static void an_area_takes_memory_by_the_rings(void **state)
{
	struct vhost_wire_inflight wire = wire_of(2, VRING_SIZE_MAX);
	struct fake *f = *state;
	int fd = get(f, &wire);

	assert_int_equal(set(f, wire, fd), 0);
	start(f, SPLIT, 0, 0);
	start(f, SPLIT, 1, 0);
	assert_int_equal(vring_inflight_size(f->dev->vring[1]->inflight), SIZE);
	assert_true(bytes_in_file(fd) <= 2 * 4096);
	come_back(f, wire, fd);
	start(f, SPLIT, 1, 0);
	assert_int_equal(vring_inflight_size(f->dev->vring[1]->inflight), SIZE);
	assert_true(bytes_in_file(fd) <= 2 * 4096);
	close(fd);
}

/* The front-end changes the size of a running ring without telling a base. */
static void a_ring_of_another_size_is_tracked_by_that(void **state)
{
	static const uint16_t sizes[] = {SIZE / 4, SIZE, 4 * SIZE};
	struct vhost_wire_inflight wire = wire_of(2, 4 * SIZE);
	struct fake *f = *state;
	int fd = get(f, &wire);

	assert_int_equal(set(f, wire, fd), 0);
	for (unsigned format = 0; format < 2; format++) {
		start(f, format ? PACKED : SPLIT, 0, format ? 0x80008000 : 0);
		for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
			assert_int_equal(fake_vring(f, VHOST_USER_SET_VRING_NUM, 0, sizes[i]), 0);
			assert_true(f->dev->vring[0]->active);
			assert_int_equal(vring_inflight_size(f->dev->vring[0]->inflight), sizes[i]);
		}
	}
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, inflight_setup, inflight_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(areas_are_made_and_forgotten),
	    TEST(areas_for_too_much_are_refused),
	    TEST(areas_that_do_not_fit_their_file_are_refused),
	    TEST(split_chains_in_flight_are_taken_up_again),
	    TEST(packed_chains_in_flight_are_taken_up_again),
	    TEST(split_chains_of_another_device_are_given_back),
	    TEST(packed_chains_of_another_device_are_given_back),
	    TEST(a_split_ring_goes_on_where_it_stands_beside_an_area),
	    TEST(nonsense_in_an_area_is_survived),
	    TEST(rings_that_do_not_fit_run_untracked),
	    TEST(an_area_takes_memory_by_the_rings),
	    TEST(a_ring_of_another_size_is_tracked_by_that),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
