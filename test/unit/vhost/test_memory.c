/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory table: it is mapped exactly, changes while rings run, and leaves nothing behind. */
#include "fake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vhost/mapping.h"

#define PAGE  UINT64_C(4096)
#define UADDR UINT64_C(0x7f0000000000)
#define SPLIT (VIRTIO_BIT(F_VERSION_1) | FAKE_BIT30)

static struct vhost_wire_region region(uint64_t gpa, uint64_t size, uint64_t offset)
{
	return (struct vhost_wire_region){
	    .gpa = gpa, .size = size, .uaddr = UADDR + gpa, .mmap_offset = offset};
}

static int setup(void **state)
{
	fake_setup(state);
	fake_negotiate(*state);
	return 0;
}

/* Start ring 1 in the first three pages of guest memory, at position 5. */
static void start_ring(struct fake *f)
{
	assert_int_equal(fake_u64(f, VHOST_USER_SET_FEATURES, SPLIT), 0);
	assert_int_equal(fake_vring(f, VHOST_USER_SET_VRING_NUM, 1, 64), 0);
	assert_int_equal(fake_vring(f, VHOST_USER_SET_VRING_BASE, 1, 5), 0);
	assert_int_equal(fake_addr(f, 1, UADDR, UADDR + PAGE, UADDR + 2 * PAGE), 0);
	assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_KICK, 1 | VHOST_VRING_NOFD, -1), 0);
}

static bool active(const struct fake *f)
{
	return f->dev->vring[1]->active;
}

/* Write the driver's avail index into the file, and a used index that agrees with position 5. */
static void driver_avail(int fd, uint64_t offset, uint16_t idx)
{
	uint16_t used = 5;

	assert_int_equal(pwrite(fd, &idx, sizeof(idx), offset + PAGE + 2), sizeof(idx));
	assert_int_equal(pwrite(fd, &used, sizeof(used), offset + 2 * PAGE + 2), sizeof(used));
}

static uint64_t try_table(
    struct fake *f, const struct vhost_wire_region regions[], int fd, unsigned n)
{
	int fds[VHOST_TABLE_REGIONS_MAX];

	for (unsigned i = 0; i < n; i++)
		fds[i] = fd;
	return fake_table(f, regions, fds, n);
}

static void a_table_is_replaced_under_a_running_ring(void **state)
{
	struct vhost_wire_region before = region(0, 8 * PAGE, 0);
	struct vhost_wire_region after[2] = {
	    region(0, 16 * PAGE, 4 * PAGE), region(64 * PAGE, PAGE, 0)};
	int a = memory_file(8 * PAGE), b = memory_file(20 * PAGE);
	struct fake *f = *state;

	driver_avail(a, 0, 5);
	driver_avail(b, 4 * PAGE, 9);
	assert_int_equal(fake_table(f, &before, &a, 1), 0);
	start_ring(f);
	assert_true(active(f) && f->running);
	assert_false(vring_has_avail(&f->dev->vring[1]->ring));
	assert_int_equal(count_mapped(), 8 * PAGE);
	unsigned pauses = f->pauses, fds = count_fds();

	assert_int_equal(fake_table(f, after, (int[]){b, b}, 2), 0);
	assert_int_equal(f->pauses, pauses + 1);
	assert_true(active(f) && f->running);
	assert_int_equal(f->dev->state.vring[1].position.avail, 5);
	assert_true(vring_has_avail(&f->dev->vring[1]->ring));
	assert_int_equal(count_mapped(), 17 * PAGE);
	assert_int_equal(count_fds(), fds);
	close(a);
	close(b);
}

