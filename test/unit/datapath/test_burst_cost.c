/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What one burst may cost: frames, segments, software work, and looks at rings that are full. And
 * that the counters balance whatever is left out.
 *
 * A sender, and receivers whose rings are filled by the tests; what they ask of the rings is
 * counted, and a call to a driver is a function call here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "bridge/fdb.h"
#include "base/off_cpu.h"
#include "datapath/burst.h"
#include "datapath/forwarding.h"
#include "virtio/driver.h"

#define MEMORY    (16u << 20)
#define RING      1024
#define PORTS     20
#define SENDER    0
#define MSS       1448
#define HEADERS   (14 + 20 + 20)
#define TSO_FRAME (HEADERS + 65000)
#define BUFFER    2048

struct end {
	struct driver_ring driver;
	struct vring ring;
	struct vring_position position;
	struct queue queue;
	struct vring_ops ops; /* with fetches counted */
	unsigned fetches;
};

static struct world {
	uint8_t *memory;
	size_t used;
	struct guest_memory *guest;
	struct port port[PORTS];
	struct end from, to[PORTS];
	struct fdb *fdb;
	struct burst *burst;
	struct forwarding *fwd;
	void (*on_call)(void);
	unsigned calls;
} w;

int __wrap_eventfd_write(int fd, eventfd_t value);

int __wrap_eventfd_write(int fd, eventfd_t value)
{
	(void)fd;
	(void)value;
	w.calls++;
	if (w.on_call)
		w.on_call();
	return 0;
}

static uint8_t *take(size_t bytes)
{
	uint8_t *at = w.memory + w.used;

	w.used += (bytes + 4095) & ~(size_t)4095;
	assert_true(w.used <= MEMORY);
	return at;
}

static unsigned (*real_fetch)(struct vring *vr, struct vring_burst *burst, unsigned max);

static unsigned counted_fetch(struct vring *vr, struct vring_burst *burst, unsigned max)
{
	struct end *e = (struct end *)(void *)((char *)vr - offsetof(struct end, ring));

	e->fetches++;
	return real_fetch(vr, burst, max);
}

static void start(struct end *e, struct port *port, bool receives)
{
	static struct port_calls calls;
	uint64_t features = VIRTIO_BIT(F_VERSION_1) | VIRTIO_BIT(NET_F_MRG_RXBUF);
	struct vring_layout layout = vring_layout(RING, false);
	struct vring_config config = {
	    .direction = receives ? VRING_TRANSMIT : VRING_RECEIVE,
	    .features = features,
	    .size = RING,
	    .desc = take(layout.desc),
	    .driver = take(layout.driver),
	    .device = take(layout.device),
	    .position = &e->position,
	    .memory = w.guest,
	};

	assert_int_equal(vring_start(&e->ring, &config), 0);
	assert_int_equal(
	    driver_ring_init(&e->driver, features, RING, config.desc, config.driver, config.device),
	    0);
	e->ops = *e->ring.ops;
	real_fetch = e->ops.fetch;
	e->ops.fetch = counted_fetch;
	e->ring.ops = &e->ops;
	port->calls = &calls;
	e->queue = (struct queue){.ring = &e->ring,
	    .port = port,
	    .index = receives,
	    .enabled = true,
	    .call_fd = -1,
	    .miss_fd = -1};
}

/* accepts: of all receivers. */
static void open_world(unsigned ports, uint32_t accepts)
{
	struct guest_region region = {.size = MEMORY};
	struct port *port[PORTS];
	struct queue *from = &w.from.queue;
	struct forwarding_config config = {
	    .n_ports = ports, .port = port, .n_queues = 1, .queue = &from, .n_workers = 1};

	memset(&w, 0, sizeof(w));
	w.memory = calloc(1, MEMORY);
	assert_non_null(w.memory);
	region.host = w.memory;
	assert_int_equal(guest_memory_create(&region, 1, &w.guest), 0);
	w.fdb = fdb_create(1024, 300);
	assert_int_equal(burst_create(w.fdb, &w.burst), 0);
	for (unsigned i = 0; i < ports; i++) {
		w.port[i] = (struct port){.index = i,
		    .hdr_len = VIRTIO_NET_HDR_LEN,
		    .accepts = accepts,
		    .sends_offload = true,
		    .n_deliver = 1,
		    .deliver = {&w.to[i].queue}};
		port[i] = &w.port[i];
		start(&w.to[i], &w.port[i], false);
	}
	start(&w.from, &w.port[SENDER], true);
	assert_int_equal(forwarding_create(&config, &w.fwd), 0);
}

