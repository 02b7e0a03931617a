/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * Measures what it costs to move frames between two guests without a switch. This is the reference
 * for measurements of the switch. It has two network ports on lib/vhost and one polling thread that
 * sends all frames of one port to the other.
 *
 *	copy	descriptors, one copy, descriptors: the least that a switch must do
 *	ring	only the descriptors; the buffer keeps its old contents
 *
 * Large frames are copied as the switch copies them: no faster way is known.
 *
 * There is no look-up, no snapshot of headers and only one counter. If the destination is full,
 * frames stay with their source. A receive buffer must hold a whole frame. The net header of a
 * guest that may ask for offloads is copied, and its peer must accept the offloads.
 *
 * The polling thread holds a lock for each round; the control thread takes the lock to pause. On
 * SIGUSR1 the counters go to a file, with the names that vswitchd uses.
 *
 * usage: vhost-floor copy|ring CPU STATS-FILE SOCKET SOCKET
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include <event2/event.h>

#include "base/cpu.h"
#include "base/log.h"
#include "base/util.h"
#include "datapath/copy.h"
#include "vhost/endpoint.h"
#include "virtio/vhost_user.h"

#define PORTS 2
#define BURST 32

/* If a guest has none of these features, its net headers are always zero. */
#define MAY_ASK (VIRTIO_BIT(NET_F_CSUM) | VIRTIO_BIT(NET_F_HOST_TSO4) | VIRTIO_BIT(NET_F_HOST_TSO6))

struct floor_port {
	struct vhost_device device;
	bool running;
	bool deaf; /* its driver was told not to kick */
	bool asks; /* its net headers may not be zero */
} CACHE_ALIGNED;

static struct {
	struct floor_port port[PORTS];
	pthread_mutex_t lock;
	bool copies;
	int cpu;
	enum cpu_level level;
	const char *stats_path;
	atomic_bool end;
	_Atomic uint64_t frames, busy_cycles, idle_cycles, turns;
	struct vring_batch in, out;
} fl = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void net_pause(struct vhost_device *dev)
{
	pthread_mutex_lock(&fl.lock);
	CONTAINER_OF(dev, struct floor_port, device)->running = false;
	pthread_mutex_unlock(&fl.lock);
}

static void net_resume(struct vhost_device *dev)
{
	pthread_mutex_lock(&fl.lock);
	CONTAINER_OF(dev, struct floor_port, device)->running = true;
	CONTAINER_OF(dev, struct floor_port, device)->deaf = false;
	CONTAINER_OF(dev, struct floor_port, device)->asks = dev->state.features & MAY_ASK;
	pthread_mutex_unlock(&fl.lock);
}

static enum vring_direction net_ring_direction(const struct vhost_device *dev, unsigned index)
{
	(void)dev;
	return index % 2 ? VRING_TRANSMIT : VRING_RECEIVE;
}

static const struct vhost_device_type net_type = {
    .name = "floor",
    .feature_prefix = "NET_",
    .features = VIRTIO_BIT(F_VERSION_1) | VIRTIO_BIT(F_RING_PACKED) | VIRTIO_BIT(F_EVENT_IDX) |
	VIRTIO_BIT(F_INDIRECT_DESC) | VIRTIO_BIT(F_IN_ORDER) | VIRTIO_BIT(NET_F_MRG_RXBUF) |
	VIRTIO_BIT(F_ANY_LAYOUT) | MAY_ASK | VIRTIO_BIT(NET_F_GUEST_CSUM) |
	VIRTIO_BIT(NET_F_GUEST_TSO4) | VIRTIO_BIT(NET_F_GUEST_TSO6),
    .protocol_features = VHOST_PROTOCOL_BIT(MQ) | VHOST_PROTOCOL_BIT(REPLY_ACK) |
	VHOST_PROTOCOL_BIT(CONFIGURE_MEM_SLOTS) | VHOST_PROTOCOL_BIT(STATUS),
    .n_rings = 2,
    .pause = net_pause,
    .resume = net_resume,
    .ring_direction = net_ring_direction,
};

