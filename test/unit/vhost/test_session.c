/* SPDX-License-Identifier: BSD-3-Clause */
/* The message layer: every message, complete and in pieces, with correct and wrong sizes. */
#include "fake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../emulated.h"
#include "vhost/message.h"

#define N_MESSAGES 44

/* All messages accept a payload of zeros. But for this message it would remove REPLY_ACK. */
static void fill_payload(const struct vhost_device *dev, uint32_t request, uint8_t *payload)
{
	memset(payload, 0, VHOST_PAYLOAD_MAX + 1);
	if (request == VHOST_USER_SET_PROTOCOL_FEATURES)
		memcpy(payload, &dev->state.protocol_features, 8);
}

/*
 * Send one message on a new connection with all features negotiated. The message table says what
 * must happen. Check whether the connection continues, the number of replies, and that nothing
 * leaks.
 */
static void try_message(uint32_t request, uint32_t flags, uint32_t size, unsigned n_fds, int file)
{
	static uint8_t payload[VHOST_PAYLOAD_MAX + 1];
	const struct vhost_message_spec *spec = vhost_message_find(request);
	bool served = spec && spec->handler;
	bool size_good = !served || (size >= spec->payload_min && size <= spec->payload_max);
	bool fds_good = served && n_fds >= spec->fds_min && n_fds <= spec->fds_max;
	bool own = served && spec->reply == VHOST_REPLY_OWN;
	/* A log of 0 bytes is refused. The reply cannot say this, so the connection is dropped. */
	bool log = request == VHOST_USER_SET_LOG_BASE;
	bool drops = !size_good || (own && !fds_good) || log;
	bool replies = !drops && (own || (flags & VHOST_NEED_REPLY));
	union vhost_payload reply;
	struct vhost_header header;
	int fds[VHOST_FDS_RECEIVE];
	unsigned before = count_fds();
	struct fake f;

	for (unsigned i = 0; i < n_fds; i++)
		fds[i] = file;
	fake_create(&f);
	fake_connect(&f);
	fake_negotiate(&f);
	fill_payload(f.dev, request, payload);
	fake_send(&f, request, flags, payload, size, fds, n_fds);
	assert_int_equal(fake_run(&f) < 0, drops);
	if (drops) {
		session_destroy(f.session);
		f.session = NULL;
	}
	/* All descriptors of the message have been closed. */
	assert_int_equal(count_fds() - before, (drops ? 1 : 2) + (f.dev->postcopy.fd >= 0));
	assert_int_equal(fake_reply(&f, &header, &reply), replies);
	if (replies) {
		assert_int_equal(header.request, request);
		assert_int_equal(header.flags, 0x5);
		assert_true(header.size == 8 || own);
		if (!own && (!served || !fds_good))
			assert_int_equal(reply.u64, 1);
		assert_false(fake_reply(&f, &header, &reply));
	}
	/* If the connection continues, the next message is understood. */
	if (!drops)
		assert_int_equal(fake_get(&f, VHOST_USER_GET_FEATURES), FAKE_FEATURES | FAKE_BIT30);
	fake_destroy(&f);
	assert_int_equal(count_fds(), before);
}

static void every_message_with_every_size(void **state)
{
	int file = memory_file(4096);

	(void)state;
	for (uint32_t request = 1; request <= N_MESSAGES; request++) {
		const struct vhost_message_spec *spec = vhost_message_find(request);

		assert_non_null(spec);
		if (request == VHOST_USER_POSTCOPY_ADVISE && emulated())
			continue; /* it needs userfaultfd */
		for (uint32_t size = 0; size <= spec->payload_max + 1u && size <= 300; size++) {
			try_message(request, 0, size, spec->fds_min, file);
			try_message(request, VHOST_NEED_REPLY, size, spec->fds_min, file);
		}
	}
	close(file);
}

static void every_message_with_every_number_of_descriptors(void **state)
{
	int file = memory_file(4096);

	(void)state;
	for (uint32_t request = 1; request <= N_MESSAGES; request++) {
		const struct vhost_message_spec *spec = vhost_message_find(request);

		if (request == VHOST_USER_POSTCOPY_ADVISE && emulated())
			continue;
		for (unsigned n = 0; n <= VHOST_FDS_MAX + 1; n++) {
			/* A table of no regions with descriptors is refused for another reason. */
			if (n == spec->fds_max && request == VHOST_USER_SET_MEM_TABLE)
				continue;
			try_message(request, 0, spec->payload_min, n, file);
			try_message(request, VHOST_NEED_REPLY, spec->payload_min, n, file);
		}
	}
	close(file);
}