static void close_world(void)
{
	forwarding_destroy(w.fwd);
	burst_destroy(w.burst);
	fdb_destroy(w.fdb);
	guest_memory_destroy(w.guest);
	driver_ring_cleanup(&w.from.driver);
	for (unsigned i = 0; i < PORTS; i++)
		driver_ring_cleanup(&w.to[i].driver);
	free(w.memory);
}

static void offer(struct end *e, uint8_t *buffer, uint32_t len, unsigned n)
{
	struct driver_buffer b = {.addr = buffer - w.memory, .len = len};
	bool in = e != &w.from;

	for (; n; n--)
		assert_int_equal(driver_ring_add(&e->driver, &b, !in, in, e), 0);
	driver_ring_publish(&e->driver);
}

/* A frame with its net header, from port 0 to the port; to all of them: 255. */
static uint8_t *make_frame(uint8_t to, uint32_t len, uint16_t gso_size)
{
	uint8_t *at = take(VIRTIO_NET_HDR_LEN + len), *frame = at + VIRTIO_NET_HDR_LEN;
	struct virtio_net_hdr net = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
	    .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
	    .hdr_len = HEADERS,
	    .gso_size = gso_size,
	    .csum_start = 34,
	    .csum_offset = 16};

	if (gso_size)
		memcpy(at, &net, sizeof(net));
	memset(frame, to == 255 ? 255 : 0, 6);
	frame[0] |= 2;
	frame[5] = to;
	memcpy(frame + 6, "\2\0\0\0\0\0\x08\0\x45", 9);
	frame[16] = (len - 14) >> 8;
	frame[17] = len - 14;
	frame[23] = 6; /* TCP */
	frame[46] = 5 << 4;
	return at;
}

static void send_frames(uint8_t to, uint32_t len, uint16_t gso_size, unsigned n)
{
	const uint8_t mac[6] = {2, 0, 0, 0, 0, to};

	if (to != 255)
		fdb_learn(w.fdb, mac_load(mac), to, 0);
	offer(&w.from, make_frame(to, len, gso_size), VIRTIO_NET_HDR_LEN + len, n);
}

static unsigned run(void)
{
	return burst_run(w.burst, w.fwd, &w.from.queue, 0, BURST_FRAMES);
}

static uint64_t delivered(unsigned port)
{
	return w.to[port].queue.stats.frames;
}

static uint64_t drops(unsigned port, enum drop_reason reason)
{
	return w.to[port].queue.stats.drops[reason];
}

static void assert_balance(void)
{
	const struct queue_stats *s = &w.from.queue.stats;
	uint64_t out = 0, in = s->unicast + s->flooded;

	for (unsigned i = 0; i < DROP_N; i++)
		in += s->drops[i];
	assert_int_equal(s->frames, in);
	for (unsigned p = 0; p < PORTS; p++) {
		out += delivered(p);
		for (unsigned i = 0; i < DROP_N; i++)
			out += drops(p, i);
	}
	assert_int_equal(s->unicast + s->flood_copies + s->segments, out);
}

/* Until all have been taken. How many bursts that were. */
static unsigned run_all(unsigned frames, unsigned most)
{
	unsigned bursts = 0, n;

	for (; frames; frames -= n, bursts++) {
		n = run();
		assert_true(n > 0 && n <= most && n <= frames);
		assert_balance();
	}
	assert_int_equal(run(), 0);
	return bursts;
}

