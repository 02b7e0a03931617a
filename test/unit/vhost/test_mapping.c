/* SPDX-License-Identifier: BSD-3-Clause */
/* How mappings are unmapped, and when a front-end has to wait for this. The kernel unmaps nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../emulated.h"
#include "base/closer.h"
#include "base/errand.h"
#include "fake.h"
#include "vhost/limits.h"
#include "vhost/mapping.h"

#define MIB      (UINT64_C(1) << 20)
#define LARGE    (32 * MIB)
#define STEP_MIN (16 * MIB)
#define STEP_MAX (128 * MIB)
#define BASE     (UINT64_C(1) << 46) /* addresses that this process does not use */

/* What the kernel does. Only calls for addresses from BASE on are counted. */
static struct {
	unsigned calls, delay_us;
	uint64_t quick;      /* bytes at the beginning for which no call takes long */
	unsigned large_slow; /* calls that took long and unmapped more than STEP_MIN */
	bool pages_are_large;
	uint64_t most, sum;
} kernel;

int __real_munmap(void *at, size_t len);
int __wrap_munmap(void *at, size_t len);

int __wrap_munmap(void *at, size_t len)
{
	if ((uintptr_t)at < BASE)
		return __real_munmap(at, len);
	kernel.calls++;
	if (kernel.pages_are_large && len == STEP_MIN) {
		errno = EINVAL;
		return -1;
	}
	if (kernel.delay_us && kernel.sum >= kernel.quick) {
		usleep(kernel.delay_us);
		kernel.large_slow += len > STEP_MIN;
	}
	kernel.most = len > kernel.most ? len : kernel.most;
	kernel.sum += len;
	return 0;
}

static void finish_errands(void)
{
	for (unsigned i = 0; errand_pending() > 0; i++) {
		assert_true(i < 20000);
		usleep(1000);
	}
}

static struct vhost_device port = {.owner = 5}, neighbour = {.owner = 6};

static void unmap(struct vhost_device *dev, uint64_t len)
{
	assert_int_equal(vhost_mapping_claim(dev, len), 0);
	vhost_mapping_release(dev, (void *)(uintptr_t)BASE, len);
}

static void unmap_alone(uint64_t len, unsigned delay_us, uint64_t quick)
{
	memset(&kernel, 0, sizeof(kernel));
	kernel.delay_us = delay_us;
	kernel.quick = quick;
	unmap(&port, len);
	finish_errands();
	assert_int_equal(kernel.sum, len);
	assert_int_equal(vhost_mapping_count(port.owner), 0);
}

static void steps_grow_where_no_page_was_used(void **state)
{
	(void)state;
	unmap_alone(65536 * MIB, 0, 0);
	assert_int_equal(kernel.most, STEP_MAX);
	/* If the machine takes the CPU away, a step seems slow, and the next one is small. */
	assert_in_range(kernel.calls, 65536 * MIB / STEP_MAX, 2 * 65536 * MIB / STEP_MAX);
}

static void steps_stay_small_where_pages_were_used(void **state)
{
	(void)state;
	unmap_alone(1024 * MIB, 300, 0);
	assert_int_equal(kernel.most, STEP_MIN);
	assert_int_equal(kernel.calls, 1024 * MIB / STEP_MIN);
}

static void a_step_that_took_long_is_the_last_large_one(void **state)
{
	(void)state;
	unmap_alone(9216 * MIB, 300, 8192 * MIB);
	assert_int_equal(kernel.most, STEP_MAX);
	assert_in_range(kernel.large_slow, 0, 1); /* 0 if the step before seemed slow, too */
}

static void large_pages_are_unmapped_at_once(void **state)
{
	(void)state;
	memset(&kernel, 0, sizeof(kernel));
	kernel.pages_are_large = true;
	unmap(&port, 1024 * MIB);
	finish_errands();
	assert_int_equal(kernel.sum, 1024 * MIB);
	assert_int_equal(kernel.calls, 2);
}

