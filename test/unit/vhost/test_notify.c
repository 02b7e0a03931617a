/* SPDX-License-Identifier: BSD-3-Clause */
/* Kicks, calls and errors as messages; doorbell pages. proves: VRING_KICK */
#include "fake.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhost/channel.h"
#include "vhost/doorbell.h"
#include "vhost/inband.h"

#define UADDR    UINT64_C(0x7f0000000000)
#define MEM_SIZE 0x100000
#define FEATURES (VIRTIO_BIT(F_VERSION_1) | FAKE_BIT30)

#define INBAND VHOST_PROTOCOL_BIT(INBAND_NOTIFICATIONS)
#define NEEDS  (VHOST_PROTOCOL_BIT(BACKEND_REQ) | VHOST_PROTOCOL_BIT(REPLY_ACK))

static int mem_fd;

static int notify_setup(void **state)
{
	mem_fd = memory_file(MEM_SIZE);
	return fake_setup(state);
}

static int notify_teardown(void **state)
{
	fake_teardown(state);
	return close(mem_fd);
}

static int open_channel(struct fake *f)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(fake_ask(f, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1), 0);
	close(pair[1]);
	return pair[0];
}

/* Send all messages that a ring needs, except for a kick. */
static void prepare_ring(struct fake *f, unsigned i)
{
	struct vhost_wire_region region = {.gpa = 0, .size = MEM_SIZE, .uaddr = UADDR};
	uint64_t desc = UADDR + i * 0x3000;

	assert_int_equal(fake_u64(f, VHOST_USER_SET_FEATURES, FEATURES), 0);
	assert_int_equal(fake_table(f, &region, &mem_fd, 1), 0);
	assert_int_equal(fake_vring(f, VHOST_USER_SET_VRING_NUM, i, 16), 0);
	assert_int_equal(fake_addr(f, i, desc, desc + 0x1000, desc + 0x2000), 0);
	assert_false(f->dev->vring[i]->active);
}

static bool readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static void in_band_needs_a_channel_and_answers(void **state)
{
	struct fake *f = *state;
	uint64_t needs[] = {VHOST_PROTOCOL_BIT(BACKEND_REQ), VHOST_PROTOCOL_BIT(REPLY_ACK)};

	for (unsigned i = 0; i < 2; i++) {
		fake_send(f, VHOST_USER_SET_PROTOCOL_FEATURES, 0, &(uint64_t){INBAND | needs[i]}, 8,
		    NULL, 0);
		assert_int_equal(fake_run(f), LIVES);
		assert_false(vhost_inband(f->dev));
	}
	assert_int_equal(fake_u64(f, VHOST_USER_SET_PROTOCOL_FEATURES, INBAND | NEEDS), 0);
	assert_true(vhost_inband(f->dev));
}

/* Expect one VRING_CALL message for this ring, and nothing else. */
static void expect_call(struct fake *f, int channel, unsigned index)
{
	struct {
		struct vhost_header header;
		struct vhost_wire_vring_state wire;
	} __attribute__((packed)) request[2];

	assert_int_equal(vhost_inband_service(f->dev), 0);
	assert_int_equal(recv(channel, request, sizeof(request), MSG_DONTWAIT), 20);
	assert_int_equal(request[0].header.request, VHOST_USER_BACKEND_VRING_CALL);
	assert_int_equal(request[0].wire.index, index);
}

/* User Mode Linux sends neither SET_VRING_KICK nor SET_VRING_CALL. */
static void the_first_kick_starts_a_ring(void **state)
{
	struct fake *f = *state;
	int channel;

	fake_u64(f, VHOST_USER_SET_PROTOCOL_FEATURES, INBAND | NEEDS);
	channel = open_channel(f);
	prepare_ring(f, 1);
	assert_int_equal(fake_vring(f, VHOST_USER_VRING_KICK, FAKE_RINGS, 0), 1);
	assert_int_equal(fake_vring(f, VHOST_USER_VRING_KICK, 1, 0), 0);
	assert_true(f->dev->vring[1]->active);
	assert_true(f->dev->vring[1]->call_fd >= 0);
	close(channel);
}