static void a_table_that_grows_stops_nobody(void **state)
{
	struct vhost_wire_region r[3] = {region(0, 8 * PAGE, 0), region(8 * PAGE, PAGE, 8 * PAGE),
	    region(64 * PAGE, PAGE, 9 * PAGE)};
	int fd = memory_file(80 * PAGE);
	struct fake *f = *state;
	uint8_t *host;

	assert_int_equal(try_table(f, r, fd, 1), 0);
	start_ring(f);
	host = f->dev->memory->region[0].host;
	assert_int_equal(try_table(f, r, fd, 2), 0);
	assert_int_equal(fake_region(f, VHOST_USER_ADD_MEM_REG, r[2], fd), 0);
	assert_int_equal(f->pauses + f->ring_pauses, 0);
	assert_true(f->running);
	assert_int_equal(f->dev->memory->n_regions, 3);
	assert_ptr_equal(f->dev->memory->region[0].host, host);
	/* The ring uses the new table. */
	assert_ptr_equal(f->dev->vring[1]->ring.memory, f->dev->memory);
	assert_ptr_equal(f->dev->vring[1]->ring.tables, f->dev->memory);
	/* The number of old tables is bounded. */
	for (unsigned i = 3; i <= VHOST_OUTGROWN_MAX + 3; i++) {
		struct vhost_wire_region more = region((64 + i) * PAGE, PAGE, 10 * PAGE);

		assert_int_equal(fake_region(f, VHOST_USER_ADD_MEM_REG, more, fd), 0);
	}
	assert_int_equal(f->pauses, 1);
	assert_true(f->dev->n_outgrown <= VHOST_OUTGROWN_MAX);
	/* Before a region is removed the device is paused. */
	assert_int_equal(fake_region(f, VHOST_USER_REM_MEM_REG, r[2], -1), 0);
	assert_int_equal(f->pauses, 2);
	assert_int_equal(f->dev->n_outgrown, 0);
	assert_true(active(f) && f->running);
	close(fd);
}

static void the_same_table_again_changes_nothing(void **state)
{
	struct vhost_wire_region r[2] = {region(0, 8 * PAGE, 0), region(8 * PAGE, PAGE, 8 * PAGE)};
	int fd = memory_file(9 * PAGE), other = memory_file(9 * PAGE);
	struct fake *f = *state;

	assert_int_equal(try_table(f, r, fd, 2), 0);
	driver_avail(fd, 0, 5);
	start_ring(f);
	assert_false(vring_has_avail(&f->dev->vring[1]->ring));
	struct guest_memory *memory = f->dev->memory;
	uint8_t *host = memory->region[0].host;
	unsigned pauses = f->pauses, fds = count_fds();
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(try_table(f, r, fd, 2), 0);
	assert_ptr_equal(f->dev->memory, memory);
	assert_int_equal(f->pauses, pauses);
	assert_int_equal(count_fds(), fds);
	/* One of two regions is replaced. The other one stays where it is mapped. */
	r[1].size = PAGE / 2;
	assert_int_equal(try_table(f, r, fd, 2), 0);
	assert_ptr_equal(f->dev->memory->region[0].host, host);
	assert_int_equal(f->pauses, pauses + 1);
	/* Regions with the same addresses and sizes in another file are new regions. */
	driver_avail(other, 0, 6);
	assert_int_equal(try_table(f, r, other, 2), 0);
	assert_true(vring_has_avail(&f->dev->vring[1]->ring));
	assert_int_equal(count_mapped(), 9 * PAGE);
	close(fd);
	close(other);
}

static void a_bad_table_leaves_the_old_one(void **state)
{
	struct vhost_wire_region good = region(0, 8 * PAGE, 0);
	struct vhost_wire_region bad[3] = {
	    region(0, PAGE, 0), region(PAGE, PAGE, PAGE), region(2 * PAGE, 0, 0)};
	int fd = memory_file(8 * PAGE);
	struct fake *f = *state;

	assert_int_equal(fake_table(f, &good, &fd, 1), 0);
	start_ring(f);
	unsigned pauses = f->pauses, fds = count_fds();
	struct guest_memory *memory = f->dev->memory;
	assert_int_equal(try_table(f, bad, fd, 3), 1);
	assert_ptr_equal(f->dev->memory, memory);
	assert_int_equal(f->pauses, pauses);
	assert_int_equal(count_fds(), fds);
	assert_int_equal(count_mapped(), 8 * PAGE);
	assert_true(active(f) && f->running);
	close(fd);
}

static void the_number_of_regions_must_match(void **state)
{
	struct vhost_wire_mem_table table = {0};
	int fd = memory_file(16 * PAGE), fds[VHOST_FDS_MAX];
	struct fake *f = *state;

	for (unsigned i = 0; i < 8; i++) {
		fds[i] = fd;
		table.region[i] = region(i * PAGE, PAGE, 0);
	}
	for (uint32_t n = 0; n <= 10; n++) {
		for (unsigned n_fds = 0; n_fds <= 8; n_fds++) {
			for (unsigned full = 0; full <= 8; full++) {
				bool good = n == n_fds && n <= full;

				table.n_regions = n;
				assert_int_equal(fake_ask(f, VHOST_USER_SET_MEM_TABLE, &table,
						     8 + full * 32, fds, n_fds),
				    !good);
			}
		}
	}
	table.n_regions = 0xffffffff;
	assert_int_equal(fake_ask(f, VHOST_USER_SET_MEM_TABLE, &table, sizeof(table), fds, 8), 1);
	close(fd);
}