static _Atomic(unsigned) held;
static _Atomic(bool) may_go_on;

static void hold(void *arg)
{
	(void)arg;
	held++;
	while (!may_go_on)
		usleep(1000);
}

/* Let all threads of errands wait, so that nothing is unmapped until may_go_on. */
static void hold_errands(void)
{
	held = 0;
	may_go_on = false;
	memset(&kernel, 0, sizeof(kernel));
	for (unsigned i = 0; i < ERRAND_THREADS_MAX; i++)
		assert_int_equal(errand_run(hold, NULL), 0);
	for (unsigned i = 0; held < ERRAND_THREADS_MAX; i++) {
		assert_true(i < 20000);
		usleep(1000);
	}
}

static void only_the_port_itself_waits(void **state)
{
	(void)state;
	hold_errands();
	for (unsigned i = 0; i < VHOST_UNMAPPING_MAX; i++) {
		assert_false(vhost_mapping_flooded(&port));
		unmap(&port, LARGE);
	}
	assert_true(vhost_mapping_flooded(&port));
	assert_false(vhost_mapping_flooded(&neighbour));
	may_go_on = true;
	finish_errands();
	assert_false(vhost_mapping_flooded(&port));
	assert_int_equal(kernel.sum, VHOST_UNMAPPING_MAX * LARGE);
}

/* A device with a front-end, of which so many mappings wait that the next one has to wait. */
static void open_flooded(struct fake *f)
{
	fake_create(f);
	fake_connect(f);
	fake_negotiate(f);
	hold_errands();
	for (unsigned i = 0; i < VHOST_UNMAPPING_MAX; i++)
		unmap(f->dev, LARGE);
}

/* Send a region that is to be added. The caller closes its file. */
static int send_region(struct fake *f)
{
	struct vhost_wire_mem_region mem = {.region = {.gpa = 0, .size = 4096}};
	int fd = memory_file(4096);

	fake_send(f, VHOST_USER_ADD_MEM_REG, VHOST_NEED_REPLY, &mem, sizeof(mem), &fd, 1);
	return fd;
}

static void only_messages_about_memory_wait(void **state)
{
	struct vhost_header header;
	union vhost_payload reply;
	struct fake f;
	int fd;

	(void)state;
	open_flooded(&f);
	assert_true(fake_get(&f, VHOST_USER_GET_FEATURES) != 0);
	fd = send_region(&f);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fake_run(&f), SESSION_RESTS);
	assert_false(fake_reply(&f, &header, &reply));
	assert_int_equal(f.dev->holds, 1);
	may_go_on = true;
	finish_errands();
	assert_int_equal(fake_run(&f), LIVES);
	assert_true(fake_reply(&f, &header, &reply));
	assert_int_equal(reply.u64, 0);
	fake_destroy(&f);
	close(fd);
}

static void the_end_of_a_front_end_that_waits_is_noticed(void **state)
{
	struct fake f;
	int fd;

	(void)state;
	open_flooded(&f);
	fd = send_region(&f);
	assert_int_equal(fake_run(&f), SESSION_RESTS);
	close(f.peer);
	f.peer = -1;
	assert_int_equal(session_receive(f.session), -EPIPE);
	may_go_on = true;
	finish_errands();
	fake_destroy(&f);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(steps_grow_where_no_page_was_used),
	    cmocka_unit_test(steps_stay_small_where_pages_were_used),
	    cmocka_unit_test(a_step_that_took_long_is_the_last_large_one),
	    cmocka_unit_test(large_pages_are_unmapped_at_once),
	    cmocka_unit_test(only_the_port_itself_waits),
	    cmocka_unit_test(only_messages_about_memory_wait),
	    cmocka_unit_test(the_end_of_a_front_end_that_waits_is_noticed),
	};

	if (emulated())
		return not_tested_emulated();
	/* Without closers the control thread itself unmaps. */
	if (closer_start(NULL, NULL) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
