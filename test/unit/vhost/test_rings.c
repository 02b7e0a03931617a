/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of rings: order of messages, started and enabled, bases, notifiers, limits. */
#include "fake.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "vhost/rate.h"
#include "virtio/vring.h"

#define UADDR    UINT64_C(0x7f0000000000)
#define MEM_SIZE 0x100000

/* The areas of ring i, a page each. */
#define DESC(i)  (UADDR + (i)*0x3000)
#define AVAIL(i) (DESC(i) + 0x1000)
#define USED(i)  (DESC(i) + 0x2000)

#define SPLIT  (VIRTIO_BIT(F_VERSION_1) | FAKE_BIT30)
#define PACKED (SPLIT | VIRTIO_BIT(F_RING_PACKED))

/* Guest memory as the driver sees it. */
static int mem_fd;
static uint8_t *mem;

static void tell_memory(struct fake *f)
{
	struct vhost_wire_region region = {.gpa = 0, .size = MEM_SIZE, .uaddr = UADDR};

	assert_int_equal(fake_table(f, &region, &mem_fd, 1), 0);
}

static int rings_setup(void **state)
{
	mem_fd = memory_file(MEM_SIZE);
	mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, mem_fd, 0);
	assert_ptr_not_equal(mem, MAP_FAILED);
	fake_setup(state);
	fake_negotiate(*state);
	return 0;
}

static int rings_setup_simple(void **state)
{
	mem_fd = memory_file(MEM_SIZE);
	mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, mem_fd, 0);
	assert_ptr_not_equal(mem, MAP_FAILED);
	fake_setup_simple(state);
	fake_negotiate(*state);
	return 0;
}

static int rings_teardown(void **state)
{
	munmap(mem, MEM_SIZE);
	fake_teardown(state);
	return close(mem_fd);
}

static bool active(const struct fake *f, unsigned i)
{
	return f->dev->vring[i] && f->dev->vring[i]->active;
}

static void tell_num(struct fake *f, unsigned i, uint32_t num)
{
	assert_int_equal(fake_vring(f, VHOST_USER_SET_VRING_NUM, i, num), 0);
}

static void tell_base(struct fake *f, unsigned i, uint32_t base)
{
	assert_int_equal(fake_vring(f, VHOST_USER_SET_VRING_BASE, i, base), 0);
}

static void tell_addr(struct fake *f, unsigned i)
{
	assert_int_equal(fake_addr(f, i, DESC(i), AVAIL(i), USED(i)), 0);
}

static void tell_kick(struct fake *f, unsigned i)
{
	assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_KICK, i | VHOST_VRING_NOFD, -1), 0);
}

static void tell_enable(struct fake *f, unsigned i, uint32_t enable)
{
	assert_int_equal(fake_vring(f, VHOST_USER_SET_VRING_ENABLE, i, enable), 0);
}

static void tell_features(struct fake *f, uint64_t features)
{
	assert_int_equal(fake_u64(f, VHOST_USER_SET_FEATURES, features), 0);
}

/* Write ring i, of 64 entries, so that driver and device are at this position, in either format. */
static void show(unsigned i, uint16_t at, bool wrap)
{
	struct vring_packed_desc *desc = (void *)(mem + (DESC(i) - UADDR));

	for (unsigned slot = 0; slot < 64; slot++) {
		bool used = slot < at ? wrap : !wrap;

		desc[slot].len = 1;
		desc[slot].flags = used ? VRING_DESC_F_AVAIL | VRING_DESC_F_USED : 0;
	}
	((struct vring_split_avail *)(void *)(mem + (AVAIL(i) - UADDR)))->idx = at;
	((struct vring_split_used *)(void *)(mem + (USED(i) - UADDR)))->idx = at;
}

/* Write the indices of a split ring. */
static void show_indices(unsigned i, uint16_t avail, uint16_t used)
{
	((struct vring_split_avail *)(void *)(mem + (AVAIL(i) - UADDR)))->idx = avail;
	((struct vring_split_used *)(void *)(mem + (USED(i) - UADDR)))->idx = used;
}

/* Everything a ring needs, in the usual order. */
static void start_ring(struct fake *f, unsigned i, uint32_t base)
{
	tell_num(f, i, 64);
	tell_base(f, i, base);
	tell_addr(f, i);
	tell_kick(f, i);
	assert_true(active(f, i));
	assert_true(f->running);
}

static void start_device(struct fake *f, uint64_t features)
{
	tell_features(f, features);
	tell_memory(f);
	start_ring(f, 0, 0);
	start_ring(f, 1, 0);
}

/* The kth of all orders of n things. */
static void permute(unsigned order[], unsigned n, unsigned k)
{
	for (unsigned i = 0; i < n; i++)
		order[i] = i;
	for (unsigned i = n; i > 1; i--) {
		unsigned j = k % i, t = order[i - 1];

		k /= i;
		order[i - 1] = order[j];
		order[j] = t;
	}
}