static void regions_lie_inside_their_file(void **state)
{
	const uint64_t top = UINT64_MAX;
	static const struct {
		uint64_t size, offset;
		bool good;
	} cases[] = {
	    {8 * PAGE, 0, true},
	    {8 * PAGE + 1, 0, false},
	    {1, 8 * PAGE - 1, true},
	    {1, 8 * PAGE, false},
	    {PAGE, 7 * PAGE, true},
	    {PAGE, 7 * PAGE + 1, false},
	    {2 * PAGE, 100, true},
	    {0, 0, false},
	    {0, 8 * PAGE, false},
	    {UINT64_MAX, 1, false},
	    {UINT64_MAX, 0, false},
	    {PAGE, UINT64_MAX - PAGE + 1, false},
	    {PAGE, UINT64_MAX, false},
	    {PAGE, INT64_MAX, false},
	    {UINT64_C(1) << 63, UINT64_C(1) << 63, false},
	};
	int fd = memory_file(8 * PAGE);
	struct fake *f = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vhost_wire_region r = region(0, cases[i].size, cases[i].offset);

		r.uaddr = UADDR;
		assert_int_equal(fake_region(f, VHOST_USER_ADD_MEM_REG, r, fd), !cases[i].good);
		assert_int_equal(f->dev->state.n_regions, cases[i].good);
		if (cases[i].good)
			assert_int_equal(fake_region(f, VHOST_USER_REM_MEM_REG, r, -1), 0);
		assert_int_equal(count_mapped(), 0);
	}
	struct vhost_wire_region wrap = {.gpa = top - PAGE + 1, .size = PAGE, .uaddr = UADDR};
	assert_int_equal(fake_region(f, VHOST_USER_ADD_MEM_REG, wrap, fd), 1);
	wrap = (struct vhost_wire_region){.gpa = 0, .size = PAGE, .uaddr = top - 1};
	assert_int_equal(fake_region(f, VHOST_USER_ADD_MEM_REG, wrap, fd), 1);
	close(fd);
}

/* A byte at any offset of the file is mapped at its guest address. */
static void offsets_need_no_alignment(void **state)
{
	static const uint64_t offsets[] = {0, 1, 100, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE + 77};
	int fd = memory_file(8 * PAGE);
	struct fake *f = *state;

	for (unsigned i = 0; i < 8 * PAGE; i += 4)
		assert_int_equal(pwrite(fd, &i, 4, i), 4);
	for (unsigned i = 0; i < ARRAY_SIZE(offsets); i++) {
		struct vhost_wire_region r = region(0, PAGE + 3, offsets[i]);
		const struct guest_region *have;
		uint8_t expect[4];

		assert_int_equal(fake_table(f, &r, &fd, 1), 0);
		have = &f->dev->memory->region[0];
		assert_int_equal(pread(fd, expect, 4, offsets[i]), 4);
		assert_memory_equal(have->host, expect, 4);
		assert_int_equal(pread(fd, expect, 4, offsets[i] + PAGE - 1), 4);
		assert_memory_equal(have->host + PAGE - 1, expect, 4);
		/* Only the pages that the region touches are mapped. */
		uint64_t first = offsets[i] / PAGE, last = (offsets[i] + PAGE + 2) / PAGE;
		assert_int_equal(count_mapped(), (last - first + 1) * PAGE);
	}
	close(fd);
}

static void only_writable_files_are_mapped(void **state)
{
	struct vhost_wire_region r = region(0, PAGE, 0);
	int pipes[2], zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
	int directory = open("/", O_RDONLY | O_CLOEXEC), event = event_file();
	int fd = memory_file(PAGE), read_only;
	struct fake *f = *state;
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	read_only = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(read_only >= 0);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	const int bad[] = {pipes[0], zero, directory, event, f->peer, read_only};
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		unsigned fds = count_fds();

		assert_int_equal(fake_table(f, &r, &bad[i], 1), 1);
		assert_int_equal(fake_region(f, VHOST_USER_ADD_MEM_REG, r, bad[i]), 1);
		assert_int_equal(count_fds(), fds);
	}
	assert_int_equal(fake_table(f, &r, &fd, 1), 0);
	const int opened[] = {pipes[0], pipes[1], zero, directory, event, fd, read_only};
	for (unsigned i = 0; i < ARRAY_SIZE(opened); i++)
		close(opened[i]);
}