static void a_burst_takes_so_many_bytes_and_leaves_the_rest(void **state)
{
	(void)state;
	for (unsigned gso = 0; gso < 2; gso++) {
		open_world(2, UINT32_MAX);
		offer(&w.to[1], take(70000), 70000, 32);
		send_frames(1, TSO_FRAME, gso ? 8948 : 0, 32);
		assert_int_equal(run_all(32, BURST_BYTES / 65000), 4);
		assert_int_equal(delivered(1), 32);
		assert_int_equal(w.from.queue.stats.bytes, 32 * TSO_FRAME);
		close_world();
	}
}

static void a_burst_takes_so_many_segments_and_leaves_the_rest(void **state)
{
	const unsigned each = 250;

	(void)state;
	open_world(2, 0);
	offer(&w.to[1], take(BUFFER), BUFFER, 4 * each);
	send_frames(1, HEADERS + each * 44, 44, 4);
	assert_int_equal(run_all(4, BURST_SEGMENTS / each), 2);
	assert_int_equal(delivered(1), 4 * each);
	close_world();
}

static void a_frame_of_too_many_segments_is_not_looked_at(void **state)
{
	(void)state;
	open_world(PORTS, 0);
	for (unsigned p = 1; p < PORTS; p++)
		offer(&w.to[p], take(BUFFER), BUFFER, RING);
	send_frames(255, TSO_FRAME, 44, 32);
	run_all(32, 8);
	assert_int_equal(w.burst->work, BURST_WORK);
	assert_int_equal(drops(1, DROP_CANNOT_SEGMENT), 32);
	/* The smallest usual MSS, and the most segments there may be. */
	send_frames(1, TSO_FRAME, 536, 1);
	assert_int_equal(run(), 1);
	assert_int_equal(delivered(1), (65000 - 1) / 536 + 1);
	assert_balance();
	close_world();
}

/* MTU and 22 bytes of frame, or of each segment; the port's own MTU counts. */
static void frames_longer_than_the_mtu_are_dropped(void **state)
{
	const struct {
		uint32_t len;
		uint16_t gso_size;
		bool good;
	} sent[] = {
	    {1500 + 22, 0, true}, {1500 + 23, 0, false}, {TSO_FRAME, 1500 + 22 - HEADERS, true},
	    {TSO_FRAME, 1500 + 23 - HEADERS, false}, {1000, 9000, true}, /* less than a segment */
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(sent); i++) {
		open_world(2, UINT32_MAX);
		w.port[SENDER].mtu = 1500;
		offer(&w.to[1], take(70000), 70000, 2);
		send_frames(1, sent[i].len, sent[i].gso_size, 1);
		send_frames(1, 64, 0, 1);
		assert_int_equal(run(), 2);
		assert_int_equal(delivered(1), 1 + sent[i].good);
		assert_int_equal(w.from.queue.stats.drops[DROP_OVERSIZE], !sent[i].good);
		assert_balance();
		close_world();
	}
}

/* A native receiver would get it as it is. */
static void a_header_of_another_kind_is_dropped(void **state)
{
	uint8_t *frame;

	(void)state;
	open_world(2, UINT32_MAX);
	offer(&w.to[1], take(70000), 70000, 1);
	frame = make_frame(1, 3000, MSS);
	frame[VIRTIO_NET_HDR_LEN + 23] = 17; /* UDP */
	fdb_learn(w.fdb, mac_load(frame + VIRTIO_NET_HDR_LEN), 1, 0);
	offer(&w.from, frame, VIRTIO_NET_HDR_LEN + 3000, 1);
	assert_int_equal(run(), 1);
	assert_int_equal(w.from.queue.stats.drops[DROP_BAD_OFFLOAD], 1);
	assert_balance();
	close_world();
}

