/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kicks and calls as messages, and kicks as stores into a page: frames arrive at once, even if the
 * worker sleeps. A front-end that abuses them harms itself. proves: VRING_KICK HOST_NOTIFIER
 */
#include "functional.h"

#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAMES  300
#define LATE_NS UINT64_C(900000000) /* a sleep without a kick takes a second */
#define FLOOD   20000

#define INBAND \
	(VHOST_PROTOCOL_BIT(BACKEND_REQ) | VHOST_PROTOCOL_BIT(REPLY_ACK) | \
	    VHOST_PROTOCOL_BIT(INBAND_NOTIFICATIONS))
#define DOORBELL \
	(VHOST_PROTOCOL_BIT(BACKEND_REQ) | VHOST_PROTOCOL_BIT(REPLY_ACK) | \
	    VHOST_PROTOCOL_BIT(BACKEND_SEND_FD) | VHOST_PROTOCOL_BIT(HOST_NOTIFIER))

struct lab {
	struct switch_process sw;
	struct net_driver *nd[2];
	unsigned calls[2]; /* VRING_CALL messages */
	bool deaf;         /* kicks go nowhere */
};

struct request {
	struct vhost_header header;
	union {
		struct vhost_wire_vring_state state;
		struct vhost_wire_vring_area area;
	};
} __attribute__((packed));

static void open_lab(struct lab *l, uint64_t features, uint64_t protocol)
{
	memset(l, 0, sizeof(*l));
	if (protocol & VHOST_PROTOCOL_BIT(INBAND_NOTIFICATIONS))
		switch_option("--inband-notifications");
	switch_start(&l->sw, 2, 1, false);
	for (unsigned i = 0; i < 2; i++) {
		struct net_config c = usual_config(features, 1);

		c.protocol_features = protocol;
		l->nd[i] = attach(&l->sw, i, &c);
		must_equal(
		    l->nd[i]->fe.protocol_features & protocol, protocol, "what is negotiated");
	}
}

static void close_lab(struct lab *l)
{
	net_driver_destroy(l->nd[0]);
	net_driver_destroy(l->nd[1]);
	switch_finish(&l->sw);
	switch_option(NULL);
}

static void kick(struct net_driver *nd, unsigned index)
{
	struct vhost_wire_vring_state wire = {.index = index};

	must_equal(-frontend_send(
		       &nd->fe, VHOST_USER_VRING_KICK, VHOST_VERSION, &wire, sizeof(wire), NULL, 0),
	    0, "errno of VRING_KICK");
}

/* Send a VRING_KICK message for each eventfd that a driver wrote, and count VRING_CALL messages. */
static void pump(struct lab *l)
{
	struct request request;
	eventfd_t count;

	for (unsigned i = 0; i < 2; i++) {
		for (unsigned q = 0; q < l->nd[i]->n_queues; q++)
			if (eventfd_read(l->nd[i]->queue[q].kick_fd, &count) == 0 && !l->deaf)
				kick(l->nd[i], q);
		while (recv(l->nd[i]->fe.channel_fd, &request, 20, MSG_DONTWAIT) == 20) {
			must_equal(request.header.request, VHOST_USER_BACKEND_VRING_CALL,
			    "a request on the channel");
			must(request.state.index < l->nd[i]->n_queues, "a call for no ring");
			l->calls[i]++;
		}
	}
}

static void one_frame(struct lab *l, uint64_t *random)
{
	uint8_t frame[100], src[6], dst[6];
	struct net_frame f;
	unsigned calls;
	uint64_t start;

	station_mac(src, 0, 0);
	station_mac(dst, 1, 0);
	make_frame(frame, sizeof(frame), dst, src, random);
	pump(l);
	calls = l->calls[1];
	driver_ring_call_enable(&l->nd[1]->queue[0].ring);
	start = now_ns();
	send_surely(l->nd[0], 0, frame, sizeof(frame), NULL, NULL);
	do {
		pump(l);
		must(now_ns() - start < LATE_NS, "a frame waits for the end of a sleep");
	} while (l->calls[1] == calls);
	must_equal(net_receive(l->nd[1], 0, &f), 1, "frames when the call comes");
}

static void frames_now_and_then(struct lab *l)
{
	uint64_t random = 1;

	for (unsigned i = 0; i < FRAMES; i++) {
		usleep(random_between(&random, 0, 3000));
		one_frame(l, &random);
	}
}

