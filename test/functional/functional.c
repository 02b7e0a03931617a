/* SPDX-License-Identifier: BSD-3-Clause */
#include "functional.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT_NS  UINT64_C(5000000000)
#define PATIENCE_MS 8000
#define LOST_NS     UINT64_C(300000000) /* a frame that has not arrived by then is lost */

void must_at(bool condition, const char *what, const char *file, int line)
{
	if (condition)
		return;
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	print_switch_log();
	fail_msg("%s", what);
}

void must_equal_at(uint64_t got, uint64_t wanted, const char *what, const char *file, int line)
{
	if (got != wanted)
		fprintf(stderr, "%" PRIu64 " where %" PRIu64 " was expected\n", got, wanted);
	must_at(got == wanted, what, file, line);
}

bool allow_descriptors(unsigned n)
{
	struct rlimit limit;

	must_equal(getrlimit(RLIMIT_NOFILE, &limit), 0, "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	must_equal(setrlimit(RLIMIT_NOFILE, &limit), 0, "setrlimit");
	return limit.rlim_cur >= n;
}

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * UINT64_C(1000000000) + ts.tv_nsec;
}

uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

uint32_t random_between(uint64_t *state, uint32_t low, uint32_t high)
{
	return low + random_next(state) % ((uint64_t)high - low + 1);
}

void random_fill(uint64_t *state, void *bytes, uint32_t len)
{
	uint8_t *at = bytes;

	while (len) {
		uint64_t r = random_next(state);
		uint32_t part = MIN(len, sizeof(r));

		memcpy(at, &r, part);
		at += part;
		len -= part;
	}
}

struct net_config usual_config(uint64_t features, unsigned n_pairs)
{
	return (struct net_config){
	    .n_pairs = n_pairs,
	    .ring_size = 256,
	    .features = features,
	    .receive_shape = {.n = 1, .len = {2048}, .gap = 16},
	};
}

int connect_patiently(struct net_driver *nd, const char *path)
{
	int usual_ms = nd->fe.timeout_ms, err;

	nd->fe.timeout_ms = PATIENCE_MS;
	err = net_driver_connect(nd, path);
	nd->fe.timeout_ms = usual_ms;
	return err;
}

struct net_driver *attach(struct switch_process *sw, unsigned port, const struct net_config *c)
{
	struct net_driver *nd;
	int err = net_driver_create(c, &nd);

	must_equal(-err, 0, "errno of net_driver_create");
	err = connect_patiently(nd, sw->path[port]);
	must_equal(-err, 0, "errno of net_driver_connect");
	nd->fe.timeout_ms = PATIENCE_MS;
	return nd;
}

void station_mac(uint8_t mac[6], unsigned station, unsigned host)
{
	memcpy(mac, (uint8_t[6]){2, 0, 0, station, host >> 8, host}, 6);
}

void make_frame(
    uint8_t *frame, uint32_t len, const uint8_t dst[6], const uint8_t src[6], uint64_t *random)
{
	memcpy(frame, dst, 6);
	memcpy(frame + 6, src, 6);
	frame[12] = ETHERTYPE_TEST >> 8;
	frame[13] = ETHERTYPE_TEST & 0xff;
	random_fill(random, frame + 14, len - 14);
}

void send_surely(struct net_driver *nd, unsigned pair, const void *frame, uint32_t len,
    const struct virtio_net_hdr *hdr, const struct net_shape *shape)
{
	uint64_t deadline = now_ns() + TIMEOUT_NS;
	int err;

	while ((err = net_send(nd, pair, frame, len, hdr, shape)) == -EAGAIN) {
		must(now_ns() < deadline, "vswitchd takes no frames");
		usleep(50);
	}
	must_equal(-err, 0, "errno of net_send");
}

void make_flow(uint8_t frame[FLOW_LEN], const uint8_t dst[6], const uint8_t src[6], uint8_t flow)
{
	const uint8_t headers[] = {8, 0, 0x45, 0, 0, 50, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10,
	    0, 0, 2, 4, flow, 0, 53, 0, 30};

	memset(frame, 0, FLOW_LEN);
	memcpy(frame, dst, 6);
	memcpy(frame + 6, src, 6);
	memcpy(frame + 12, headers, sizeof(headers));
}

void wait_handled(struct net_driver *nd)
{
	uint64_t deadline = now_ns() + TIMEOUT_NS;

	for (unsigned pair = 0; pair < nd->config.n_pairs; pair++) {
		while (net_reap_sent(nd, pair) >= 0 && nd->queue[2ul * pair + 1].n_outstanding) {
			must(now_ns() < deadline, "vswitchd does not return the buffers of frames");
			usleep(50);
		}
		must(net_reap_sent(nd, pair) == 0, "vswitchd wrote nonsense into a ring");
	}
}