static void regions_do_not_overlap(void **state)
{
	struct vhost_wire_region r[2] = {region(0, 2 * PAGE, 0), region(PAGE, PAGE, 4 * PAGE)};
	int fd = memory_file(8 * PAGE);
	struct fake *f = *state;

	assert_int_equal(try_table(f, r, fd, 2), 1);
	assert_int_equal(count_mapped(), 0);
	r[1].gpa = 16 * PAGE; /* still the same uaddr */
	assert_int_equal(try_table(f, r, fd, 2), 1);
	r[1].uaddr = UADDR + 2 * PAGE;
	assert_int_equal(try_table(f, r, fd, 2), 0);
	assert_int_equal(fake_region(f, VHOST_USER_ADD_MEM_REG, region(PAGE, PAGE, 0), fd), 1);
	assert_int_equal(count_mapped(), 3 * PAGE);
	assert_int_equal(f->dev->state.n_regions, 2);
	close(fd);
}

static void a_ring_goes_with_its_memory_and_comes_back(void **state)
{
	struct vhost_wire_region r = region(0, 8 * PAGE, 0), far = region(64 * PAGE, PAGE, 0);
	int fd = memory_file(8 * PAGE), event = event_file();
	uint64_t calls = 0;
	struct fake *f = *state;

	start_ring(f);
	assert_false(active(f));
	assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_CALL, 1, event), 0);
	assert_int_equal(read(event, &calls, sizeof(calls)), -1);
	assert_int_equal(fake_region(f, VHOST_USER_ADD_MEM_REG, far, fd), 0);
	assert_false(active(f));
	assert_int_equal(fake_region(f, VHOST_USER_ADD_MEM_REG, r, fd), 0);
	assert_true(active(f) && f->running);
	assert_int_equal(read(event, &calls, sizeof(calls)), sizeof(calls));
	f->dev->state.vring[1].position = (struct vring_position){.avail = 50, .used = 50};
	assert_int_equal(fake_region(f, VHOST_USER_REM_MEM_REG, r, -1), 0);
	assert_false(active(f) || f->running);
	assert_int_equal(count_mapped(), PAGE);
	assert_int_equal(fake_region(f, VHOST_USER_ADD_MEM_REG, r, fd), 0);
	assert_true(active(f) && f->running);
	assert_int_equal(f->dev->state.vring[1].position.avail, 50);
	/* Calls may have been lost meanwhile. */
	assert_int_equal(read(event, &calls, sizeof(calls)), sizeof(calls));
	/* An empty table removes all regions. */
	assert_int_equal(fake_table(f, NULL, NULL, 0), 0);
	assert_false(active(f) || f->running);
	assert_int_equal(count_mapped(), 0);
	close(fd);
	close(event);
}

/*
 * A ring must not lie in two regions, even if they are adjacent for the guest and in this process.
 */
static void a_ring_does_not_straddle_regions(void **state)
{
	struct vhost_wire_region r[2] = {region(0, 2 * PAGE, 0), region(2 * PAGE, PAGE, 2 * PAGE)};
	int fd = memory_file(8 * PAGE);
	struct fake *f = *state;

	assert_int_equal(try_table(f, r, fd, 2), 0);
	start_ring(f);
	assert_true(active(f));
	assert_int_equal(fake_addr(f, 1, UADDR, UADDR + PAGE, UADDR + 2 * PAGE - 16), 0);
	assert_false(active(f));
	assert_int_equal(fake_addr(f, 1, UADDR + 2 * PAGE - 512, UADDR, UADDR + PAGE), 0);
	assert_false(active(f));
	close(fd);
}