static void tell_step(struct fake *f, unsigned step, uint64_t features, uint32_t base)
{
	switch (step) {
	case 0:
		tell_num(f, 2, 64);
		break;
	case 1:
		tell_base(f, 2, base);
		break;
	case 2:
		tell_addr(f, 2);
		break;
	case 3:
		tell_kick(f, 2);
		break;
	case 4:
		tell_memory(f);
		break;
	case 5:
		tell_features(f, features);
		break;
	}
}

static void check_order(const unsigned order[6], uint64_t features)
{
	bool packed = features & VIRTIO_BIT(F_RING_PACKED);
	uint32_t base = packed ? 0x80118011 : 17;
	unsigned told = 0;
	struct fake f;

	show(2, 17, true);
	fake_create(&f);
	fake_connect(&f);
	fake_negotiate(&f);
	for (unsigned i = 0; i < 6; i++) {
		tell_step(&f, order[i], features, base);
		told |= 1u << order[i];
		/* The ring runs when everything except the base was told. */
		assert_int_equal(active(&f, 2), (told | 2) == 0x3f);
		assert_int_equal(f.running, active(&f, 2));
	}
	struct vring_position *at = &f.dev->state.vring[2].position;
	assert_ptr_equal(f.dev->vring[2]->ring.position, at);
	assert_int_equal(at->avail, 17);
	assert_int_equal(at->used, 17);
	assert_int_equal(at->avail_wrap, packed);
	assert_int_equal(at->used_wrap, packed);
	assert_int_equal(f.dev->vring[2]->ring.size, 64);
	assert_int_equal(fake_get_base(&f, 2), base);
	assert_false(active(&f, 2));
	fake_destroy(&f);
}

static void messages_may_come_in_any_order(void **state)
{
	unsigned order[6];

	(void)state;
	for (unsigned k = 0; k < 720; k++) {
		permute(order, 6, k);
		check_order(order, SPLIT);
		check_order(order, PACKED);
	}
}

static void a_ring_without_a_base_starts_at_the_beginning(void **state)
{
	struct fake *f = *state;

	tell_memory(f);
	tell_features(f, PACKED);
	tell_num(f, 0, 64);
	tell_addr(f, 0);
	tell_kick(f, 0);
	assert_true(active(f, 0));
	assert_int_equal(fake_get_base(f, 0), 0x80008000);
}

static void a_position_does_not_outlive_its_format(void **state)
{
	struct fake *f = *state;

	tell_features(f, SPLIT);
	tell_memory(f);
	show(0, 33, true);
	start_ring(f, 0, 33);
	assert_int_equal(fake_get_base(f, 0), 33);
	tell_features(f, PACKED);
	assert_int_equal(fake_get_base(f, 0), 0x80008000);
	/* A base that is told before the format changes is of the new format, so it stays. */
	tell_base(f, 0, 44);
	tell_features(f, SPLIT);
	assert_int_equal(fake_get_base(f, 0), 44);
}

static void a_ring_never_heard_of_has_a_base(void **state)
{
	struct fake *f = *state;

	assert_int_equal(fake_get_base(f, 5), 0);
	tell_features(f, PACKED);
	assert_int_equal(fake_get_base(f, 4), 0x80008000);
	assert_false(f->running);
}

/* With protocol features acknowledged or not, and with ENABLE before or after KICK. */
static void started_and_enabled_are_independent(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 8; k++) {
		bool acked = k & 1, enable_first = k & 2, enable = k & 4;
		struct fake f;

		fake_create(&f);
		fake_connect(&f);
		fake_negotiate(&f);
		tell_features(&f, acked ? SPLIT : SPLIT & ~FAKE_BIT30);
		tell_memory(&f);
		if (enable_first)
			tell_enable(&f, 1, enable);
		start_ring(&f, 1, 0);
		/* If bit 30 was not acknowledged, the ring is enabled from the beginning. */
		assert_int_equal(f.dev->vring[1]->enabled, enable_first ? enable : !acked);
		assert_int_equal(f.dev->state.vring[3].enabled, !acked);
		if (!enable_first)
			tell_enable(&f, 1, enable);
		assert_int_equal(f.dev->vring[1]->enabled, enable);
		assert_true(active(&f, 1));
		assert_true(f.running);
		fake_destroy(&f);
	}
}

static void rings_told_before_legacy_features_are_enabled_by_them(void **state)
{
	struct fake *f = *state;

	tell_memory(f);
	tell_num(f, 1, 64);
	tell_addr(f, 1);
	tell_kick(f, 1);
	tell_features(f, SPLIT & ~FAKE_BIT30);
	assert_true(active(f, 1));
	assert_true(f->dev->vring[1]->enabled);
}

static void workers_learn_of_enable_without_a_pause(void **state)
{
	struct fake *f = *state;

	start_device(f, SPLIT);
	for (uint32_t enable = 1; enable < 5; enable++) {
		unsigned pauses = f->pauses + f->ring_pauses, resumes = f->resumes;

		tell_enable(f, 1, enable % 2);
		tell_enable(f, 1, enable % 2);
		assert_int_equal(f->pauses + f->ring_pauses, pauses);
		assert_int_equal(f->resumes, resumes + 1);
	}
}