/* Start all rings again, as a front-end does that has no descriptors. */
static void restart_in_band(struct lab *l, bool polled)
{
	for (unsigned i = 0; i < 2; i++) {
		struct frontend *fe = &l->nd[i]->fe;
		uint32_t base;

		for (unsigned q = 0; q < 2; q++) {
			must_equal(-frontend_get_vring_base(fe, q, &base), 0, "errno of a stop");
			if (polled)
				frontend_set_vring_fd(fe, VHOST_USER_SET_VRING_KICK, q, -1);
			else
				kick(l->nd[i], q);
		}
		must_equal(-frontend_sync(fe), 0, "errno after the start");
	}
}

static uint64_t counter(struct switch_process *sw, unsigned port, unsigned ring, const char *name)
{
	json_t *stats = switch_stats(sw), *q;
	uint64_t value = UINT64_MAX;
	size_t i;

	json_array_foreach(
	    json_object_get(json_array_get(json_object_get(stats, "ports"), port), "queues"), i, q)
	{
		if (json_integer_value(json_object_get(q, "index")) == ring)
			value = json_integer_value(json_object_get(q, name));
	}
	json_decref(stats);
	must(value != UINT64_MAX, name);
	return value;
}

static void in_band(uint64_t features)
{
	struct lab l;

	open_lab(&l, features, INBAND);
	restart_in_band(&l, false);
	frames_now_and_then(&l);
	must_equal(-frontend_open_channel(&l.nd[1]->fe), 0, "errno of another channel");
	frames_now_and_then(&l);
	must(counter(&l.sw, 1, 0, "calls") >= FRAMES, "calls are not counted");
	must(counter(&l.sw, 0, 1, "calls_suppressed") > FRAMES / 2,
	    "what a polling driver is not told of is not counted");
	close_lab(&l);
}

static void test_a_ring_without_kicks_is_polled(void **state)
{
	struct lab l;

	(void)state;
	open_lab(&l, FEATURES_BASE, INBAND);
	restart_in_band(&l, true);
	l.deaf = true;
	frames_now_and_then(&l);
	close_lab(&l);
}

static void test_in_band_notifications_carry_split(void **state)
{
	(void)state;
	in_band(FEATURES_BASE);
}

static void test_in_band_notifications_carry_packed(void **state)
{
	(void)state;
	in_band(FEATURES_PACKED);
}

/* A front-end sends VRING_KICK messages without end and does not read VRING_CALL messages. */
static void test_a_front_end_that_floods_hurts_itself(void **state)
{
	struct net_driver *nd[2];
	struct switch_process sw;
	struct net_config c = usual_config(FEATURES_BASE, 1);
	struct net_driver *flooder;
	struct stream s;
	uint32_t base;

	(void)state;
	switch_option("--inband-notifications");
	switch_start(&sw, 3, 1, false);
	switch_option(NULL);
	for (unsigned i = 0; i < 2; i++)
		nd[i] = attach(&sw, i, &c);
	introduce(nd, 2);
	c.protocol_features = INBAND;
	flooder = attach(&sw, 2, &c);
	frontend_set_vring_fd(&flooder->fe, VHOST_USER_SET_VRING_CALL, 0, -1);
	must_equal(-frontend_get_vring_base(&flooder->fe, 1, &base), 0, "errno of a stop");
	s = usual_stream(nd, 0, 1, 1);
	for (unsigned i = 0; i < FLOOD; i++) {
		kick(flooder, 1);
		if (i % 50 == 0) {
			/* Each of these messages causes a call. */
			frontend_set_vring_fd(&flooder->fe, VHOST_USER_SET_VRING_CALL, 0, -1);
			streams_step(&s, 1);
		}
	}
	streams_settle(&s, 1);
	must(s.received > 100, "the stream hardly ran");
	must_equal(-frontend_sync(&flooder->fe), 0, "errno of the flooder's next message");
	net_driver_destroy(flooder);
	net_driver_destroy(nd[0]);
	net_driver_destroy(nd[1]);
	switch_finish(&sw);
}

/*
 * Answer the offers of doorbells for both rings: take the pages (page[] is where they are mapped),
 * or refuse.
 */