static struct vhost_vring *ring_of(struct floor_port *port, unsigned index)
{
	struct vhost_vring *ring = port->device.vring[index];

	return port->running && ring && ring->active && ring->enabled ? ring : NULL;
}

/*
 * Ask the drivers not to kick: a kick is a system call, which takes time from the traffic
 * generator.
 */
static void stop_kicks(struct floor_port *port)
{
	for (unsigned i = 0; i < 2; i++) {
		struct vhost_vring *ring = ring_of(port, i);

		if (ring)
			vring_kick_disable(&ring->ring);
	}
	port->deaf = true;
}

static void notify(struct vhost_vring *ring)
{
	if (ring->call_fd >= 0 && vring_call_needed(&ring->ring))
		eventfd_write(ring->call_fd, 1);
}

static ALWAYS_INLINE void copy_part(uint8_t *to, const uint8_t *from, uint32_t n)
{
	if (UNLIKELY(n >= COPY_STREAM_MIN))
		copy_stream(to, from, n, fl.level);
	else
		memcpy(to, from, n);
}

static ALWAYS_INLINE void copy_frame(
    const struct vring_chain *from, const struct vring_chain *to, bool asks)
{
	const struct vring_segment *s = &fl.in.segment[from->segment];
	uint8_t *at = fl.out.segment[to->segment].addr;
	struct virtio_net_hdr net = {.num_buffers = 1};

	if (UNLIKELY(asks && s->len >= VIRTIO_NET_HDR_LEN))
		memcpy(&net, s->addr, offsetof(struct virtio_net_hdr, num_buffers));
	if (memcmp(at, &net, VIRTIO_NET_HDR_LEN) != 0)
		memcpy(at, &net, VIRTIO_NET_HDR_LEN);
	if (LIKELY(from->n_segments == 1 && from->len == VIRTIO_NET_HDR_LEN + 64)) {
		memcpy(at + VIRTIO_NET_HDR_LEN, s->addr + VIRTIO_NET_HDR_LEN, 64);
		return;
	}
	for (uint32_t i = 0, skip = VIRTIO_NET_HDR_LEN; i < from->n_segments; i++, skip = 0) {
		at += skip;
		if (s[i].len > skip)
			copy_part(at, s[i].addr + skip, s[i].len - skip);
		at += s[i].len - MIN(s[i].len, skip);
	}
}

static ALWAYS_INLINE void prefetch(unsigned n)
{
	for (unsigned k = 0; k < n; k++)
		__builtin_prefetch(fl.in.segment[fl.in.chain[k].segment].addr + VIRTIO_NET_HDR_LEN);
	for (unsigned k = 0; k < n; k++) {
		const uint8_t *at = fl.out.segment[fl.out.chain[k].segment].addr;

		__builtin_prefetch(at + VIRTIO_NET_HDR_LEN, 1);
		__builtin_prefetch(at);
	}
}

/* Move a burst from one port to the other. */
static unsigned move(struct floor_port *from, struct floor_port *to)
{
	struct vhost_vring *source = ring_of(from, 1), *target = ring_of(to, 0);
	unsigned n, k;

	if (!source || !target)
		return 0;
	if (UNLIKELY(!from->deaf))
		stop_kicks(from);
	fl.in.n = fl.in.n_segments = fl.out.n = fl.out.n_segments = 0;
	n = vring_fetch(&source->ring, &fl.in, BURST);
	if (n == 0)
		return 0;
	n = vring_fetch(&target->ring, &fl.out, n);
	vring_unfetch(&source->ring, &fl.in, n);
	if (fl.copies)
		prefetch(n);
	for (k = 0; k < n; k++) {
		struct vring_chain *in = &fl.in.chain[k], *out = &fl.out.chain[k];
		bool fits = in->len > VIRTIO_NET_HDR_LEN && out->n_segments &&
		    fl.out.segment[out->segment].len >= in->len;

		out->written = LIKELY(fits) ? in->len : 0;
		if (fl.copies && LIKELY(fits))
			copy_frame(in, out, from->asks);
	}
	vring_complete(&target->ring, &fl.out);
	notify(target);
	vring_complete(&source->ring, &fl.in);
	notify(source);
	return n;
}