bool receive_within(
    struct net_driver *nd, unsigned pair, struct net_frame *ret_frame, unsigned timeout_ms)
{
	uint64_t deadline = now_ns() + timeout_ms * UINT64_C(1000000);
	int got;

	while ((got = net_receive(nd, pair, ret_frame)) == 0) {
		if (now_ns() >= deadline)
			return false;
		net_wait(nd, pair, 1);
	}
	must(got > 0, "vswitchd wrote nonsense into a ring or beyond a buffer");
	return true;
}

unsigned drain(struct net_driver *nd, unsigned quiet_ms)
{
	struct net_frame f;
	unsigned n = 0;

	for (unsigned pair = 0; pair < nd->config.n_pairs; pair++)
		while (receive_within(nd, pair, &f, quiet_ms))
			n++;
	return n;
}

/*
 * Wait until the broadcasts of all other stations have arrived, so that no broadcast arrives later.
 */
static void hear_others(struct net_driver *nd, unsigned n)
{
	uint64_t deadline = now_ns() + TIMEOUT_NS;
	struct net_frame f;

	while (n > 0) {
		must(now_ns() < deadline, "a broadcast does not arrive");
		for (unsigned pair = 0; pair < nd->config.n_pairs && n > 0; pair++)
			n -= receive_within(nd, pair, &f, 1);
	}
}

void introduce(struct net_driver *nd[], unsigned n)
{
	static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};
	uint64_t random = 1;

	for (unsigned i = 0; i < n; i++) {
		uint8_t frame[60], mac[6];

		station_mac(mac, i, 0);
		make_frame(frame, sizeof(frame), all, mac, &random);
		send_surely(nd[i], 0, frame, sizeof(frame), NULL, NULL);
	}
	for (unsigned i = 0; i < n; i++)
		hear_others(nd[i], n - 1);
}

void (*streams_other)(struct net_driver *nd, const struct net_frame *f);

struct stream usual_stream(struct net_driver *nd[], unsigned from, unsigned to, unsigned id)
{
	struct stream s = {
	    .from = nd[from], .to = nd[to], .id = id, .window = 64, .len_min = 60, .len_max = 1514};

	station_mac(s.src, from, 0);
	station_mac(s.dst, to, 0);
	return s;
}

void attach_neighbours(
    struct switch_process *sw, struct net_driver *ret_nd[2], struct stream ret_s[2])
{
	for (unsigned i = 0; i < 2; i++) {
		struct net_config c = usual_config(i ? FEATURES_PACKED : FEATURES_BASE, 1);

		c.ring_size = 1024;
		ret_nd[i] = attach(sw, i, &c);
	}
	introduce(ret_nd, 2);
	ret_s[0] = usual_stream(ret_nd, 0, 1, 1);
	ret_s[1] = usual_stream(ret_nd, 1, 0, 2);
}

/* Behind the addresses: id, number, then bytes that follow from both. */
#define STREAM_HEADER 30

static uint32_t stream_frame(const struct stream *s, uint64_t number, uint8_t *frame)
{
	uint64_t random = number * 0x10001 + s->id;
	uint32_t magic = 0x57aea000 | s->id;
	uint32_t len = random_between(&random, s->len_min, s->len_max);

	make_frame(frame, len, s->dst, s->src, &random);
	memcpy(frame + 14, &magic, 4);
	memcpy(frame + 18, &number, 8);
	return len;
}

bool stream_send(struct stream *s)
{
	uint8_t frame[NET_FRAME_MAX];
	bool any = false;

	if (s->sent == s->received)
		s->progress_ns = now_ns();
	for (unsigned i = 0; i < 8 && s->sent - s->received < s->window; i++) {
		uint32_t len = stream_frame(s, s->sent, frame);
		int err = net_send(s->from, s->from_pair, frame, len, NULL, NULL);

		if (err == -EAGAIN)
			break;
		must_equal(-err, 0, "errno of net_send");
		s->sent++;
		any = true;
	}
	return any;
}

static void stream_forgive(struct stream *s, uint64_t next)
{
	s->lost += next - s->received;
	s->received = next;
}

/*
 * To be called if no frame came for so long that the frames under way count as lost. They may still
 * come later, because a machine can stand still for a while.
 */
static void stream_give_up(struct stream *s)
{
	if (s->late_next == s->late_end || s->late_end != s->received)
		s->late_next = s->received;
	s->late_end = s->sent;
	stream_forgive(s, s->sent);
	s->progress_ns = now_ns();
}

static bool stream_was_late(struct stream *s, uint64_t number)
{
	if (!s->lossy || number < s->late_next || number >= s->late_end)
		return false;
	s->late_next = number + 1;
	s->lost--;
	return true;
}