static void more_descriptors_than_there_is_room_for_end_the_connection(void **state)
{
	struct fake *f = *state;
	int fds[VHOST_FDS_RECEIVE + 8];
	unsigned before = count_fds();

	skip_if_emulated();
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = STDERR_FILENO;
	fake_send(f, VHOST_USER_SET_MEM_TABLE, 0, "\0\0\0\0\0\0\0", 8, fds, VHOST_FDS_RECEIVE + 8);
	assert_true(fake_run(f) < 0);
	session_destroy(f->session);
	f->session = NULL;
	assert_int_equal(count_fds(), before - 1);
}

static void as_many_descriptors_as_there_is_room_for_are_only_refused(void **state)
{
	struct fake *f = *state;
	int fds[VHOST_FDS_RECEIVE];
	unsigned before = count_fds();

	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = STDERR_FILENO;
	fake_negotiate(f);
	assert_int_equal(fake_ask(f, VHOST_USER_SET_OWNER, NULL, 0, fds, VHOST_FDS_RECEIVE), 1);
	assert_int_equal(count_fds(), before);
}

static void descriptors_scattered_over_a_message_are_counted_together(void **state)
{
	struct fake *f = *state;
	int fds[VHOST_FDS_RECEIVE];
	unsigned before = count_fds();
	int error = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = STDERR_FILENO;
	/* The bytes of all later messages are payload of this one, which is not complete. */
	fake_send(f, 999, 0, NULL, 0, fds, 1);
	error = fake_run(f);
	assert_int_equal(error, LIVES);
	struct vhost_header header = {999, VHOST_VERSION, 4096};
	assert_int_equal(send(f->peer, &header, sizeof(header), 0), sizeof(header));
	for (unsigned i = 0; i < 4 && !error; i++) {
		fake_send(f, 1, 0, NULL, 0, fds, 12);
		error = fake_run(f);
	}
	assert_true(error < 0);
	session_destroy(f->session);
	f->session = NULL;
	assert_int_equal(count_fds(), before - 1);
}

static void unknown_requests_are_refused_and_survived(void **state)
{
	static const uint32_t requests[] = {0, 45, 1000, 0x80000000, 0xffffffff};
	static const uint32_t sizes[] = {0, 1, 8, 4095, 4096};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(requests); i++) {
		for (unsigned k = 0; k < ARRAY_SIZE(sizes); k++) {
			try_message(requests[i], 0, sizes[k], k, STDERR_FILENO);
			try_message(requests[i], VHOST_NEED_REPLY, sizes[k], k, STDERR_FILENO);
		}
	}
}

static void a_payload_beyond_any_message_ends_the_connection(void **state)
{
	static const uint32_t sizes[] = {4097, 0x7fffffff, 0x80000000, 0xffffffff};

	(void)state;
	for (uint32_t request = 0; request <= N_MESSAGES + 1; request++) {
		for (unsigned k = 0; k < ARRAY_SIZE(sizes); k++) {
			struct vhost_header header = {request, VHOST_VERSION, sizes[k]};
			struct fake f;

			fake_create(&f);
			fake_connect(&f);
			assert_int_equal(send(f.peer, &header, sizeof(header), 0), sizeof(header));
			assert_true(fake_run(&f) < 0);
			fake_destroy(&f);
		}
	}
}

static void other_versions_and_replies_end_the_connection(void **state)
{
	static const uint32_t flags[] = {0, 2, 3, VHOST_VERSION | VHOST_REPLY, 0x8};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		struct vhost_header header = {VHOST_USER_GET_FEATURES, flags[i], 0};
		struct fake f;

		fake_create(&f);
		fake_connect(&f);
		assert_int_equal(send(f.peer, &header, sizeof(header), 0), sizeof(header));
		assert_true(fake_run(&f) < 0);
		fake_destroy(&f);
	}
}

/*
 * Send one message byte by byte, its descriptor with the first byte, and run the session after each
 * byte.
 */
static void send_bytes(struct fake *f, uint32_t request, const void *payload, uint32_t size, int fd)
{
	struct vhost_header header = {request, VHOST_VERSION | VHOST_NEED_REPLY, size};
	uint8_t bytes[512];

	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), payload, size);
	for (unsigned i = 0; i < sizeof(header) + size; i++) {
		_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = "";
		struct iovec iov = {&bytes[i], 1};
		struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

		if (i == 0 && fd >= 0) {
			mh.msg_control = control;
			mh.msg_controllen = sizeof(control);
			struct cmsghdr *cmsg = CMSG_FIRSTHDR(&mh);
			cmsg->cmsg_level = SOL_SOCKET;
			cmsg->cmsg_type = SCM_RIGHTS;
			cmsg->cmsg_len = CMSG_LEN(sizeof(int));
			memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
		}
		assert_int_equal(sendmsg(f->peer, &mh, 0), 1);
		assert_int_equal(session_receive(f->session), 0);
	}
}

