/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver that asked for a call gets it. This is so even if many chains were completed before the
 * device asked again whether the driver wants a call: meanwhile the driver may have gone around the
 * whole ring and fallen asleep.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "virtio/vring.h"

#define SIZE 256
#define GPA  UINT64_C(0x10000)
#define PAGE 4096

static struct lab {
	uint8_t memory[16 * PAGE];
	struct guest_memory *guest;
	struct vring ring;
	struct vring_position position;
	struct vring_batch batch;
	uint32_t offered, used; /* in total: offered by the driver, returned to it */
	bool packed;
} lab __attribute__((aligned(PAGE)));

static void open_ring(bool packed)
{
	struct guest_region r = {
	    .gpa = GPA, .size = sizeof(lab.memory), .uaddr = GPA, .host = lab.memory};
	struct vring_config c = {
	    .direction = VRING_RECEIVE,
	    .features = VIRTIO_BIT(F_VERSION_1) | VIRTIO_BIT(F_EVENT_IDX) |
		(packed ? VIRTIO_BIT(F_RING_PACKED) : 0),
	    .size = SIZE,
	    .desc = lab.memory,
	    .driver = lab.memory + 4 * PAGE,
	    .device = lab.memory + 8 * PAGE,
	    .position = &lab.position,
	};

	memset(&lab, 0, sizeof(lab));
	lab.packed = packed;
	lab.position = vring_position_initial(packed);
	assert_int_equal(guest_memory_create(&r, 1, &lab.guest), 0);
	c.memory = lab.guest;
	assert_int_equal(vring_start(&lab.ring, &c), 0);
}

static void close_ring(void)
{
	guest_memory_destroy(lab.guest);
}

static void offer_packed(void)
{
	struct vring_packed_desc *desc = (struct vring_packed_desc *)lab.memory;
	bool wrap = lab.offered / SIZE % 2 == 0;

	desc[lab.offered % SIZE] = (struct vring_packed_desc){.addr = GPA + 12 * PAGE,
	    .len = 64,
	    .id = lab.offered % SIZE,
	    .flags = VRING_DESC_F_WRITE | (wrap ? VRING_DESC_F_AVAIL : VRING_DESC_F_USED)};
}

static void offer_split(void)
{
	struct vring_split_desc *desc = (struct vring_split_desc *)lab.memory;
	struct vring_split_avail *avail = (struct vring_split_avail *)(lab.memory + 4 * PAGE);

	desc[lab.offered % SIZE] = (struct vring_split_desc){
	    .addr = GPA + 12 * PAGE, .len = 64, .flags = VRING_DESC_F_WRITE};
	avail->ring[lab.offered % SIZE] = lab.offered % SIZE;
	avail->idx = lab.offered + 1;
}

/* The driver gives n more buffers, and the device uses them all. */
static void complete(unsigned n)
{
	for (unsigned i = 0; i < n; i++, lab.offered++)
		lab.packed ? offer_packed() : offer_split();
	lab.batch.n = lab.batch.n_segments = 0;
	assert_int_equal(vring_fetch(&lab.ring, &lab.batch, n), n);
	for (unsigned i = 0; i < n; i++)
		lab.batch.chain[i].written = 1;
	vring_complete(&lab.ring, &lab.batch);
	lab.used += n;
}

/* The driver has seen `used` buffers so far, and wants a call when there is one more. */
static void sleep_after(uint32_t used)
{
	struct vring_packed_event *event = (struct vring_packed_event *)(lab.memory + 4 * PAGE);
	struct vring_split_avail *avail = (struct vring_split_avail *)(lab.memory + 4 * PAGE);

	if (lab.packed)
		*event = (struct vring_packed_event){
		    .off_wrap = used % SIZE | (used / SIZE % 2 == 0 ? 0x8000 : 0),
		    .flags = VRING_PACKED_EVENT_DESC};
	else
		avail->ring[SIZE] = used;
}

static void a_call_is_made_when_the_event_was_passed(bool packed)
{
	open_ring(packed);
	complete(1);
	assert_true(vring_call_needed(&lab.ring)); /* always after a start */
	assert_false(vring_call_needed(&lab.ring));
	for (unsigned i = 0; i < 1000; i++) {
		unsigned n = 1 + i % 7;

		sleep_after(lab.used);
		complete(n);
		assert_true(vring_call_needed(&lab.ring));
		sleep_after(lab.used + n);
		complete(n);
		assert_false(vring_call_needed(&lab.ring));
		/* The driver's event lies before the last question, so it needs no call. */
		sleep_after(lab.used - 1);
		complete(n);
		assert_false(vring_call_needed(&lab.ring));
	}
	close_ring();
}

/*
 * Complete `before` chains while the driver is awake, and `after` chains while it sleeps. The
 * device does not ask in between whether the driver wants a call.
 */
static void sleeper(bool packed, unsigned start, unsigned before, unsigned after)
{
	open_ring(packed);
	complete(1);
	vring_call_needed(&lab.ring);
	while (lab.used < start)
		complete(1);
	vring_call_needed(&lab.ring);
	for (unsigned done = 0; done < before; done += MIN(before - done, 200u))
		complete(MIN(before - done, 200u));
	sleep_after(lab.used);
	complete(after);
	assert_true(vring_call_needed(&lab.ring));
	assert_false(vring_call_needed(&lab.ring));
	close_ring();
}

static void a_lap_between_two_questions_hides_no_sleeper(bool packed)
{
	static const unsigned start[] = {1, 100, 255, 256, 300, 511};
	static const unsigned before[] = {
	    1, 36, 200, 220, 255, 256, 257, 400, 512, 65000, 65535, 65536};
	static const unsigned after[] = {1, 100, 220, 256};

	for (unsigned i = 0; i < ARRAY_SIZE(start) * ARRAY_SIZE(before) * ARRAY_SIZE(after); i++)
		sleeper(packed, start[i % ARRAY_SIZE(start)],
		    before[i / ARRAY_SIZE(start) % ARRAY_SIZE(before)],
		    after[i / ARRAY_SIZE(start) / ARRAY_SIZE(before)]);
}

static void split_events(void **state)
{
	(void)state;
	a_call_is_made_when_the_event_was_passed(false);
	a_lap_between_two_questions_hides_no_sleeper(false);
}

static void packed_events(void **state)
{
	(void)state;
	a_call_is_made_when_the_event_was_passed(true);
	a_lap_between_two_questions_hides_no_sleeper(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(split_events),
	    cmocka_unit_test(packed_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