static void all_slots_can_be_filled_and_emptied(void **state)
{
	const unsigned max = VHOST_MEM_SLOTS_MAX;
	int fd = memory_file((max + 1) * PAGE);
	struct fake *f = *state;
	unsigned fds = count_fds();

	for (unsigned i = 0; i < max; i++) {
		/* In mixed order. */
		unsigned at = i * 250 % max;

		assert_int_equal(fake_region(f, VHOST_USER_ADD_MEM_REG,
				     region(at * 2 * PAGE, PAGE, at * PAGE), fd),
		    0);
	}
	assert_int_equal(f->dev->state.n_regions, max);
	assert_int_equal(count_mapped(), max * PAGE);
	assert_int_equal(fake_region(f, VHOST_USER_ADD_MEM_REG,
			     region((max + 5) * 2 * PAGE, PAGE, max * PAGE), fd),
	    1);
	/* A region that is there already takes no slot. */
	assert_int_equal(fake_region(f, VHOST_USER_ADD_MEM_REG, region(0, PAGE, 0), fd), 0);
	assert_int_equal(f->dev->state.n_regions, max);
	assert_int_equal(count_fds(), fds);
	for (unsigned i = 0; i < max; i++) {
		unsigned at = i * 250 % max;

		assert_int_equal(
		    fake_region(f, VHOST_USER_REM_MEM_REG, region(at * 2 * PAGE, PAGE, 12345), -1),
		    0);
		assert_int_equal(count_mapped(), (max - i - 1) * PAGE);
	}
	assert_null(f->dev->memory);
	close(fd);
}

static void removing_needs_the_exact_place(void **state)
{
	struct vhost_wire_region r = region(0, 2 * PAGE, 0), wrong;
	int fd = memory_file(2 * PAGE);
	struct fake *f = *state;
	unsigned fds = count_fds();

	assert_int_equal(fake_region(f, VHOST_USER_ADD_MEM_REG, r, fd), 0);
	wrong = r;
	wrong.gpa++;
	assert_int_equal(fake_region(f, VHOST_USER_REM_MEM_REG, wrong, -1), 1);
	wrong = r;
	wrong.uaddr++;
	assert_int_equal(fake_region(f, VHOST_USER_REM_MEM_REG, wrong, -1), 1);
	wrong = r;
	wrong.size--;
	assert_int_equal(fake_region(f, VHOST_USER_REM_MEM_REG, wrong, -1), 1);
	assert_int_equal(f->dev->state.n_regions, 1);
	/* Old front-ends send a descriptor with REM_MEM_REG. */
	assert_int_equal(fake_region(f, VHOST_USER_REM_MEM_REG, r, fd), 0);
	assert_int_equal(fake_region(f, VHOST_USER_REM_MEM_REG, r, -1), 1);
	assert_int_equal(count_fds(), fds);
	close(fd);
}

static void the_short_form_of_old_front_ends_is_understood(void **state)
{
	struct vhost_wire_mem_region mem = {.region = region(0, PAGE, 3 * PAGE)};
	int fd = memory_file(4 * PAGE);
	struct fake *f = *state;
	char mark[4], noise[64];

	assert_int_equal(pwrite(fd, "mark", 4, 3 * PAGE), 4);
	/* The bytes of an earlier message must not be used where this message is shorter. */
	memset(noise, 0xff, sizeof(noise));
	assert_int_equal(fake_ask(f, 1000, noise, sizeof(noise), NULL, 0), 1);
	assert_int_equal(
	    fake_ask(f, VHOST_USER_ADD_MEM_REG, &mem, VHOST_WIRE_MEM_REGION_SHORT, &fd, 1), 0);
	memcpy(mark, f->dev->memory->region[0].host, 4);
	assert_memory_equal(mark, "mark", 4);
	assert_int_equal(
	    fake_ask(f, VHOST_USER_REM_MEM_REG, &mem, VHOST_WIRE_MEM_REGION_SHORT, NULL, 0), 0);
	close(fd);
}

/* Change tables and slots at random: the mapped bytes are always the sum of all regions. */
static void nothing_is_left_behind(void **state)
{
	int fds[2] = {memory_file(64 * PAGE), memory_file(64 * PAGE)};
	struct fake *f = *state;
	unsigned before = count_fds();

	start_ring(f);
	srandom(3);
	for (unsigned i = 0; i < 3000; i++) {
		struct vhost_wire_region r[VHOST_TABLE_REGIONS_MAX];
		unsigned n = random() % 9;
		uint64_t sum = 0;

		for (unsigned k = 0; k < 8; k++)
			r[k] = region(random() % 32 * 4 * PAGE, (1 + random() % 6) * PAGE,
			    random() % 60 * PAGE);
		switch (random() % 3) {
		case 0:
			try_table(f, r, fds[random() % 2], n);
			break;
		case 1:
			fake_region(f, VHOST_USER_ADD_MEM_REG, r[0], fds[random() % 2]);
			break;
		default:
			if (f->dev->state.n_regions) {
				r[0].gpa = f->dev->state.region[0].gpa;
				r[0].uaddr = f->dev->state.region[0].uaddr;
				r[0].size = f->dev->state.region[0].size;
			}
			fake_region(f, VHOST_USER_REM_MEM_REG, r[0], -1);
		}
		for (unsigned k = 0; k < f->dev->state.n_regions; k++)
			sum += f->dev->state.region[k].size;
		assert_int_equal(count_mapped(), sum);
		assert_int_equal(f->running, active(f));
		assert_int_equal(active(f),
		    f->dev->memory && guest_memory_from_uaddr(f->dev->memory, UADDR, 1024) &&
			guest_memory_from_uaddr(f->dev->memory, UADDR + PAGE, 6 + 2 * 64) &&
			guest_memory_from_uaddr(f->dev->memory, UADDR + 2 * PAGE, 6 + 8 * 64));
	}
	assert_int_equal(count_fds(), before);
	close(fds[0]);
	close(fds[1]);
}

