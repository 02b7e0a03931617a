/* SPDX-License-Identifier: BSD-3-Clause */
/* Postcopy: the front-end serves each missing page when it is touched. */
#include "fake.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../emulated.h"
#include "vhost/postcopy.h"

#define PAGE  4096
#define PAGES 16
#define UADDR UINT64_C(0x7f1200000000)
#define GPA   UINT64_C(0x100000)

/* The front-end's thread: it fills missing pages with their number. */
struct server {
	int uffd;
	uint8_t *base; /* where the device has the memory */
	pthread_t thread;
	atomic_bool stop;
	atomic_uint served;
	bool lazy; /* it fills no page */
};

static void *serve_main(void *arg)
{
	struct server *s = arg;
	struct pollfd p = {.fd = s->uffd, .events = POLLIN};

	while (!atomic_load(&s->stop)) {
		struct uffd_msg msg;
		uint8_t page[PAGE];

		if (poll(&p, 1, 10) != 1 || s->lazy ||
		    read(s->uffd, &msg, sizeof(msg)) != sizeof(msg))
			continue;
		uint64_t at = msg.arg.pagefault.address & ~(uint64_t)(PAGE - 1);
		struct uffdio_copy copy = {.dst = at, .src = (uintptr_t)page, .len = PAGE};

		memset(page, (int)((at - (uintptr_t)s->base) / PAGE) + 1, PAGE);
		atomic_fetch_add(&s->served, 1);
		if (ioctl(s->uffd, UFFDIO_COPY, &copy) < 0)
			abort();
	}
	return NULL;
}

/* POSTCOPY_ADVISE; the userfaultfd that comes with the reply. */
static int advise(struct fake *f)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct vhost_header header;
	struct iovec iov = {&header, sizeof(header)};
	struct msghdr mh = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control,
	    .msg_controllen = sizeof(control)};
	int fd;

	fake_send(f, VHOST_USER_POSTCOPY_ADVISE, 0, NULL, 0, NULL, 0);
	assert_int_equal(fake_run(f), LIVES);
	assert_int_equal(recvmsg(f->peer, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC), sizeof(header));
	assert_int_equal(header.flags, VHOST_REPLY_FLAGS);
	assert_int_equal(header.size, 0);
	assert_int_equal(mh.msg_controllen, CMSG_SPACE(sizeof(int)));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&mh)), sizeof(fd));
	return fd;
}

/*
 * Send all messages up to the point at which the server handles missing pages. The memory comes as
 * a table or as a slot.
 */
static void arrive(struct fake *f, struct server *s, bool by_slot)
{
	int file = memory_file(PAGES * PAGE);
	struct vhost_wire_region region = {.gpa = GPA, .size = PAGES * PAGE, .uaddr = UADDR};
	uint32_t request = by_slot ? VHOST_USER_ADD_MEM_REG : VHOST_USER_SET_MEM_TABLE;
	struct vhost_wire_mem_table table = {.n_regions = 1, .region = {region}};
	struct vhost_wire_mem_region slot = {.region = region};
	struct vhost_header header;
	union vhost_payload reply;
	uint64_t ready = 0;

	fake_negotiate(f);
	s->uffd = advise(f);
	assert_int_equal(fake_ask(f, VHOST_USER_POSTCOPY_LISTEN, NULL, 0, NULL, 0), 0);
	if (by_slot)
		fake_send(f, request, 0, &slot, sizeof(slot), &file, 1);
	else
		fake_send(f, request, 0, &table, 8 + sizeof(region), &file, 1);
	assert_int_equal(fake_run(f), LIVES);
	assert_true(fake_reply(f, &header, &reply));
	assert_int_equal(header.request, request);
	s->base =
	    (uint8_t *)(uintptr_t)(by_slot ? reply.mem.region.uaddr : reply.table.region[0].uaddr);
	assert_ptr_not_equal(s->base, (void *)(uintptr_t)UADDR);
	assert_non_null(s->base);
	assert_int_equal(fake_ask(f, request, &ready, sizeof(ready), NULL, 0), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, serve_main, s), 0);
	close(file);
}