static void a_message_may_come_byte_by_byte(void **state)
{
	struct vhost_wire_mem_table table = {
	    .n_regions = 1, .region = {{.gpa = 0, .size = 8192, .uaddr = 0x1000}}};
	struct vhost_header header;
	union vhost_payload reply;
	struct fake *f = *state;
	int file = memory_file(8192), event = event_file();
	uint64_t index = 3;

	fake_negotiate(f);
	send_bytes(f, VHOST_USER_SET_MEM_TABLE, &table, 40, file);
	assert_true(fake_reply(f, &header, &reply));
	assert_int_equal(reply.u64, 0);
	send_bytes(f, VHOST_USER_SET_VRING_KICK, &index, 8, event);
	assert_true(fake_reply(f, &header, &reply));
	assert_int_equal(reply.u64, 0);
	assert_int_equal(f->dev->state.n_regions, 1);
	assert_true(f->dev->vring[3]->kick_fd >= 0);
	close(file);
	close(event);
}

static void descriptors_stay_with_their_message_when_many_arrive_at_once(void **state)
{
	int events[3] = {event_file(), event_file(), event_file()};
	struct fake *f = *state;

	for (uint64_t i = 0; i < 3; i++) {
		fake_send(f, VHOST_USER_GET_FEATURES, 0, NULL, 0, NULL, 0);
		fake_send(f, VHOST_USER_SET_VRING_CALL, 0, &i, 8, &events[i], 1);
		fake_send(f, VHOST_USER_SET_OWNER, 0, NULL, 0, NULL, 0);
	}
	assert_int_equal(fake_run(f), LIVES);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t value = 7 + i;

		assert_int_equal(write(events[i], &value, 8), 8);
		value = 0;
		assert_int_equal(read(f->dev->vring[i]->call_fd, &value, 8), 8);
		assert_int_equal(value, 7 + i);
		close(events[i]);
	}
	assert_true(f->dev->state.owned);
}

static void the_end_of_the_stream_is_noticed_at_every_byte(void **state)
{
	struct vhost_header header = {VHOST_USER_SET_FEATURES, VHOST_VERSION, 8};
	uint8_t bytes[20] = "";

	(void)state;
	memcpy(bytes, &header, sizeof(header));
	for (unsigned n = 0; n <= sizeof(bytes); n++) {
		bool between = n == 0 || n == sizeof(bytes);
		unsigned before = count_fds();
		struct fake f;

		fake_create(&f);
		fake_connect(&f);
		if (n)
			assert_int_equal(send(f.peer, bytes, n, 0), n);
		close(f.peer);
		f.peer = -1;
		int error = session_receive(f.session);
		assert_int_equal(error, between ? -EPIPE : -ECONNRESET);
		fake_destroy(&f);
		assert_int_equal(count_fds(), before);
	}
}

static void descriptors_of_half_a_message_are_closed(void **state)
{
	struct fake *f = *state;
	int fds[4] = {2, 2, 2, 2};
	struct vhost_header header = {VHOST_USER_SET_MEM_TABLE, VHOST_VERSION, 136};
	unsigned before = count_fds();

	/* A table needs a payload, so the connection is dropped. */
	fake_send(f, VHOST_USER_SET_MEM_TABLE, 0, NULL, 0, fds, 0);
	assert_true(fake_run(f) < 0);
	fake_disconnect(f);
	fake_connect(f);
	assert_int_equal(send(f->peer, &header, sizeof(header), 0), sizeof(header));
	fake_send(f, 0, 0, NULL, 0, fds, 4);
	assert_int_equal(fake_run(f), LIVES);
	assert_int_equal(count_fds(), before + 4);
	session_destroy(f->session);
	f->session = NULL;
	assert_int_equal(count_fds(), before - 1);
}

static void need_reply_is_ignored_until_negotiated(void **state)
{
	struct vhost_header header;
	union vhost_payload reply;
	struct fake *f = *state;

	fake_send(f, VHOST_USER_SET_OWNER, VHOST_NEED_REPLY, NULL, 0, NULL, 0);
	fake_send(f, 1000, VHOST_NEED_REPLY, NULL, 0, NULL, 0);
	assert_int_equal(fake_run(f), LIVES);
	assert_false(fake_reply(f, &header, &reply));
	fake_negotiate(f);
	assert_int_equal(fake_ask(f, VHOST_USER_SET_OWNER, NULL, 0, NULL, 0), 0);
	assert_int_equal(fake_ask(f, 1000, NULL, 0, NULL, 0), 1);
}