static void workers_of_a_simple_device_learn_of_enable_by_a_pause(void **state)
{
	struct fake *f = *state;

	start_device(f, SPLIT);
	for (uint32_t enable = 1; enable < 5; enable++) {
		unsigned pauses = f->pauses, resumes = f->resumes;

		tell_enable(f, 1, enable % 2);
		tell_enable(f, 1, enable % 2);
		assert_int_equal(f->pauses, pauses + 1);
		assert_int_equal(f->resumes, resumes + 1);
	}
}

static void who_disturbs_workers_all_the_time_has_to_rest(void **state)
{
	const unsigned more = 10 * RATE_PER_S;
	struct fake *f = *state;
	int error = LIVES;
	int64_t last = clock_ns();
	uint64_t held;
	unsigned n;

	start_device(f, SPLIT);
	for (n = 0; !error && n < 2 * RATE_BURST; n++) {
		struct vhost_wire_vring_state wire = {1, n % 2};
		uint64_t holds = f->dev->holds;
		int64_t now = clock_ns();

		/* No time passes for the rate, however slow the machine is. */
		f->dev->rate.until_ns += now - last;
		last = now;
		fake_send(f, VHOST_USER_SET_VRING_ENABLE, 0, &wire, sizeof(wire), NULL, 0);
		error = fake_run(f);
		assert_in_range(f->dev->holds - holds, 0, 1);
	}
	assert_int_equal(error, SESSION_RESTS);
	assert_in_range(n, RATE_BURST - 100, 2 * RATE_BURST - 1);
	/* On a slow machine the wait of a message may be over before the test sees it. */
	assert_true(f->dev->holds >= 1);
	held = f->dev->holds;
	/*
	 * If a message comes meanwhile, it waits. The test adds ten seconds to the wait, so that
	 * the wait cannot end too early on a busy machine.
	 */
	rate_add(&f->dev->rate, more, clock_ns());
	fake_send(f, VHOST_USER_SET_OWNER, 0, NULL, 0, NULL, 0);
	assert_int_equal(fake_run(f), SESSION_RESTS);
	assert_int_equal(f->dev->holds, held);
	f->dev->rate.until_ns -= more * RATE_PERIOD_NS;
	usleep(2 * SESSION_REST_MS * 1000);
	assert_int_equal(fake_run(f), LIVES);
	assert_true(f->running);
	/* The wait does not end with the connection. */
	rate_add(&f->dev->rate, RATE_BURST + more, clock_ns());
	fake_disconnect(f);
	fake_connect(f);
	fake_send(f, VHOST_USER_SET_OWNER, 0, NULL, 0, NULL, 0);
	assert_int_equal(fake_run(f), SESSION_RESTS);
	assert_false(f->dev->state.owned);
}

static void enable_takes_0_and_1(void **state)
{
	struct fake *f = *state;

	assert_int_equal(fake_vring(f, VHOST_USER_SET_VRING_ENABLE, 0, 1), 0);
	assert_int_equal(fake_vring(f, VHOST_USER_SET_VRING_ENABLE, 0, 2), 1);
	assert_true(f->dev->state.vring[0].enabled);
}

/* Send the messages with which a migration begins, with and without bit 30. */
static void toggling_the_log_disturbs_nobody(void **state)
{
	static const uint64_t features[] = {SPLIT, SPLIT & ~FAKE_BIT30, PACKED};

	(void)state;
	for (unsigned k = 0; k < ARRAY_SIZE(features); k++) {
		struct fake f;

		fake_create(&f);
		fake_connect(&f);
		fake_negotiate(&f);
		start_device(&f, features[k]);
		tell_enable(&f, 0, 0);
		tell_enable(&f, 1, 1);
		unsigned pauses = f.pauses;
		for (unsigned i = 0; i < 10; i++) {
			tell_features(&f, features[k] | (i % 2 ? 0 : VIRTIO_BIT(VHOST_F_LOG_ALL)));
			tell_addr(&f, 0);
			tell_addr(&f, 1);
		}
		assert_int_equal(f.pauses, pauses);
		assert_false(f.dev->vring[0]->enabled);
		assert_true(f.dev->vring[1]->enabled);
		assert_true(active(&f, 0) && active(&f, 1));
		fake_destroy(&f);
	}
}

static void features_that_matter_reach_running_rings(void **state)
{
	struct fake *f = *state;

	start_device(f, SPLIT);
	unsigned pauses = f->pauses;
	assert_false(f->dev->vring[0]->ring.event_idx);
	tell_features(f, SPLIT | VIRTIO_BIT(F_EVENT_IDX));
	assert_true(f->dev->vring[0]->ring.event_idx);
	assert_int_equal(f->pauses, pauses + 1);
	assert_true(f->running);
}