static void leave(struct server *s)
{
	atomic_store(&s->stop, true);
	pthread_join(s->thread, NULL);
	close(s->uffd);
}

static void pages_come_when_they_are_touched(struct fake *f, bool by_slot)
{
	struct server s = {.lazy = false};
	volatile uint8_t *at;

	arrive(f, &s, by_slot);
	at = s.base;
	for (unsigned i = 0; i < PAGES; i += 3)
		assert_int_equal(at[i * PAGE + 5], i + 1);
	assert_int_equal(atomic_load(&s.served), (PAGES + 2) / 3);
	at[PAGE] = 99; /* a write needs the rest of the page, too */
	assert_int_equal(at[PAGE + 1], 2);
	fake_send(f, VHOST_USER_POSTCOPY_END, 0, NULL, 0, NULL, 0);
	assert_int_equal(fake_run(f), LIVES);
	struct vhost_header header;
	union vhost_payload reply;
	assert_true(fake_reply(f, &header, &reply));
	assert_int_equal(header.size, 8);
	assert_int_equal(reply.u64, 0);
	assert_int_equal(at[2 * PAGE], 0); /* the page is empty: the server is not asked any more */
	leave(&s);
}

static void test_pages_come_when_they_are_touched_by_table(void **state)
{
	pages_come_when_they_are_touched(*state, false);
}

static void test_pages_come_when_they_are_touched_by_slot(void **state)
{
	pages_come_when_they_are_touched(*state, true);
}

static void *touch_main(void *arg)
{
	volatile uint8_t *at = arg;

	return (void *)(uintptr_t)(at[0] + 1u);
}

static void test_whoever_waits_for_a_lazy_front_end_is_let_go(void **state)
{
	struct fake *f = *state;
	struct server s = {.lazy = true};
	struct timespec soon;
	pthread_t toucher;
	void *value;

	assert_false(vhost_postcopy_abort(f->dev));
	arrive(f, &s, false);
	assert_int_equal(pthread_create(&toucher, NULL, touch_main, s.base), 0);
	clock_gettime(CLOCK_REALTIME, &soon);
	soon.tv_nsec += 50000000;
	soon.tv_sec += soon.tv_nsec / 1000000000;
	soon.tv_nsec %= 1000000000;
	assert_int_equal(pthread_timedjoin_np(toucher, &value, &soon), ETIMEDOUT);
	assert_true(vhost_postcopy_abort(f->dev));
	assert_int_equal(pthread_join(toucher, &value), 0);
	assert_int_equal((uintptr_t)value, 1); /* an empty page */
	leave(&s);
}

static void test_the_order_is_kept(void **state)
{
	struct fake *f = *state;
	struct vhost_wire_region region = {.gpa = GPA, .size = PAGE, .uaddr = UADDR};
	int file = memory_file(PAGE);
	uint64_t ready = 0;

	fake_negotiate(f);
	assert_int_equal(fake_ask(f, VHOST_USER_POSTCOPY_LISTEN, NULL, 0, NULL, 0), 1);
	/*
	 * Without POSTCOPY_LISTEN a message that contains only a 0 is refused, because it names no
	 * region.
	 */
	assert_int_equal(fake_ask(f, VHOST_USER_ADD_MEM_REG, &ready, sizeof(ready), NULL, 0), 1);
	close(advise(f));
	close(advise(f)); /* a second time is allowed */
	assert_int_equal(fake_region(f, VHOST_USER_ADD_MEM_REG, region, file), 0);
	assert_int_equal(fake_ask(f, VHOST_USER_POSTCOPY_LISTEN, NULL, 0, NULL, 0), 1);
	close(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		test_pages_come_when_they_are_touched_by_table, fake_setup, fake_teardown),
	    cmocka_unit_test_setup_teardown(
		test_pages_come_when_they_are_touched_by_slot, fake_setup, fake_teardown),
	    cmocka_unit_test_setup_teardown(
		test_whoever_waits_for_a_lazy_front_end_is_let_go, fake_setup, fake_teardown),
	    cmocka_unit_test_setup_teardown(test_the_order_is_kept, fake_setup, fake_teardown),
	};

	if (emulated())
		return not_tested_emulated();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