static void kicks_calls_and_errors_are_messages(void **state)
{
	struct vhost_wire_vring_state wire;
	struct vhost_header header;
	struct fake *f = *state;
	struct vhost_vring *ring;
	int channel;

	fake_u64(f, VHOST_USER_SET_PROTOCOL_FEATURES, INBAND | NEEDS);
	channel = open_channel(f);
	prepare_ring(f, 0);
	assert_int_equal(fake_vring(f, VHOST_USER_VRING_KICK, 0, 0), 0);
	assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_CALL, VHOST_VRING_NOFD, -1), 0);
	assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_ERR, VHOST_VRING_NOFD, -1), 0);
	ring = f->dev->vring[0];
	assert_true(ring->active);
	assert_false(readable(ring->kick_fd));
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(fake_vring(f, VHOST_USER_VRING_KICK, 0, 0), 0);
	assert_true(readable(ring->kick_fd));
	vhost_inband_service(f->dev); /* the call that may have been lost before */
	while (recv(channel, &header, sizeof(header) + 0, MSG_DONTWAIT) > 0)
		recv(channel, &wire, sizeof(wire), MSG_DONTWAIT);
	assert_false(readable(vhost_inband_fd(f->dev)));
	for (unsigned what = 0; what < 2; what++) {
		eventfd_write(what ? ring->err_fd : ring->call_fd, 1);
		assert_true(readable(vhost_inband_fd(f->dev)));
		assert_int_equal(vhost_inband_service(f->dev), 0);
		assert_false(readable(vhost_inband_fd(f->dev)));
		assert_int_equal(recv(channel, &header, sizeof(header), MSG_DONTWAIT), 12);
		assert_int_equal(header.request,
		    what ? VHOST_USER_BACKEND_VRING_ERR : VHOST_USER_BACKEND_VRING_CALL);
		assert_int_equal(recv(channel, &wire, sizeof(wire), MSG_DONTWAIT), 8);
		assert_int_equal(wire.index, 0);
	}
	close(channel);
}

/* Notifications for which no descriptor was passed are in-band. */
static void calls_and_errors_need_no_other_message(void **state)
{
	struct fake *f = *state;
	int channel, kick = event_file();

	fake_u64(f, VHOST_USER_SET_PROTOCOL_FEATURES, INBAND | NEEDS);
	channel = open_channel(f);
	prepare_ring(f, 0);
	assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_KICK, 0, kick), 0);
	assert_true(f->dev->vring[0]->call_fd >= 0);
	assert_true(f->dev->vring[0]->err_fd >= 0);
	expect_call(f, channel, 0);
	/* The same after the ring was stopped and started again. */
	fake_get_base(f, 0);
	assert_int_equal(f->dev->vring[0]->call_fd, -1);
	assert_int_equal(fake_vring(f, VHOST_USER_VRING_KICK, 0, 0), 0);
	expect_call(f, channel, 0);
	close(kick);
	close(channel);
}

/* SET_VRING_KICK without a descriptor, in the specification: "... or to enable polling" */
static void a_ring_without_kicks_is_polled_in_band_or_not(void **state)
{
	struct fake *f = *state;

	fake_u64(f, VHOST_USER_SET_PROTOCOL_FEATURES, INBAND | NEEDS);
	prepare_ring(f, 0);
	assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_KICK, VHOST_VRING_NOFD, -1), 0);
	assert_true(f->dev->vring[0]->active);
	assert_int_equal(f->dev->vring[0]->kick_fd, -1);
	assert_int_equal(fake_vring(f, VHOST_USER_VRING_KICK, 0, 0), 0);
	assert_int_equal(f->dev->vring[0]->kick_fd, -1);
}

static void calls_that_found_no_channel_go_to_the_next(void **state)
{
	struct fake *f = *state;
	int channel;

	fake_u64(f, VHOST_USER_SET_PROTOCOL_FEATURES, INBAND | NEEDS);
	prepare_ring(f, 1);
	assert_int_equal(fake_vring(f, VHOST_USER_VRING_KICK, 1, 0), 0);
	for (unsigned i = 0; i < 3; i++) {
		eventfd_write(f->dev->vring[1]->call_fd, 1);
		vhost_inband_service(f->dev);
		channel = open_channel(f);
		expect_call(f, channel, 1);
		close(channel);
	}
}