static void get_vring_base_stops_that_ring_only(void **state)
{
	struct fake *f = *state;
	unsigned pauses;

	start_device(f, SPLIT);
	tell_enable(f, 0, 1);
	pauses = f->pauses;
	f->dev->state.vring[0].position = (struct vring_position){.avail = 0xfff0, .used = 0xfff0};
	assert_int_equal(fake_get_base(f, 0), 0xfff0);
	assert_false(active(f, 0));
	assert_true(active(f, 1));
	assert_true(f->running);
	if (f->dev->type->pause_ring) {
		assert_int_equal(f->pauses, pauses);
		assert_false(f->uses[0]);
		assert_true(f->uses[1]);
	}
	/* The same answer again. `enabled` does not change. */
	assert_int_equal(fake_get_base(f, 0), 0xfff0);
	assert_true(f->dev->state.vring[0].enabled);
	assert_int_equal(fake_get_base(f, 1), 0);
	assert_false(f->running);
	assert_int_equal(fake_get_base(f, 0), 0xfff0);
	/* The ring is started again without a base: it continues at its position. */
	tell_kick(f, 0);
	assert_true(active(f, 0));
	assert_int_equal(f->dev->state.vring[0].position.avail, 0xfff0);
	assert_true(f->dev->vring[0]->enabled);
}

static void get_vring_base_closes_the_notifiers(void **state)
{
	struct fake *f = *state;
	int event = event_file();

	start_device(f, SPLIT);
	unsigned before = count_fds();
	assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_KICK, 0, event), 0);
	assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_CALL, 0, event), 0);
	assert_int_equal(count_fds(), before + 2);
	fake_get_base(f, 0);
	assert_int_equal(count_fds(), before);
	assert_int_equal(f->dev->vring[0]->call_fd, -1);
	close(event);
}

static void a_packed_base_has_two_halves_of_which_the_lower_counts(void **state)
{
	static const uint32_t told[][2] = {
	    {0x80008000, 0x80008000}, /* fresh */
	    {0x00008000, 0x80008000}, /* upper half left out */
	    {0x00050005, 0x00050005}, /* wrapped */
	    {0x80078005, 0x80058005}, /* halves differ */
	};
	struct fake *f = *state;

	tell_features(f, PACKED);
	tell_memory(f);
	for (unsigned i = 0; i < ARRAY_SIZE(told); i++) {
		show(0, told[i][1] & 0x7fff, told[i][1] & 0x8000);
		tell_base(f, 0, told[i][0]);
		assert_int_equal(fake_get_base(f, 0), told[i][1]);
		start_ring(f, 0, told[i][0]);
		assert_int_equal(fake_get_base(f, 0), told[i][1]);
	}
	start_ring(f, 0, 0x80008000);
	f->dev->state.vring[0].position =
	    (struct vring_position){.avail = 3, .used = 3, .avail_wrap = false, .used_wrap = false};
	assert_int_equal(fake_get_base(f, 0), 0x00030003);
}

static void a_base_outside_the_ring_keeps_it_from_running(void **state)
{
	struct fake *f = *state;

	tell_features(f, PACKED);
	tell_memory(f);
	tell_num(f, 0, 64);
	tell_base(f, 0, 0x80408040);
	tell_addr(f, 0);
	tell_kick(f, 0);
	assert_false(active(f, 0));
	tell_base(f, 0, 0x803f803f);
	assert_true(active(f, 0));
}

static void new_addresses_on_a_live_ring_keep_its_position(void **state)
{
	struct fake *f = *state;

	start_device(f, SPLIT);
	void *desc = (void *)(uintptr_t)f->dev->vring[0]->ring.split.desc;
	f->dev->state.vring[0].position = (struct vring_position){.avail = 77, .used = 77};
	assert_int_equal(fake_addr(f, 0, DESC(7), AVAIL(7), USED(7)), 0);
	assert_true(active(f, 0));
	assert_ptr_equal(f->dev->vring[0]->ring.split.desc, (uint8_t *)desc + (DESC(7) - DESC(0)));
	assert_int_equal(f->dev->state.vring[0].position.avail, 77);
	/* Move an area to an address outside memory, and back. */
	assert_int_equal(fake_addr(f, 0, 0x1000, AVAIL(7), USED(7)), 0);
	assert_false(active(f, 0));
	assert_true(active(f, 1) && f->running);
	tell_addr(f, 0);
	assert_true(active(f, 0));
	assert_int_equal(f->dev->state.vring[0].position.avail, 77);
}

static void ring_sizes_follow_the_format(void **state)
{
	struct fake *f = *state;

	tell_features(f, SPLIT);
	tell_memory(f);
	start_ring(f, 0, 0);
	assert_int_equal(fake_vring(f, VHOST_USER_SET_VRING_NUM, 0, 0), 1);
	assert_int_equal(fake_vring(f, VHOST_USER_SET_VRING_NUM, 0, 32769), 1);
	assert_int_equal(fake_vring(f, VHOST_USER_SET_VRING_NUM, 0, 0x10040), 1);
	assert_true(active(f, 0));
	tell_num(f, 0, 100);
	assert_false(active(f, 0));
	tell_features(f, PACKED);
	assert_true(active(f, 0));
	assert_int_equal(f->dev->vring[0]->ring.size, 100);
	tell_features(f, SPLIT);
	assert_false(active(f, 0));
	tell_num(f, 0, 128);
	assert_true(active(f, 0));
}