static void gated_messages_are_refused_until_negotiated(void **state)
{
	const uint64_t ack = VHOST_PROTOCOL_BIT(REPLY_ACK);
	unsigned gated = 0;
	struct fake *f = *state;

	for (uint32_t request = 1; request <= N_MESSAGES; request++) {
		const struct vhost_message_spec *spec = vhost_message_find(request);
		uint8_t payload[64] = "";

		if (!spec->handler || !spec->gate)
			continue;
		assert_int_equal(fake_u64(f, VHOST_USER_SET_PROTOCOL_FEATURES, ack), 0);
		assert_int_equal(fake_ask(f, request, payload, spec->payload_min, NULL, 0), 1);
		gated++;
	}
	assert_true(gated >= 11);
}

static void a_front_end_that_does_not_read_is_dropped(void **state)
{
	struct fake *f = *state;
	int error = 0;
	unsigned n;

	for (n = 0; n < 100000 && !error; n++) {
		fake_send(f, VHOST_USER_GET_FEATURES, 0, NULL, 0, NULL, 0);
		error = session_receive(f->session);
	}
	assert_int_equal(error, -EIO);
	assert_true(n > 1);
}

static void one_call_takes_a_bounded_time(void **state)
{
	struct fake *f = *state;
	uint64_t mtu = 1500;

	fake_negotiate(f);
	f->delay_us = 1500;
	for (unsigned i = 0; i < 20; i++, mtu++)
		fake_send(f, VHOST_USER_NET_SET_MTU, 0, &mtu, sizeof(mtu), NULL, 0);
	assert_int_equal(session_receive(f->session), 0);
	assert_in_range(f->mtu, 1500, 1501);
	assert_int_equal(fake_run(f), LIVES);
	assert_int_equal(f->mtu, 1519);
}

static void one_call_handles_a_bounded_number_of_messages(void **state)
{
	struct vhost_header header;
	union vhost_payload reply;
	struct fake *f = *state;
	unsigned n = 0;

	for (unsigned i = 0; i < 100; i++)
		fake_send(f, VHOST_USER_GET_FEATURES, 0, NULL, 0, NULL, 0);
	assert_int_equal(session_receive(f->session), 0);
	while (fake_reply(f, &header, &reply))
		n++;
	assert_true(n > 0 && n < 100);
	assert_int_equal(fake_run(f), LIVES);
	while (fake_reply(f, &header, &reply))
		n++;
	assert_int_equal(n, 100);
}

static void only_offered_features_can_be_set(void **state)
{
	struct fake *f = *state;
	uint64_t offered = FAKE_FEATURES | FAKE_BIT30;

	fake_negotiate(f);
	assert_int_equal(fake_get(f, VHOST_USER_GET_FEATURES), offered);
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t mask = UINT64_C(1) << bit;

		assert_int_equal(fake_u64(f, VHOST_USER_SET_FEATURES, mask), !(mask & offered));
	}
	assert_int_equal(fake_u64(f, VHOST_USER_SET_FEATURES, offered), 0);
	assert_int_equal(fake_u64(f, VHOST_USER_SET_FEATURES, ~UINT64_C(0)), 1);
	assert_int_equal(f->dev->state.features, offered);
}

static void only_served_protocol_features_are_offered(void **state)
{
	struct fake *f = *state;
	uint64_t offered = fake_get(f, VHOST_USER_GET_PROTOCOL_FEATURES);

	assert_int_equal(offered, VHOST_PROTOCOL_FEATURES_SERVED);
	fake_negotiate(f);
	assert_int_equal(fake_u64(f, VHOST_USER_SET_PROTOCOL_FEATURES,
			     offered | VHOST_PROTOCOL_BIT(SHARED_OBJECT)),
	    1);
	offered &= ~VHOST_PROTOCOL_BIT(INBAND_NOTIFICATIONS);
	assert_int_equal(f->dev->state.protocol_features, offered);
}

static void answers_about_limits(void **state)
{
	struct fake *f = *state;

	fake_negotiate(f);
	assert_int_equal(fake_get(f, VHOST_USER_GET_QUEUE_NUM), FAKE_RINGS);
	assert_int_equal(fake_get(f, VHOST_USER_GET_MAX_MEM_SLOTS), 509);
}