static void take_doorbells(struct net_driver *nd, bool take, char *page[2])
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	unsigned n = take ? 2 : 1;

	for (unsigned i = 0; i < n; i++) {
		struct request offer;
		struct iovec iov = {&offer, 36};
		struct msghdr mh = {.msg_iov = &iov,
		    .msg_iovlen = 1,
		    .msg_control = control,
		    .msg_controllen = sizeof(control)};
		struct {
			struct vhost_header header;
			uint64_t value;
		} __attribute__((packed)) answer = {
		    {VHOST_USER_BACKEND_VRING_HOST_NOTIFIER_MSG, VHOST_REPLY_FLAGS, 8}, !take};
		int fd;

		must_equal(recvmsg(nd->fe.channel_fd, &mh, 0), 36, "bytes of an offer");
		must_equal(offer.header.request, VHOST_USER_BACKEND_VRING_HOST_NOTIFIER_MSG,
		    "a request on the channel");
		must_equal(offer.area.size, 4096, "bytes of a doorbell");
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&mh)), sizeof(fd));
		if (take) {
			page[offer.area.index] = mmap(
			    NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offer.area.offset);
			must(page[offer.area.index] != MAP_FAILED, "the page cannot be mapped");
		}
		close(fd);
		must_equal(send(nd->fe.channel_fd, &answer, sizeof(answer), 0), sizeof(answer),
		    "bytes of an answer");
	}
}

/*
 * Send frames now and then. page: a doorbell, to which the driver writes its kicks; NULL: it uses
 * the eventfd.
 */
static void frames_by_doorbell(struct lab *l, char *page)
{
	for (unsigned i = 0; i < FRAMES; i++) {
		uint64_t random = i, start = now_ns();
		uint8_t frame[100], src[6], dst[6];
		struct net_frame f;

		usleep(random_between(&random, 0, 3000));
		station_mac(src, 0, 0);
		station_mac(dst, 1, 0);
		make_frame(frame, sizeof(frame), dst, src, &random);
		send_surely(l->nd[0], 0, frame, sizeof(frame), NULL, NULL);
		if (page)
			*(volatile uint16_t *)(void *)page = 1;
		while (net_receive(l->nd[1], 0, &f) == 0)
			must(now_ns() - start < LATE_NS, "a frame waits for a kick");
	}
}

static void doorbells(bool take)
{
	char *page[2][2] = {{NULL}};
	int deaf = eventfd(0, EFD_NONBLOCK), heard[2];
	struct lab l;

	switch_option("--host-notifier");
	open_lab(&l, FEATURES_BASE, DOORBELL);
	for (unsigned i = 0; i < 2; i++) {
		take_doorbells(l.nd[i], take, page[i]);
		if (!take)
			continue; /* the driver kicks by eventfd as before */
		heard[i] = l.nd[i]->queue[1].kick_fd;
		l.nd[i]->queue[1].kick_fd = deaf; /* all kicks go to the page */
		memset(page[i][1], 0xff, 4096);
	}
	usleep(50000);
	frames_by_doorbell(&l, page[0][1]);
	for (unsigned i = 0; i < 2; i++) {
		/*
		 * Stop and start the rings. The front-end keeps its pages, and does not answer the
		 * new offers.
		 */
		l.nd[i]->queue[1].kick_fd = take ? heard[i] : l.nd[i]->queue[1].kick_fd;
		must_equal(-net_driver_stop(l.nd[i]), 0, "errno of a stop");
		must_equal(-net_driver_resume(l.nd[i]), 0, "errno of a start");
		l.nd[i]->queue[1].kick_fd = take ? deaf : l.nd[i]->queue[1].kick_fd;
	}
	frames_by_doorbell(&l, page[0][1]);
	for (unsigned i = 0; take && i < 2; i++) {
		l.nd[i]->queue[1].kick_fd = heard[i];
		munmap(page[i][0], 4096);
		munmap(page[i][1], 4096);
	}
	close(deaf);
	close_lab(&l);
	switch_option(NULL);
}

static void test_a_doorbell_needs_no_kick(void **state)
{
	(void)state;
	doorbells(true);
}

static void test_a_refused_doorbell_is_not_missed(void **state)
{
	(void)state;
	doorbells(false);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_in_band_notifications_carry_split),
	    cmocka_unit_test(test_in_band_notifications_carry_packed),
	    cmocka_unit_test(test_a_ring_without_kicks_is_polled),
	    cmocka_unit_test(test_a_front_end_that_floods_hurts_itself),
	    cmocka_unit_test(test_a_doorbell_needs_no_kick),
	    cmocka_unit_test(test_a_refused_doorbell_is_not_missed),
	};

	if (argc > 1)
		switch_binary(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