static void misaligned_areas_keep_a_ring_from_running(void **state)
{
	struct fake *f = *state;

	start_device(f, SPLIT);
	assert_int_equal(fake_addr(f, 0, DESC(0) + 8, AVAIL(0), USED(0)), 0);
	assert_false(active(f, 0));
	assert_int_equal(fake_addr(f, 0, DESC(0) + 16, AVAIL(0) + 2, USED(0) + 4), 0);
	assert_true(active(f, 0));
}

/* Each area ends exactly with the memory, or one byte behind it. */
static void ring_areas_lie_wholly_in_memory(void **state)
{
	const uint64_t end = UADDR + MEM_SIZE;
	struct fake *f = *state;
	struct vring_layout layout = vring_layout(64, false);

	start_device(f, SPLIT);
	assert_int_equal(fake_addr(f, 0, end - 1024, AVAIL(0), USED(0)), 0);
	assert_true(active(f, 0));
	assert_int_equal(fake_addr(f, 0, end - 1024 + 16, AVAIL(0), USED(0)), 0);
	assert_false(active(f, 0));
	uint64_t avail = (end - layout.driver) & ~UINT64_C(1);
	assert_int_equal(fake_addr(f, 0, DESC(0), avail, USED(0)), 0);
	assert_true(active(f, 0));
	assert_int_equal(fake_addr(f, 0, DESC(0), avail + 2, USED(0)), 0);
	assert_false(active(f, 0));
	uint64_t used = (end - layout.device) & ~UINT64_C(3);
	assert_int_equal(fake_addr(f, 0, DESC(0), AVAIL(0), used), 0);
	assert_true(active(f, 0));
	assert_int_equal(fake_addr(f, 0, DESC(0), AVAIL(0), used + 4), 0);
	assert_false(active(f, 0));
	assert_int_equal(fake_addr(f, 0, UINT64_MAX - 15, AVAIL(0), USED(0)), 0);
	assert_false(active(f, 0));
	assert_int_equal(fake_addr(f, 0, UADDR - 16, AVAIL(0), USED(0)), 0);
	assert_false(active(f, 0));
}

static void ring_numbers_are_checked_in_all_their_bits(void **state)
{
	static const uint32_t bad[] = {
	    FAKE_RINGS, 255, 256, 0x10000, 0x10001, 0x7fffffff, 0x80000000, 0xffffffff};
	static const uint32_t requests[] = {
	    VHOST_USER_SET_VRING_NUM, VHOST_USER_SET_VRING_BASE, VHOST_USER_SET_VRING_ENABLE};
	struct fake *f = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		for (unsigned k = 0; k < ARRAY_SIZE(requests); k++)
			assert_int_equal(fake_vring(f, requests[k], bad[i], 1), 1);
		assert_int_equal(fake_addr(f, bad[i], 0, 0, 0), 1);
	}
	for (unsigned index = FAKE_RINGS; index < 256; index++) {
		for (uint32_t r = VHOST_USER_SET_VRING_KICK; r <= VHOST_USER_SET_VRING_ERR; r++) {
			assert_int_equal(fake_notifier(f, r, index, STDERR_FILENO), 1);
			assert_int_equal(fake_notifier(f, r, index | VHOST_VRING_NOFD, -1), 1);
		}
	}
	assert_int_equal(f->dev->n_vrings, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct vhost_wire_vring_state get = {bad[i], 0};

		fake_send(f, VHOST_USER_GET_VRING_BASE, 0, &get, sizeof(get), NULL, 0);
		assert_true(fake_run(f) < 0);
		fake_disconnect(f);
		fake_connect(f);
	}
}

static void a_running_ring_sees_what_the_driver_writes(void **state)
{
	struct fake *f = *state;
	const uint16_t idx = 6;

	start_device(f, SPLIT);
	assert_false(vring_has_avail(&f->dev->vring[1]->ring));
	memcpy(mem + (AVAIL(1) - UADDR) + 2, &idx, sizeof(idx));
	assert_true(vring_has_avail(&f->dev->vring[1]->ring));
	/* If the front-end tells the avail index as base, chains that wait are still found. */
	fake_get_base(f, 1);
	start_ring(f, 1, idx);
	assert_true(vring_has_avail(&f->dev->vring[1]->ring));
}

/*
 * The indices of a ring that was not stopped, and the bases that different front-ends tell for such
 * a ring.
 */
static void a_split_ring_starts_at_its_used_index(void **state)
{
	static const struct {
		uint16_t avail, used, told;
	} cases[] = {
	    {345, 301, 345}, /* Cloud Hypervisor: the avail index */
	    {345, 301, 0},   /* DPDK's virtio-user: the beginning */
	    {64, 0, 64},     /* Cloud Hypervisor: a ring that was filled before DRIVER_OK */
	    {345, 301, 301}, /* QEMU: the used index, if it could not ask for the base */
	    {345, 345, 345}, /* QEMU: the base that it got, after a stop or a migration */
	    {0x10, 0xfff0, 0},
	};
	struct fake *f = *state;

	tell_features(f, SPLIT);
	tell_memory(f);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		show_indices(0, cases[i].avail, cases[i].used);
		start_ring(f, 0, cases[i].told);
		assert_int_equal(f->dev->state.vring[0].position.avail, cases[i].used);
		assert_int_equal(f->dev->state.vring[0].position.used, cases[i].used);
		assert_int_equal(fake_get_base(f, 0), cases[i].used);
	}
}