/* Only the polling thread writes the counters. */
static void count(_Atomic uint64_t *counter, uint64_t more)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
	    memory_order_relaxed);
}

static void *poll_rings(void *arg)
{
	uint64_t then = cpu_clock();
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(fl.cpu, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	while (!atomic_load_explicit(&fl.end, memory_order_relaxed)) {
		unsigned n = 0;

		pthread_mutex_lock(&fl.lock);
		for (unsigned i = 0; i < PORTS; i++) {
			unsigned moved = move(&fl.port[i], &fl.port[i ^ 1]);
			uint64_t now = cpu_clock();

			/* As in vswitchd, a poll that moved frames counts as busy. */
			count(moved ? &fl.busy_cycles : &fl.idle_cycles, now - then);
			then = now;
			n += moved;
		}
		pthread_mutex_unlock(&fl.lock);
		if (n) {
			count(&fl.frames, n);
			count(&fl.turns, 1);
		} else {
			cpu_pause();
		}
	}
	return arg;
}

static void on_stats(evutil_socket_t fd, short what, void *arg)
{
	char path[4096];
	FILE *file;

	(void)fd;
	(void)what;
	(void)arg;
	snprintf(path, sizeof(path), "%s.new", fl.stats_path);
	file = fopen(path, "w");
	if (!file)
		return;
	fprintf(file,
	    "{\"workers\": [{\"lcore\": %d, \"frames\": %llu, \"bursts\": %llu, "
	    "\"busy_cycles\": %llu, \"idle_cycles\": %llu}]}\n",
	    fl.cpu, (unsigned long long)fl.frames, (unsigned long long)fl.turns,
	    (unsigned long long)fl.busy_cycles, (unsigned long long)fl.idle_cycles);
	fclose(file);
	rename(path, fl.stats_path);
}

static void on_end(evutil_socket_t fd, short what, void *base)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(base);
}

int main(int argc, char *argv[])
{
	struct vhost_endpoint *endpoint[PORTS] = {NULL};
	struct event_base *base = event_base_new();
	struct event *stats, *term;
	pthread_t thread;
	int err = 0;

	if (argc != 6 || (strcmp(argv[1], "copy") != 0 && strcmp(argv[1], "ring") != 0)) {
		fprintf(stderr, "usage: %s copy|ring CPU STATS-FILE SOCKET SOCKET\n", argv[0]);
		return 2;
	}
	fl.copies = argv[1][0] == 'c';
	fl.cpu = atoi(argv[2]);
	fl.level = cpu_level();
	fl.stats_path = argv[3];
	for (unsigned i = 0; i < PORTS && !err; i++) {
		struct vhost_endpoint_config config = {.mode = VHOST_ENDPOINT_SERVER,
		    .path = argv[4 + i],
		    .fd = -1,
		    .socket_mode = -1,
		    .owner = -1,
		    .group = -1};

		err = vhost_device_init(&fl.port[i].device, &net_type, argv[4 + i], NULL);
		if (!err)
			err =
			    vhost_endpoint_create(base, &config, &fl.port[i].device, &endpoint[i]);
	}
	stats = evsignal_new(base, SIGUSR1, on_stats, NULL);
	term = evsignal_new(base, SIGTERM, on_end, base);
	event_add(stats, NULL);
	event_add(term, NULL);
	if (!err)
		err = -pthread_create(&thread, NULL, poll_rings, NULL);
	if (!err) {
		log_info("ready: 2 ports, 1 workers");
		event_base_dispatch(base);
		atomic_store(&fl.end, true);
		pthread_join(thread, NULL);
	}
	for (unsigned i = 0; i < PORTS; i++)
		vhost_endpoint_destroy(endpoint[i]);
	event_free(stats);
	event_free(term);
	event_base_free(base);
	return err ? 1 : 0;
}
