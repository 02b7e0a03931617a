/* SPDX-License-Identifier: BSD-3-Clause */
#include "burst_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "datapath/vhost_queue.h"

struct world w;

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

uint8_t *take(size_t bytes)
{
	uint8_t *at = w.memory + w.used;

	w.used += (bytes + 4095) & ~(size_t)4095;
	assert_true(w.used <= MEMORY);
	return at;
}

static unsigned (*real_fetch)(struct vring *vr, struct vring_batch *batch, unsigned max);

static unsigned counted_fetch(struct vring *vr, struct vring_batch *batch, unsigned max)
{
	struct end *e = (struct end *)(void *)((char *)vr - offsetof(struct end, ring));

	e->fetches++;
	return real_fetch(vr, batch, max);
}

static void start(struct end *e, struct port *port, bool receives)
{
	static struct port_calls calls;
	uint64_t features = VIRTIO_BIT(F_VERSION_1) | VIRTIO_BIT(NET_F_MRG_RXBUF) |
	    (w.packed ? VIRTIO_BIT(F_RING_PACKED) : 0);
	struct vring_layout layout = vring_layout(RING, w.packed);
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

	e->position = vring_position_initial(w.packed);
	assert_int_equal(vring_start(&e->ring, &config), 0);
	assert_int_equal(
	    driver_ring_init(&e->driver, features, RING, config.desc, config.driver, config.device),
	    0);
	e->ops = *e->ring.ops;
	real_fetch = e->ops.fetch;
	e->ops.fetch = counted_fetch;
	e->ring.ops = &e->ops;
	port->calls = &calls;
	e->queue = (struct queue){
	    .port = port, .index = receives, .enabled = true, .call_fd = -1, .miss_fd = -1};
	vhost_queue_set(&e->queue, &e->ring);
}

void open_world_with(const struct world_options *options)
{
	struct guest_region region = {.size = MEMORY};
	struct port *port[PORTS_MAX];
	struct queue *from = &w.from.queue;
	struct bridge_setup bridge[BRIDGES] = {0};
	struct forwarding_config config = {.n_bridges = BRIDGES,
	    .bridge = bridge,
	    .n_ports = options->ports,
	    .port = port,
	    .n_queues = 1,
	    .queue = &from,
	    .n_workers = 1};

	memset(&w, 0, sizeof(w));
	w.ports = options->ports;
	w.packed = options->packed;
	/* Not malloc(), which would touch all of the memory if MALLOC_PERTURB_ is set. */
	w.memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(w.memory, MAP_FAILED);
	region.host = w.memory;
	assert_int_equal(guest_memory_create(&region, 1, &w.guest), 0);
	w.fdb = fdb_create(1024, 300);
	bridge[0] = (struct bridge_setup){.fdb = w.fdb, .vlans = options->vlans};
	bridge[1] = (struct bridge_setup){.fdb = w.fdb};
	assert_int_equal(burst_create(&w.burst), 0);
	for (unsigned i = 0; i < w.ports; i++) {
		w.port[i] = (struct port){.index = i,
		    .bridge = options->bridge ? options->bridge[i] : 0,
		    .policy = options->policy ? options->policy[i] : &port_policy_none,
		    .hdr_len = VIRTIO_NET_HDR_LEN,
		    .accepts = options->accepts,
		    .sends_offload = true,
		    .n_egress = 1,
		    .egress = {&w.to[i].queue}};
		port[i] = &w.port[i];
		start(&w.to[i], &w.port[i], false);
	}
	start(&w.from, &w.port[SENDER], true);
	assert_int_equal(forwarding_create(&config, &w.fwd), 0);
}

void open_world(unsigned ports, uint32_t accepts)
{
	open_world_with(&(struct world_options){.ports = ports, .accepts = accepts});
}

void close_world(void)
{
	forwarding_destroy(w.fwd);
	burst_destroy(w.burst);
	fdb_destroy(w.fdb);
	guest_memory_destroy(w.guest);
	driver_ring_cleanup(&w.from.driver);
	for (unsigned i = 0; i < w.ports; i++)
		driver_ring_cleanup(&w.to[i].driver);
	munmap(w.memory, MEMORY);
}

void offer(struct end *e, uint8_t *buffer, uint32_t len, unsigned n)
{
	struct driver_buffer b = {.addr = buffer - w.memory, .len = len};
	bool in = e != &w.from;

	for (; n; n--)
		assert_int_equal(driver_ring_add(&e->driver, &b, !in, in, e), 0);
	driver_ring_publish(&e->driver);
}

uint8_t *make_frame(uint8_t to, uint32_t len, uint16_t gso_size)
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

void send_frames(uint8_t to, uint32_t len, uint16_t gso_size, unsigned n)
{
	const uint8_t mac[6] = {2, 0, 0, 0, 0, to};

	if (to != 255)
		fdb_learn(w.fdb, mac_load(mac), to, 0);
	offer(&w.from, make_frame(to, len, gso_size), VIRTIO_NET_HDR_LEN + len, n);
}

unsigned run(void)
{
	return burst_run(w.burst, w.fwd, &w.from.queue, 0, BURST_FRAMES);
}

uint64_t delivered(unsigned port)
{
	return w.to[port].queue.stats.frames;
}

uint64_t drops(unsigned port, enum drop_reason reason)
{
	return w.to[port].queue.stats.drops[reason];
}

void assert_balance(void)
{
	const struct queue_stats *s = &w.from.queue.stats;
	uint64_t out = 0, in = s->unicast + s->flooded;

	for (unsigned i = 0; i < DROP_N; i++)
		in += s->drops[i];
	assert_int_equal(s->frames, in);
	for (unsigned p = 0; p < w.ports; p++) {
		out += delivered(p);
		for (unsigned i = 0; i < DROP_N; i++)
			out += drops(p, i);
	}
	assert_int_equal(s->unicast + s->flood_copies + s->gso_segments, out);
}

unsigned run_all(unsigned frames, unsigned most)
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