static void the_mtu_has_bounds(void **state)
{
	struct fake *f = *state;

	fake_negotiate(f);
	assert_int_equal(fake_u64(f, VHOST_USER_NET_SET_MTU, 67), 1);
	assert_int_equal(fake_u64(f, VHOST_USER_NET_SET_MTU, 68), 0);
	assert_int_equal(f->mtu, 68);
	assert_int_equal(fake_u64(f, VHOST_USER_NET_SET_MTU, 65535), 0);
	assert_int_equal(f->dev->state.mtu, 65535);
	assert_int_equal(fake_u64(f, VHOST_USER_NET_SET_MTU, 65536), 1);
	assert_int_equal(fake_u64(f, VHOST_USER_NET_SET_MTU, 65536 + 1500), 1);
	assert_int_equal(fake_u64(f, VHOST_USER_NET_SET_MTU, 1000), 1);
	assert_int_equal(f->mtu, 65535);
}

static void status_is_kept_and_checked(void **state)
{
	struct fake *f = *state;

	fake_negotiate(f);
	assert_int_equal(fake_get(f, VHOST_USER_GET_STATUS), 0);
	assert_int_equal(fake_u64(f, VHOST_USER_SET_STATUS, 0xf), 0);
	assert_int_equal(fake_get(f, VHOST_USER_GET_STATUS), 0xf);
	assert_int_equal(fake_u64(f, VHOST_USER_SET_STATUS, 0x100), 1);
	assert_int_equal(fake_get(f, VHOST_USER_GET_STATUS), 0xf);
}

/* Valid headers, random contents and descriptors: nothing may break or leak. */
static void random_messages_do_no_harm(void **state)
{
	struct fake *f = *state;
	int files[3] = {memory_file(1 << 16), event_file(), -1};
	unsigned before = count_fds();

	files[2] = STDERR_FILENO;
	srandom(20);
	for (unsigned i = 0; i < 20000; i++) {
		uint32_t request = random() % (N_MESSAGES + 2);
		const struct vhost_message_spec *spec = vhost_message_find(request);
		uint32_t payload[80];
		int fds[2] = {files[random() % 3], files[random() % 3]};
		unsigned n_fds = spec ? spec->fds_min + random() % 2 : 0;

		for (unsigned k = 0; k < ARRAY_SIZE(payload); k++)
			payload[k] = random() % 4 ? random() % 8 : random();
		fake_send(f, request, random() % 2 ? VHOST_NEED_REPLY : 0, payload,
		    spec ? MIN(spec->payload_max, 300) : 0, fds, MIN(n_fds, 2));
		if (fake_run(f) < 0 || random() % 100 == 0) {
			fake_disconnect(f);
			assert_int_equal(count_fds(), before - 2);
			fake_connect(f);
			fake_negotiate(f);
			continue;
		}
		struct vhost_header header;
		union vhost_payload reply;
		while (fake_reply(f, &header, &reply))
			assert_int_equal(header.flags, 0x5);
	}
	close(files[0]);
	close(files[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(every_message_with_every_size),
	    TEST(every_message_with_every_number_of_descriptors),
	    TEST(more_descriptors_than_there_is_room_for_end_the_connection),
	    TEST(as_many_descriptors_as_there_is_room_for_are_only_refused),
	    TEST(descriptors_scattered_over_a_message_are_counted_together),
	    TEST(unknown_requests_are_refused_and_survived),
	    TEST(a_payload_beyond_any_message_ends_the_connection),
	    TEST(other_versions_and_replies_end_the_connection),
	    TEST(a_message_may_come_byte_by_byte),
	    TEST(descriptors_stay_with_their_message_when_many_arrive_at_once),
	    TEST(the_end_of_the_stream_is_noticed_at_every_byte),
	    TEST(descriptors_of_half_a_message_are_closed),
	    TEST(need_reply_is_ignored_until_negotiated),
	    TEST(gated_messages_are_refused_until_negotiated),
	    TEST(a_front_end_that_does_not_read_is_dropped),
	    TEST(one_call_takes_a_bounded_time),
	    TEST(one_call_handles_a_bounded_number_of_messages),
	    TEST(only_offered_features_can_be_set),
	    TEST(only_served_protocol_features_are_offered),
	    TEST(answers_about_limits),
	    TEST(the_mtu_has_bounds),
	    TEST(status_is_kept_and_checked),
	    TEST(random_messages_do_no_harm),
	};

	return emulated_result(cmocka_run_group_tests(tests, NULL, NULL));
}
