/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The steps of vhost_device_settle(), in their order. The linker replaces each step by a function
 * here that notes its name and calls the real one.
 */
#include "fake.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "vhost/call.h"
#include "vhost/inflight.h"
#include "vhost/iommu.h"
#include "vhost/journal.h"
#include "vhost/log.h"
#include "vhost/position.h"
#include "vhost/quiesce.h"
#include "vhost/ring.h"

#define UADDR    UINT64_C(0x7f0000000000)
#define MEM_SIZE 0x100000
#define RING     2
#define AREA(n)  (UADDR + (n)*0x1000ull)

static char steps[256];

static void step(const char *name)
{
	size_t n = strlen(steps);

	snprintf(steps + n, sizeof(steps) - n, "%s%s", n ? " " : "", name);
}

/* The names that the linker expects for its option --wrap. */
#define STEP(type, function, parameters, arguments, name) \
	type __real_##function parameters; \
	type __wrap_##function parameters; \
	type __wrap_##function parameters \
	{ \
		step(name); \
		return __real_##function arguments; \
	}

STEP(void, vhost_position_check,
    (struct vhost_device * dev, unsigned index, const struct vring_config *config),
    (dev, index, config), "position")
STEP(uint64_t *, vhost_journal_start,
    (struct vhost_device * dev, unsigned index, uint64_t desc, uint32_t size),
    (dev, index, desc, size), "journal")
STEP(void, vhost_inflight_start,
    (struct vhost_device * dev, unsigned index, struct vring_config *config, bool told),
    (dev, index, config, told), "inflight")
STEP(void, vhost_iommu_attach,
    (struct vhost_device * dev, unsigned index, struct vring_config *config), (dev, index, config),
    "iommu")
STEP(int, vring_start, (struct vring * vr, const struct vring_config *config), (vr, config),
    "vring_start")
STEP(void, vhost_iommu_ring_started, (struct vhost_device * dev, unsigned index), (dev, index),
    "look-ahead")
STEP(void, vhost_log_settle, (struct vhost_device * dev), (dev), "log")
STEP(void, vhost_device_resume, (struct vhost_device * dev), (dev), "resume")
STEP(int, vhost_call,
    (struct vhost_device * dev, unsigned index, enum vhost_call_kind kind, int fd),
    (dev, index, kind, fd), "call")

void __real_vhost_ring_pause(struct vhost_device *dev, unsigned index);
void __wrap_vhost_ring_pause(struct vhost_device *dev, unsigned index);
void __wrap_vhost_ring_pause(struct vhost_device *dev, unsigned index)
{
	if (dev->vring[index]->in_use)
		step("pause");
	__real_vhost_ring_pause(dev, index);
}

static int announce(struct vhost_device *dev, const uint8_t mac[6])
{
	(void)dev;
	(void)mac;
	step("announce");
	return 0;
}

static void forget_steps(void)
{
	steps[0] = '\0';
}

/*
 * Prepare a packed ring completely, but do not start it. A call and an announcement wait until it
 * is started.
 */
static void prepare(struct fake *f, struct vhost_device_type *type)
{
	struct vhost_wire_region region = {.gpa = 0, .size = MEM_SIZE, .uaddr = UADDR};
	int mem_fd = memory_file(MEM_SIZE), call_fd = event_file();

	*type = fake_type;
	type->announce = announce;
	f->dev->type = type;
	fake_negotiate(f);
	assert_int_equal(fake_u64(f, VHOST_USER_SET_FEATURES,
			     VIRTIO_BIT(F_VERSION_1) | VIRTIO_BIT(F_RING_PACKED) | FAKE_BIT30),
	    0);
	assert_int_equal(fake_table(f, &region, &mem_fd, 1), 0);
	assert_int_equal(fake_vring(f, VHOST_USER_SET_VRING_NUM, RING, 64), 0);
	assert_int_equal(fake_addr(f, RING, AREA(0), AREA(1), AREA(2)), 0);
	assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_CALL, RING, call_fd), 0);
	close(mem_fd);
	close(call_fd);
	f->dev->state.announce_pending = true;
	forget_steps();
}

static void a_ring_starts_and_restarts_and_stops_in_this_order(void **state)
{
	static struct vhost_device_type type;
	struct fake *f = *state;

	prepare(f, &type);
	assert_int_equal(
	    fake_notifier(f, VHOST_USER_SET_VRING_KICK, RING | VHOST_VRING_NOFD, -1), 0);
	assert_string_equal(steps,
	    "position journal inflight iommu vring_start look-ahead log resume announce call");

	/* The position was not told anew, and no call was lost, so these steps are left out. */
	forget_steps();
	f->dev->state.vring[RING].desc = AREA(3);
	vhost_device_settle(f->dev);
	assert_string_equal(
	    steps, "pause journal inflight iommu vring_start look-ahead log resume");

	forget_steps();
	vhost_device_settle(f->dev);
	assert_string_equal(steps, "log resume"); /* neither of them does anything */

	forget_steps();
	f->dev->state.vring[RING].started = false;
	vhost_device_settle(f->dev);
	assert_string_equal(steps, "pause log resume");
	assert_false(f->running);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		a_ring_starts_and_restarts_and_stops_in_this_order, fake_setup, fake_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