/*
 * If the front-end does not read, calls wait in their eventfd. No call is lost, and the channel
 * stays open.
 */
static void a_front_end_that_does_not_read_is_waited_for(void **state)
{
	struct fake *f = *state;
	struct vhost_vring *ring;
	char bytes[4096];
	int channel, error = 0;

	fake_u64(f, VHOST_USER_SET_PROTOCOL_FEATURES, INBAND | NEEDS);
	channel = open_channel(f);
	prepare_ring(f, 0);
	assert_int_equal(fake_vring(f, VHOST_USER_VRING_KICK, 0, 0), 0);
	ring = f->dev->vring[0];
	for (unsigned i = 0; i < 100000 && !error; i++) {
		eventfd_write(ring->call_fd, 1);
		error = vhost_inband_service(f->dev);
	}
	assert_int_equal(error, -EAGAIN);
	/* Requests that cannot be sent later still find room. */
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(vhost_channel_send(f->dev, 2, NULL, 0, -1, false), 0);
	assert_true(readable(vhost_inband_fd(f->dev)));
	while (recv(channel, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	assert_int_equal(vhost_inband_service(f->dev), 0);
	assert_int_equal(recv(channel, bytes, sizeof(bytes), MSG_DONTWAIT), 20);
	close(channel);
}

/*
 * Receive an offer as a front-end does: returns the ring, and maps the page. -1: there is no offer.
 */
static int take_offer(int channel, char **ret_page, int *ret_fd)
{
	struct {
		struct vhost_header header;
		struct vhost_wire_vring_area area;
	} __attribute__((packed)) offer;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {&offer, sizeof(offer)};
	struct msghdr mh = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control,
	    .msg_controllen = sizeof(control)};

	if (recvmsg(channel, &mh, MSG_DONTWAIT) != sizeof(offer))
		return -1;
	assert_int_equal(offer.header.request, VHOST_USER_BACKEND_VRING_HOST_NOTIFIER_MSG);
	assert_int_equal(offer.header.flags, VHOST_VERSION | VHOST_NEED_REPLY);
	assert_int_equal(offer.area.size, getpagesize());
	memcpy(ret_fd, CMSG_DATA(CMSG_FIRSTHDR(&mh)), sizeof(int));
	*ret_page = mmap(
	    NULL, offer.area.size, PROT_READ | PROT_WRITE, MAP_SHARED, *ret_fd, offer.area.offset);
	assert_ptr_not_equal(*ret_page, MAP_FAILED);
	return (int)offer.area.index;
}

static void answer_offer(int channel, uint64_t value)
{
	struct {
		struct vhost_header header;
		uint64_t value;
	} __attribute__((packed))
	answer = {{VHOST_USER_BACKEND_VRING_HOST_NOTIFIER_MSG, VHOST_REPLY_FLAGS, 8}, value};

	assert_int_equal(send(channel, &answer, sizeof(answer), 0), sizeof(answer));
}

static int start_kicked(struct fake *f, unsigned index)
{
	int kick = event_file();

	prepare_ring(f, index);
	assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_KICK, index, kick), 0);
	close(kick);
	return 0;
}

static int doorbell_start(struct fake *f)
{
	int channel;

	f->dev->offer_doorbells = true;
	fake_negotiate(f);
	channel = open_channel(f);
	start_kicked(f, 0);
	start_kicked(f, 1);
	return channel;
}

/* Call the service until no answer is being read. Another thread reads answers. */
static void serve(struct fake *f)
{
	for (unsigned i = 0; i < 5000; i++) {
		vhost_doorbell_service(f->dev);
		if (!f->dev->channel.answer)
			return;
		usleep(1000);
	}
	fail();
}