static void a_used_index_that_cannot_be_is_no_position(void **state)
{
	struct fake *f = *state;

	tell_features(f, SPLIT);
	tell_memory(f);
	show_indices(0, 10, 301); /* from the driver before this one */
	start_ring(f, 0, 0);
	assert_int_equal(f->dev->state.vring[0].position.avail, 0);
}

static void what_a_device_defers_is_not_seen_in_the_ring(void **state)
{
	struct fake *f = *state;
	struct vhost_device_type deferring = *f->dev->type;

	deferring.defers = true;
	f->dev->type = &deferring;
	tell_features(f, SPLIT);
	tell_memory(f);
	show_indices(0, 345, 301);
	start_ring(f, 0, 320);
	assert_int_equal(f->dev->state.vring[0].position.avail, 320);
	fake_disconnect(f);
	f->dev->type = &fake_type;
	fake_connect(f);
}

static void rings_of_an_arriving_guest_are_not_looked_at(void **state)
{
	struct fake *f = *state;

	tell_features(f, SPLIT);
	tell_memory(f);
	show_indices(0, 345, 301);
	f->dev->postcopy.registered = true;
	start_ring(f, 0, 345);
	assert_int_equal(f->dev->state.vring[0].position.avail, 345);
	f->dev->postcopy.registered = false;
}

static void a_packed_ring_shows_where_it_stands(void **state)
{
	static const struct {
		uint16_t at;
		bool wrap;
		uint32_t told;
	} cases[] = {
	    {17, true, 0x80008000},  /* an old position, because the base was not asked for */
	    {17, false, 0x80008000}, /* a lap later */
	    {17, true, 0x00008005},
	    {0, true, 0}, /* User Mode Linux: 0, also of a new ring */
	    {0, false, 0x80008000},
	};
	struct fake *f = *state;

	tell_features(f, PACKED);
	tell_memory(f);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t half = cases[i].at | (cases[i].wrap ? 0x8000u : 0);

		show(0, cases[i].at, cases[i].wrap);
		start_ring(f, 0, cases[i].told);
		assert_int_equal(fake_get_base(f, 0), half | half << 16);
		assert_int_equal(f->dev->complaints, 0);
	}
}

/* All slots are available, so nothing in the ring shows the device's position. */
static void a_packed_ring_that_does_not_show_it_is_complained_of(void **state)
{
	struct vring_packed_desc *desc = (void *)(mem + (DESC(0) - UADDR));
	struct fake *f = *state;

	tell_features(f, PACKED);
	tell_memory(f);
	for (unsigned slot = 0; slot < 64; slot++)
		desc[slot].flags = slot < 20 ? VRING_DESC_F_AVAIL : VRING_DESC_F_USED;
	start_ring(f, 0, 0x00140014);
	assert_int_equal(f->dev->complaints, 0);
	start_ring(f, 0, 0x80008000);
	assert_int_equal(fake_get_base(f, 0), 0x80008000);
	assert_int_equal(f->dev->complaints, 1);
}

static void holes_in_ring_numbers_are_fine(void **state)
{
	struct fake *f = *state;

	tell_features(f, SPLIT);
	tell_memory(f);
	start_ring(f, 5, 0);
	start_ring(f, 0, 0);
	assert_int_equal(f->dev->n_vrings, 6);
	assert_null(f->dev->vring[3]);
}

static void a_missing_notifier_is_refused_and_an_unwanted_one_closed(void **state)
{
	struct fake *f = *state;
	int event = event_file();

	for (uint32_t r = VHOST_USER_SET_VRING_KICK; r <= VHOST_USER_SET_VRING_ERR; r++) {
		unsigned before = count_fds();

		assert_int_equal(fake_notifier(f, r, 0, -1), 1);
		assert_int_equal(fake_notifier(f, r, 0, event), 0);
		assert_int_equal(count_fds(), before + 1);
		assert_int_equal(fake_notifier(f, r, 0, event), 0);
		assert_int_equal(count_fds(), before + 1);
		assert_int_equal(fake_notifier(f, r, 0 | VHOST_VRING_NOFD, event), 0);
		assert_int_equal(count_fds(), before);
	}
	assert_true(f->dev->state.vring[0].started);
	close(event);
}

/*
 * A ring starts with any kick descriptor. But a descriptor is not kept if it could block a worker
 * or raise a signal.
 */
static void notifiers_that_are_not_eventfds_are_not_kept(void **state)
{
	struct fake *f = *state;
	int pipes[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int directory = open("/", O_PATH | O_CLOEXEC);

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	start_device(f, SPLIT);
	const int fds[] = {pipes[0], pipes[1], null, directory, mem_fd, f->peer};
	unsigned before = count_fds();
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
		assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_KICK, 2, fds[i]), 0);
		assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_CALL, 2, fds[i]), 0);
		assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_ERR, 2, fds[i]), 0);
		assert_int_equal(count_fds(), before);
	}
	assert_true(f->dev->state.vring[2].started);
	assert_int_equal(f->dev->vring[2]->kick_fd, -1);
	close(pipes[0]);
	close(pipes[1]);
	close(null);
	close(directory);
}

