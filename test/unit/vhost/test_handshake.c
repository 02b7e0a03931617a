/* SPDX-License-Identifier: BSD-3-Clause */
/* A device says in words for what it waits, after each message of its front-end. */
#include "fake.h"

#include <unistd.h>

#include "vhost/handshake.h"

#define UADDR    UINT64_C(0x7f0000000000)
#define MEM_SIZE 0x100000
#define SPLIT    (VIRTIO_BIT(F_VERSION_1) | FAKE_BIT30)

static void assert_waits(const struct fake *f, const char *expected)
{
	struct vhost_awaited awaited = vhost_handshake_awaits(f->dev);
	char text[VHOST_AWAITED_TEXT];

	assert_string_equal(vhost_awaited_text(&awaited, text), expected);
}

static void tell_memory(struct fake *f, uint64_t size)
{
	struct vhost_wire_region region = {.size = size, .uaddr = UADDR};
	int fd = memory_file(MEM_SIZE);

	assert_int_equal(fake_table(f, &region, &fd, 1), 0);
	close(fd);
}

static void tell_ring(struct fake *f, unsigned i)
{
	uint64_t area = UADDR + i * 0x3000ull;

	assert_int_equal(fake_vring(f, VHOST_USER_SET_VRING_NUM, i, 64), 0);
	assert_waits(f, i == 1 ? "waiting for SET_VRING_ADDR of ring 1" : "running");
	assert_int_equal(fake_addr(f, i, area, area + 0x1000, area + 0x2000), 0);
	assert_waits(f, i == 1 ? "waiting for SET_VRING_KICK of ring 1" : "running");
	assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_KICK, i | VHOST_VRING_NOFD, -1), 0);
}

static void the_next_message_is_named(void **state)
{
	struct fake *f = *state;

	fake_negotiate(f);
	assert_waits(f, "waiting for SET_FEATURES");
	assert_int_equal(fake_u64(f, VHOST_USER_SET_FEATURES, SPLIT), 0);
	assert_waits(f, "waiting for SET_MEM_TABLE");
	tell_memory(f, MEM_SIZE);
	assert_waits(f, "waiting for SET_VRING_NUM of ring 0");
	tell_ring(f, 1);
	assert_waits(f, "waiting for SET_VRING_ENABLE");
	assert_int_equal(fake_vring(f, VHOST_USER_SET_VRING_ENABLE, 1, 1), 0);
	assert_waits(f, "running");
	tell_ring(f, 0);
	assert_waits(f, "running");
}

static void a_ring_outside_of_the_memory_cannot_run(void **state)
{
	struct fake *f = *state;

	fake_negotiate(f);
	assert_int_equal(fake_u64(f, VHOST_USER_SET_FEATURES, SPLIT), 0);
	tell_memory(f, 0x1000);
	tell_ring(f, 1);
	assert_waits(f, "ring 1 cannot run with what it was told");
	tell_memory(f, MEM_SIZE);
	assert_waits(f, "waiting for SET_VRING_ENABLE");
}

static void awaited_things_are_compared(void **state)
{
	struct vhost_awaited first = {.what = VHOST_AWAITS_FIRST};
	struct vhost_awaited a = {VHOST_AWAITS_MESSAGE, VHOST_USER_SET_VRING_NUM, 1}, b = a;
	char text[VHOST_AWAITED_TEXT];

	(void)state;
	assert_string_equal(vhost_awaited_text(&first, text), "waiting for its first message");
	assert_true(vhost_awaited_equal(&a, &b));
	b.ring = 2;
	assert_false(vhost_awaited_equal(&a, &b));
	assert_false(vhost_awaited_equal(&a, &first));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(the_next_message_is_named, fake_setup, fake_teardown),
	    cmocka_unit_test_setup_teardown(
		a_ring_outside_of_the_memory_cannot_run, fake_setup, fake_teardown),
	    cmocka_unit_test(awaited_things_are_compared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