static void doorbells_are_offered_ring_by_ring(void **state)
{
	struct fake *f = *state;
	int channel = doorbell_start(f), fd;
	char *page;

	for (int i = 0; i < 2; i++) {
		serve(f);
		serve(f); /* nothing is offered before the answer */
		assert_int_equal(take_offer(channel, &page, &fd), i);
		assert_true(f->dev->vring[i]->doorbell);
		page[0] = 1;
		page[getpagesize() - 1] = 1;
		munmap(page, getpagesize());
		close(fd);
		assert_int_equal(take_offer(channel, &page, &fd), -1);
		answer_offer(channel, 0);
	}
	serve(f);
	assert_int_equal(take_offer(channel, &page, &fd), -1);
	assert_true(f->running);
	/*
	 * A ring that was stopped may have lost its doorbell, so a page is offered again when it
	 * starts.
	 */
	fake_get_base(f, 0);
	start_kicked(f, 0);
	assert_true(f->dev->vring[0]->doorbell);
	serve(f);
	assert_int_equal(take_offer(channel, &page, &fd), 0);
	munmap(page, getpagesize());
	close(fd);
	close(channel);
}

static void a_refused_doorbell_is_not_missed(void **state)
{
	struct fake *f = *state;
	int channel = doorbell_start(f), fd;
	char *page;

	serve(f);
	assert_int_equal(take_offer(channel, &page, &fd), 0);
	munmap(page, getpagesize());
	close(fd);
	assert_true(f->dev->vring[0]->doorbell);
	answer_offer(channel, 1);
	for (unsigned i = 0; i < 3; i++)
		serve(f);
	assert_int_equal(take_offer(channel, &page, &fd), -1);
	assert_false(f->dev->vring[0]->doorbell);
	assert_false(f->dev->vring[1]->doorbell);
	assert_true(f->running);
	close(channel);
}

/* Take the next offer, which must be for this ring, without an answer. */
static void expect_offer(struct fake *f, int channel, int index)
{
	char *page;
	int fd;

	serve(f);
	assert_int_equal(take_offer(channel, &page, &fd), index);
	munmap(page, getpagesize());
	close(fd);
}

/* While another request waits for its answer, no doorbell is offered and none counts as refused. */
static void an_offer_waits_for_the_answer_to_another_question(void **state)
{
	struct {
		struct vhost_header header;
		uint64_t value;
	} __attribute__((packed)) answer = {.value = 0};
	struct fake *f = *state;
	int channel = doorbell_start(f), got = 0;
	uint64_t value;

	assert_int_equal(
	    vhost_channel_send(f->dev, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, NULL, 0, -1, true), 0);
	vhost_doorbell_service(f->dev);
	assert_false(f->dev->vring[0]->doorbell);
	assert_int_equal(
	    recv(channel, &answer, sizeof(answer), MSG_DONTWAIT), sizeof(answer.header));
	answer.header = (struct vhost_header){
	    VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, VHOST_REPLY_FLAGS, sizeof(answer.value)};
	assert_int_equal(send(channel, &answer, sizeof(answer), 0), sizeof(answer));
	for (unsigned i = 0; i < 5000 && (got = vhost_channel_answer(f->dev, &value)) == 0; i++)
		usleep(1000);
	assert_int_equal(got, 1);
	expect_offer(f, channel, 0);
	assert_true(f->dev->vring[0]->doorbell);
	close(channel);
}

/* The page of ring 0 stays in the guest if the page of ring 1 is refused. */
static void a_taken_doorbell_outlives_a_refused_one(void **state)
{
	struct fake *f = *state;
	int channel = doorbell_start(f);

	expect_offer(f, channel, 0);
	answer_offer(channel, 0);
	expect_offer(f, channel, 1);
	answer_offer(channel, 1);
	serve(f);
	assert_true(f->dev->vring[0]->doorbell);
	assert_false(f->dev->vring[1]->doorbell);
	close(channel);
}