static uint64_t calls(int event)
{
	uint64_t n = 0;

	return read(event, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static void a_start_makes_up_for_a_lost_call(void **state)
{
	struct fake *f = *state;
	int event = event_file(), other = event_file();

	tell_features(f, SPLIT);
	tell_memory(f);
	/* One ring gets its call eventfd before the start, another one after it. */
	assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_CALL, 0, event), 0);
	assert_int_equal(calls(event), 0);
	start_ring(f, 0, 0);
	assert_int_equal(calls(event), 1);
	start_ring(f, 1, 0);
	assert_int_equal(calls(event), 0);
	assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_CALL, 1, other), 0);
	assert_int_equal(calls(other), 1);
	close(event);
	close(other);
}

static void a_full_call_counter_does_not_block(void **state)
{
	struct fake *f = *state;
	int event = event_file();
	uint64_t full = UINT64_MAX - 1;

	assert_int_equal(write(event, &full, sizeof(full)), sizeof(full));
	assert_int_equal(fcntl(event, F_SETFL, 0), 0);
	tell_features(f, SPLIT);
	tell_memory(f);
	assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_CALL, 0, event), 0);
	start_ring(f, 0, 0);
	close(event);
}

static void a_new_call_stops_nothing(void **state)
{
	struct fake *f = *state;
	int event = event_file();

	start_device(f, SPLIT);
	unsigned resumes = f->resumes;
	for (unsigned i = 1; i < 5; i++) {
		bool none = i == 3;

		assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_CALL,
				     none ? VHOST_VRING_NOFD : 0, none ? -1 : event),
		    0);
		assert_int_equal(f->calls_set, i);
	}
	assert_int_equal(f->resumes, resumes);
	/* A call may have been lost with the old eventfd, so the new one is written. */
	eventfd_read(event, &(eventfd_t){0});
	assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_CALL, 0, event), 0);
	assert_int_equal(eventfd_read(event, &(eventfd_t){0}), 0);
	/* The type is not told about a ring that does not run yet. */
	assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_CALL, 2, event), 0);
	assert_int_equal(f->calls_set, 5);
	start_ring(f, 2, 0);
	assert_int_equal(f->resumes, resumes + 1);
	assert_int_equal(f->pauses + f->ring_pauses, 0);
	close(event);
}

static void a_ring_that_is_changed_is_paused_alone(void **state)
{
	struct fake *f = *state;

	start_device(f, SPLIT);
	tell_num(f, 0, 128);
	tell_kick(f, 0);
	assert_int_equal(f->ring_pauses, 2);
	assert_int_equal(f->pauses, 0);
	assert_true(f->uses[0] && f->uses[1]);
}

static void a_new_call_reaches_a_simple_device_only_while_paused(void **state)
{
	struct fake *f = *state;
	int event = event_file();

	start_device(f, SPLIT);
	unsigned pauses = f->pauses;
	assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_CALL, 0, event), 0);
	assert_int_equal(f->pauses, pauses + 1);
	assert_true(f->running);
	/* Changes of a ring that does not run yet cause no pause. */
	assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_CALL, 2, event), 0);
	tell_num(f, 2, 64);
	tell_addr(f, 2);
	tell_base(f, 2, 0);
	tell_enable(f, 2, 1);
	assert_int_equal(f->pauses, pauses + 1);
	tell_kick(f, 2);
	assert_int_equal(f->pauses, pauses + 2);
	close(event);
}

static void status_0_stops_rings_and_keeps_their_bases(void **state)
{
	struct fake *f = *state;

	start_device(f, PACKED);
	assert_int_equal(fake_u64(f, VHOST_USER_SET_STATUS, 0xf), 0);
	f->dev->state.vring[0].position =
	    (struct vring_position){.avail = 9, .used = 9, .avail_wrap = true, .used_wrap = true};
	assert_int_equal(fake_u64(f, VHOST_USER_SET_STATUS, 0), 0);
	assert_false(f->running);
	assert_false(active(f, 0));
	assert_int_equal(fake_get_base(f, 0), 0x80098009);
	assert_int_equal(fake_u64(f, VHOST_USER_SET_STATUS, 0), 0);
	assert_int_equal(fake_get_base(f, 0), 0x80098009);
}

static void reset_owner_disables_and_does_no_more(void **state)
{
	struct fake *f = *state;

	start_device(f, SPLIT);
	tell_enable(f, 1, 1);
	assert_int_equal(fake_ask(f, VHOST_USER_RESET_OWNER, NULL, 0, NULL, 0), 0);
	assert_true(active(f, 1));
	assert_false(f->dev->vring[1]->enabled);
	assert_int_equal(f->dev->state.features, SPLIT);
}