static bool stream_take(struct stream s[], unsigned n, const struct net_frame *f)
{
	uint8_t expected[NET_FRAME_MAX];
	uint32_t magic, len;
	uint64_t number;

	if (f->len < STREAM_HEADER)
		return false;
	memcpy(&magic, f->bytes + 14, 4);
	for (unsigned i = 0; i < n; i++) {
		if (magic != (0x57aea000 | s[i].id))
			continue;
		memcpy(&number, f->bytes + 18, 8);
		if (s[i].lossy && number > s[i].received && number < s[i].sent)
			stream_forgive(&s[i], number);
		len = stream_frame(&s[i], number, expected);
		must_equal(f->len, len, "length of a frame");
		must(memcmp(f->bytes, expected, len) == 0, "the bytes of a frame changed");
		if (stream_was_late(&s[i], number))
			return true;
		must_equal(number, s[i].received, "number of the next frame of a stream");
		s[i].received++;
		s[i].progress_ns = now_ns();
		return true;
	}
	return false;
}

unsigned streams_receive(struct stream s[], unsigned n, struct net_driver *nd)
{
	unsigned taken = 0;

	for (unsigned pair = 0; pair < nd->config.n_pairs; pair++) {
		struct net_frame f;
		int got;

		while ((got = net_receive(nd, pair, &f)) > 0) {
			if (stream_take(s, n, &f))
				taken++;
			else if (streams_other)
				streams_other(nd, &f);
		}
		must(got == 0, "vswitchd wrote nonsense into a ring or beyond a buffer");
	}
	return taken;
}

void streams_step(struct stream s[], unsigned n)
{
	bool any = false;

	for (unsigned i = 0; i < n; i++) {
		if (s[i].lossy && s[i].sent - s[i].received >= s[i].window &&
		    now_ns() - s[i].progress_ns > LOST_NS)
			stream_give_up(&s[i]);
		net_serve(s[i].from);
		any |= stream_send(&s[i]);
	}
	for (unsigned i = 0; i < n; i++)
		any |= streams_receive(s, n, s[i].to) != 0;
	if (!any)
		usleep(20); /* the switch may need this core */
}

void streams_settle(struct stream s[], unsigned n)
{
	uint64_t deadline = now_ns() + TIMEOUT_NS;

	for (unsigned i = 0; i < n; i++) {
		while (s[i].received < s[i].sent) {
			net_serve(s[i].from);
			if (streams_receive(s, n, s[i].to) == 0)
				usleep(20);
			if (s[i].lossy && now_ns() > deadline - TIMEOUT_NS + LOST_NS)
				stream_give_up(&s[i]);
			if (now_ns() > deadline)
				must_equal(s[i].received, s[i].sent, "frames of a stream");
		}
	}
}

void streams_run(struct stream s[], unsigned n, unsigned ms)
{
	uint64_t end = now_ns() + ms * UINT64_C(1000000);

	while (now_ns() < end)
		streams_step(s, n);
	streams_settle(s, n);
}

static int compare_ns(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

void sort_delays(uint64_t ns[], unsigned n)
{
	qsort(ns, n, sizeof(*ns), compare_ns);
}

uint64_t measure_delay(struct net_driver *nd[2], uint64_t number)
{
	uint8_t frame[64], src[6], dst[6];
	uint64_t start, magic = 0x646c6179 + (number << 32);
	struct net_frame f;

	station_mac(src, 0, 0);
	station_mac(dst, 1, 0);
	make_frame(frame, sizeof(frame), dst, src, &number);
	memcpy(frame + 14, &magic, sizeof(magic));
	start = now_ns();
	send_surely(nd[0], 0, frame, sizeof(frame), NULL, NULL);
	for (;;) {
		int got = net_receive(nd[1], 0, &f);

		must(got >= 0, "a ring was broken");
		if (got && f.len == sizeof(frame) && memcmp(f.bytes, frame, sizeof(frame)) == 0)
			return now_ns() - start;
		must(now_ns() - start < UINT64_C(2000000000), "a frame is lost");
	}
}

void measure_delays(struct net_driver *nd[2], uint64_t ret_ns[], unsigned n,
    void (*meanwhile)(void *arg), void *arg)
{
	uint64_t next = now_ns();

	for (unsigned i = 0; i < n; i++) {
		struct net_frame f;

		if (meanwhile)
			meanwhile(arg);
		while (net_receive(nd[0], 0, &f) > 0 || now_ns() < next)
			;
		ret_ns[i] = measure_delay(nd, i);
		next = now_ns() + 1000000;
	}
	sort_delays(ret_ns, n);
}

void fill_eventfd(int fd)
{
	const uint64_t full = UINT64_MAX - 1;

	must_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0, "fcntl");
	for (uint64_t count; read(fd, &count, sizeof(count)) > 0;)
		; /* empty it first */
	must_equal(write(fd, &full, sizeof(full)), sizeof(full), "filling an eventfd");
	must_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0, "fcntl");
}