/* If the channel closes before an answer, the front-end may have taken the page. */
static void a_doorbell_outlives_the_channel(void **state)
{
	struct fake *f = *state;
	int channel = doorbell_start(f);

	expect_offer(f, channel, 0);
	answer_offer(channel, 0);
	expect_offer(f, channel, 1);
	close(channel);
	serve(f);
	assert_int_equal(f->dev->channel.fd, -1);
	assert_true(f->dev->vring[0]->doorbell);
	assert_true(f->dev->vring[1]->doorbell);
	assert_true(f->running);
}

static void offers_go_on_over_another_channel(void **state)
{
	struct fake *f = *state;
	int channel[2];

	channel[0] = doorbell_start(f);
	expect_offer(f, channel[0], 0);
	channel[1] = open_channel(f);
	expect_offer(f, channel[1], 1);
	answer_offer(channel[1], 0);
	serve(f);
	assert_true(f->dev->vring[0]->doorbell);
	assert_true(f->dev->vring[1]->doorbell);
	close(channel[0]);
	close(channel[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, notify_setup, notify_teardown)

static bool blocks(int fd)
{
	return !(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

/* The front-end must be able to read its eventfd as before. proves: O_NONBLOCK */
static void an_eventfd_is_given_back_as_it_was(void **state)
{
	static const uint32_t requests[] = {
	    VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_CALL, VHOST_USER_SET_VRING_ERR};
	struct fake *f = *state;

	fake_negotiate(f);
	prepare_ring(f, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(requests); i++) {
		int fd[3] = {eventfd(0, 0), eventfd(0, 0), eventfd(0, EFD_NONBLOCK)};

		assert_int_equal(fake_notifier(f, requests[i], 1, fd[0]), 0);
		assert_false(blocks(fd[0]));
		/* If the same eventfd is passed again, it is not made blocking. */
		assert_int_equal(fake_notifier(f, requests[i], 1, fd[0]), 0);
		assert_false(blocks(fd[0]));
		assert_int_equal(fake_notifier(f, requests[i], 1, fd[1]), 0);
		assert_true(blocks(fd[0]));
		assert_false(blocks(fd[1]));
		assert_int_equal(fake_notifier(f, requests[i], 1, fd[2]), 0);
		assert_true(blocks(fd[1]));
		assert_int_equal(fake_notifier(f, requests[i], 1 | VHOST_VRING_NOFD, -1), 0);
		assert_false(blocks(fd[2]));
		for (unsigned k = 0; k < ARRAY_SIZE(fd); k++)
			close(fd[k]);
	}
}

static void an_eventfd_of_several_rings_stays_non_blocking_until_the_last_stops(void **state)
{
	int shared = eventfd(0, 0), err = eventfd(0, 0);
	struct fake *f = *state;

	fake_negotiate(f);
	prepare_ring(f, 1);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_CALL, i, shared), 0);
		assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_KICK, i, shared), 0);
	}
	assert_int_equal(fake_notifier(f, VHOST_USER_SET_VRING_ERR, 0, err), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_false(blocks(shared));
		fake_get_base(f, i);
	}
	assert_true(blocks(shared));
	assert_false(blocks(err));
	fake_disconnect(f);
	assert_true(blocks(err));
	fake_connect(f);
	close(shared);
	close(err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(in_band_needs_a_channel_and_answers),
	    TEST(the_first_kick_starts_a_ring),
	    TEST(kicks_calls_and_errors_are_messages),
	    TEST(calls_and_errors_need_no_other_message),
	    TEST(a_ring_without_kicks_is_polled_in_band_or_not),
	    TEST(calls_that_found_no_channel_go_to_the_next),
	    TEST(a_front_end_that_does_not_read_is_waited_for),
	    TEST(doorbells_are_offered_ring_by_ring),
	    TEST(a_refused_doorbell_is_not_missed),
	    TEST(an_offer_waits_for_the_answer_to_another_question),
	    TEST(a_taken_doorbell_outlives_a_refused_one),
	    TEST(a_doorbell_outlives_the_channel),
	    TEST(offers_go_on_over_another_channel),
	    TEST(an_eventfd_is_given_back_as_it_was),
	    TEST(an_eventfd_of_several_rings_stays_non_blocking_until_the_last_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