static void reset_device_forgets_features_and_keeps_the_connection(void **state)
{
	struct fake *f = *state;

	start_device(f, SPLIT);
	tell_enable(f, 1, 1);
	assert_int_equal(fake_ask(f, VHOST_USER_RESET_DEVICE, NULL, 0, NULL, 0), 0);
	assert_false(f->running);
	assert_false(f->dev->state.have_features);
	assert_false(f->dev->state.vring[1].enabled);
	tell_features(f, SPLIT);
	tell_kick(f, 1);
	assert_true(active(f, 1));
}

static void a_disconnect_forgets_everything(void **state)
{
	struct fake *f = *state;
	static const struct vhost_device_state blank;

	start_device(f, SPLIT);
	assert_int_equal(fake_vring(f, VHOST_USER_SET_VRING_ENABLE, 0, 2), 1);
	assert_int_equal(f->dev->complaints, 1);
	fake_disconnect(f);
	assert_int_equal(f->dev->complaints, 0);
	assert_false(vhost_device_active(f->dev));
	assert_memory_equal(&f->dev->state, &blank, sizeof(blank));
	assert_int_equal(f->dev->n_vrings, 0);
	fake_connect(f);
	fake_negotiate(f);
	start_device(f, PACKED);
}

/* Send a wrong message n times. Returns how often the log contains the text meanwhile. */
static unsigned times_logged(struct fake *f, unsigned n, const char *text)
{
	struct fake_log log;

	fake_log_begin(&log);
	for (unsigned i = 0; i < n; i++) {
		f->dev->limit = (struct log_limit){0}; /* no limit per second */
		assert_int_equal(fake_vring(f, VHOST_USER_SET_VRING_ENABLE, 0, 2), 1);
	}
	return fake_log_end(&log, text);
}

static void of_many_faults_in_a_connection_so_many_are_logged(void **state)
{
	struct fake *f = *state;

	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(times_logged(f, 31, "neither 0 nor 1"), 31);
		assert_int_equal(times_logged(f, 1, "no more are logged"), 1);
		f->dev->complaints = 31;
		assert_int_equal(times_logged(f, 5, "neither 0 nor 1"), 1);
		/* The faults of the next front-end are logged again. */
		fake_disconnect(f);
		fake_connect(f);
		fake_negotiate(f);
	}
}

#define TEST(name)   cmocka_unit_test_setup_teardown(name, rings_setup, rings_teardown)
#define SIMPLE(name) cmocka_unit_test_setup_teardown(name, rings_setup_simple, rings_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(messages_may_come_in_any_order),
	    TEST(a_ring_without_a_base_starts_at_the_beginning),
	    TEST(a_position_does_not_outlive_its_format),
	    TEST(a_ring_never_heard_of_has_a_base),
	    TEST(started_and_enabled_are_independent),
	    TEST(rings_told_before_legacy_features_are_enabled_by_them),
	    TEST(workers_learn_of_enable_without_a_pause),
	    SIMPLE(workers_of_a_simple_device_learn_of_enable_by_a_pause),
	    SIMPLE(get_vring_base_stops_that_ring_only),
	    TEST(a_new_call_stops_nothing),
	    TEST(a_ring_that_is_changed_is_paused_alone),
	    TEST(who_disturbs_workers_all_the_time_has_to_rest),
	    TEST(enable_takes_0_and_1),
	    TEST(toggling_the_log_disturbs_nobody),
	    TEST(features_that_matter_reach_running_rings),
	    TEST(get_vring_base_stops_that_ring_only),
	    TEST(get_vring_base_closes_the_notifiers),
	    TEST(a_packed_base_has_two_halves_of_which_the_lower_counts),
	    TEST(a_base_outside_the_ring_keeps_it_from_running),
	    TEST(new_addresses_on_a_live_ring_keep_its_position),
	    TEST(ring_sizes_follow_the_format),
	    TEST(misaligned_areas_keep_a_ring_from_running),
	    TEST(ring_areas_lie_wholly_in_memory),
	    TEST(ring_numbers_are_checked_in_all_their_bits),
	    TEST(a_running_ring_sees_what_the_driver_writes),
	    TEST(a_split_ring_starts_at_its_used_index),
	    TEST(a_used_index_that_cannot_be_is_no_position),
	    TEST(what_a_device_defers_is_not_seen_in_the_ring),
	    TEST(rings_of_an_arriving_guest_are_not_looked_at),
	    TEST(a_packed_ring_shows_where_it_stands),
	    TEST(a_packed_ring_that_does_not_show_it_is_complained_of),
	    TEST(holes_in_ring_numbers_are_fine),
	    TEST(a_missing_notifier_is_refused_and_an_unwanted_one_closed),
	    TEST(notifiers_that_are_not_eventfds_are_not_kept),
	    TEST(a_start_makes_up_for_a_lost_call),
	    TEST(a_full_call_counter_does_not_block),
	    SIMPLE(a_new_call_reaches_a_simple_device_only_while_paused),
	    TEST(status_0_stops_rings_and_keeps_their_bases),
	    TEST(reset_owner_disables_and_does_no_more),
	    TEST(reset_device_forgets_features_and_keeps_the_connection),
	    TEST(a_disconnect_forgets_everything),
	    TEST(of_many_faults_in_a_connection_so_many_are_logged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