static void huge_pages_are_mapped_as_such(void **state)
{
	const uint64_t huge = 2 << 20;
	int fd = memfd_create("vhost-test", MFD_CLOEXEC | MFD_HUGETLB);
	struct vhost_wire_region r = region(0, huge, huge);
	struct fake *f = *state;
	void *probe;

	/*
	 * Without huge pages there is nothing to test. Whether there are any is found out by
	 * mapping one.
	 */
	if (fd < 0 || ftruncate(fd, 2 * huge) < 0)
		return;
	probe = mmap(NULL, huge, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (probe != MAP_FAILED) {
		munmap(probe, huge);
		assert_int_equal(fake_table(f, &r, &fd, 1), 0);
		assert_false(f->dev->warned_pages);
		assert_int_equal((uintptr_t)f->dev->memory->region[0].host % huge, 0);
		assert_int_equal(count_mapped(), huge);
		/* A region smaller than a page of its file still takes the page. */
		r = region(0, PAGE, huge - PAGE);
		assert_int_equal(fake_table(f, &r, &fd, 1), 0);
		assert_int_equal(count_mapped(), huge);
		assert_int_equal(fake_table(f, NULL, NULL, 0), 0);
		assert_int_equal(count_mapped(), 0);
	}
	close(fd);
}

static void a_port_maps_4_tib_at_most(void **state)
{
	const uint64_t tib = UINT64_C(1) << 40;
	struct fake *f = *state;

	assert_int_equal(vhost_mapping_claim(f->dev, 5 * tib), -ENOSPC);
	assert_int_equal(vhost_mapping_claim(f->dev, 3 * tib), 0);
	assert_int_equal(vhost_mapping_claim(f->dev, 3 * tib), -ENOSPC);
	assert_int_equal(vhost_mapping_claim(f->dev, tib), 0);
	assert_int_equal(vhost_mapping_claim(f->dev, 1), -ENOSPC);
	vhost_mapping_disclaim(f->dev, tib);
	vhost_mapping_disclaim(f->dev, 3 * tib);
	assert_int_equal(vhost_mapping_claim(f->dev, 4 * tib), 0);
	vhost_mapping_disclaim(f->dev, 4 * tib);
}

static void small_pages_are_warned_of_once(void **state)
{
	struct vhost_wire_region r = region(0, PAGE, 0);
	int fd = memory_file(PAGE);
	struct fake *f = *state;

	assert_false(f->dev->warned_pages);
	assert_int_equal(fake_table(f, &r, &fd, 1), 0);
	assert_true(f->dev->warned_pages);
	fake_disconnect(f);
	assert_false(f->dev->warned_pages);
	fake_connect(f);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_table_is_replaced_under_a_running_ring),
	    TEST(a_table_that_grows_stops_nobody),
	    TEST(the_same_table_again_changes_nothing),
	    TEST(a_bad_table_leaves_the_old_one),
	    TEST(the_number_of_regions_must_match),
	    TEST(regions_lie_inside_their_file),
	    TEST(offsets_need_no_alignment),
	    TEST(only_writable_files_are_mapped),
	    TEST(regions_do_not_overlap),
	    TEST(a_ring_goes_with_its_memory_and_comes_back),
	    TEST(a_ring_does_not_straddle_regions),
	    TEST(all_slots_can_be_filled_and_emptied),
	    TEST(removing_needs_the_exact_place),
	    TEST(the_short_form_of_old_front_ends_is_understood),
	    TEST(nothing_is_left_behind),
	    TEST(huge_pages_are_mapped_as_such),
	    TEST(a_port_maps_4_tib_at_most),
	    TEST(small_pages_are_warned_of_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