/* Neither of the frame that found too few buffers nor of those behind it. */
static void segments_that_find_no_buffer_are_not_made(void **state)
{
	uint32_t work = BURST_WORK - TSO_FRAME - 10 * SEGMENT_WORK;

	(void)state;
	open_world(2, 0);
	offer(&w.to[1], take(BUFFER), BUFFER, 10);
	send_frames(1, TSO_FRAME, MSS, 8);
	assert_int_equal(run(), 8);
	assert_int_equal(w.burst->work, work);
	assert_int_equal(delivered(1), 10);
	assert_int_equal(drops(1, DROP_RING_FULL), 35 + 7);
	assert_balance();
	/* An empty ring takes no work at all. */
	send_frames(1, TSO_FRAME, MSS, 8);
	assert_int_equal(run(), 8);
	assert_int_equal(w.burst->work, BURST_WORK);
	assert_balance();
	close_world();
}

static void more_buffers(void)
{
	offer(&w.to[1], take(BUFFER), BUFFER, 20);
}

/* It is not lost in part, however often it has to wait. */
static void a_sleeping_guest_is_called_before_a_frame_is_given_up(void **state)
{
	(void)state;
	for (unsigned shared = 0; shared < 2; shared++) {
		open_world(2, 0);
		w.to[1].queue.call_fd = 3;
		w.to[1].queue.shared = shared;
		w.on_call = more_buffers;
		offer(&w.to[1], take(BUFFER), BUFFER, 10);
		send_frames(1, TSO_FRAME, MSS, 1);
		assert_int_equal(run(), 1);
		assert_int_equal(delivered(1), 45);
		assert_int_equal(drops(1, DROP_RING_FULL), 0);
		assert_true(w.calls >= 2);
		assert_balance();
		close_world();
	}
}

/* An eventfd that may be slow is written by others. */
static void a_driver_is_called_if_its_eventfd_is_known_to_be_quick(void **state)
{
	atomic_uint trust;

	(void)state;
	for (unsigned quick = 0; quick < 2; quick++) {
		open_world(2, 0);
		trust = 6 + quick;
		w.to[1].queue.call_fd = 3;
		w.to[1].queue.call_trust = &trust;
		offer(&w.to[1], take(BUFFER), BUFFER, 10);
		send_frames(1, 100, 0, 5);
		assert_int_equal(run(), 5);
		assert_int_equal(delivered(1), 5);
		assert_int_equal(w.calls, quick);
		assert_int_equal(w.to[1].queue.call_left, !quick);
		assert_int_equal(atomic_exchange(&w.port[1].calls->left, false), !quick);
		assert_int_equal(w.burst->noted, !quick);
		close_world();
	}
}

/* Both clocks at the same time, unless this process loses its CPU each time it looks. */
static void read_clocks(uint64_t *ret_cycles, int64_t *ret_ns)
{
	do {
		*ret_cycles = rte_rdtsc();
		*ret_ns = off_cpu_clock(CLOCK_MONOTONIC);
	} while (rte_rdtsc() - *ret_cycles > 20000);
}

static uint64_t cycles_of_100_us(void)
{
	uint64_t cycles[2];
	int64_t ns[2];

	read_clocks(&cycles[0], &ns[0]);
	usleep(10000);
	read_clocks(&cycles[1], &ns[1]);
	return (cycles[1] - cycles[0]) * 100000 / (ns[1] - ns[0]);
}

static void sleep_5_ms(void)
{
	usleep(5000);
}

static void work_for_5_ms(void)
{
	int64_t start = off_cpu_clock(CLOCK_THREAD_CPUTIME_ID);

	while (off_cpu_clock(CLOCK_THREAD_CPUTIME_ID) - start < 5000000)
		;
}

/* What the port is called after a call in which the worker did that. */
static bool is_called_slow(void (*in_call)(void))
{
	bool slow;
	int64_t off;

	open_world(2, 0);
	w.burst->slow_call = cycles_of_100_us();
	do
		off = off_cpu_ns(CLOCK_THREAD_CPUTIME_ID);
	while (off < 0);
	w.burst->off_cpu = off;
	w.to[1].queue.call_fd = 3;
	w.on_call = in_call;
	offer(&w.to[1], take(BUFFER), BUFFER, 10);
	send_frames(1, 100, 0, 5);
	assert_int_equal(run(), 5);
	assert_int_equal(w.calls, 1);
	slow = atomic_exchange(&w.port[1].calls->slow, false);
	close_world();
	return slow;
}

/*
 * A call is slow by the time that it uses; the worker's core may have been somebody else's. So may
 * this test's, before or after: what is wrong is wrong each time.
 */
static void who_loses_its_cpu_in_a_call_does_not_blame_the_driver(void **state)
{
	unsigned innocent = 0, guilty = 0;

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		innocent += !is_called_slow(sleep_5_ms);
		guilty += is_called_slow(work_for_5_ms);
	}
	assert_in_range(innocent, 10, 20);
	assert_in_range(guilty, 10, 20);
}

static void full_rings_share_the_looks_of_a_burst(void **state)
{
	(void)state;
	open_world(PORTS, 0);
	send_frames(255, 100, 0, 32);
	assert_int_equal(run(), 32);
	assert_int_equal(w.burst->retries, 0);
	for (unsigned p = 1; p < PORTS; p++) {
		assert_int_equal(drops(p, DROP_RING_FULL), 32);
		assert_true(w.to[p].fetches <= 2); /* nothing had changed since the first visit */
	}
	assert_balance();
	close_world();
}

static void broken_rings_are_not_looked_at_again(void **state)
{
	(void)state;
	open_world(PORTS, 0);
	for (unsigned p = 1; p < PORTS; p++)
		w.to[p].ring.broken = VRING_BREAK_AVAIL_JUMP;
	send_frames(255, 100, 0, 32);
	assert_int_equal(run(), 32);
	assert_int_equal(w.burst->retries, BURST_RETRIES);
	assert_int_equal(drops(1, DROP_RING_BROKEN), 32);
	assert_balance();
	close_world();
}

/* One TSO frame costs each destination that cannot take it: there is an end to that. */
static void a_flood_has_only_so_much_done_in_software(void **state)
{
	uint64_t cut = 0, limited = 0;

	(void)state;
	open_world(PORTS, 0);
	for (unsigned p = 1; p < PORTS; p++)
		offer(&w.to[p], take(BUFFER), BUFFER, RING);
	send_frames(255, TSO_FRAME, MSS, 8);
	assert_int_equal(run(), 8);
	for (unsigned p = 1; p < PORTS; p++) {
		cut += delivered(p);
		limited += drops(p, DROP_SOFTWARE_LIMIT);
	}
	assert_true(limited > 0);
	assert_true(cut >= 45 * 8); /* the whole burst for one destination */
	assert_true(cut <= BURST_WORK / SEGMENT_WORK);
	assert_balance();
	close_world();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_burst_takes_so_many_bytes_and_leaves_the_rest),
	    cmocka_unit_test(a_burst_takes_so_many_segments_and_leaves_the_rest),
	    cmocka_unit_test(a_frame_of_too_many_segments_is_not_looked_at),
	    cmocka_unit_test(frames_longer_than_the_mtu_are_dropped),
	    cmocka_unit_test(a_header_of_another_kind_is_dropped),
	    cmocka_unit_test(segments_that_find_no_buffer_are_not_made),
	    cmocka_unit_test(a_sleeping_guest_is_called_before_a_frame_is_given_up),
	    cmocka_unit_test(a_driver_is_called_if_its_eventfd_is_known_to_be_quick),
	    cmocka_unit_test(who_loses_its_cpu_in_a_call_does_not_blame_the_driver),
	    cmocka_unit_test(full_rings_share_the_looks_of_a_burst),
	    cmocka_unit_test(broken_rings_are_not_looked_at_again),
	    cmocka_unit_test(a_flood_has_only_so_much_done_in_software),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
