/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * This program counts the instructions that a frame costs in lib/datapath. A child process runs
 * bursts on rings that were filled before, and is single-stepped. The count depends only on the
 * code and the compiler, so it can be compared with a checked-in value (instructions.txt). (A time
 * that is measured on a shared machine varies too much for that.)
 *
 * Frames have at most 64 bytes: libc copies longer frames, and its instructions depend on the CPU.
 * The third burst is counted. The first burst learns addresses and writes all headers.
 *
 * usage: count-instructions BASELINE: status 1 if a case is more than 3 % above it or not in it;
 * count-instructions: print a new baseline.
 */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/ethernet.h"
#include "base/util.h"
#include "bridge/fdb.h"
#include "datapath/burst.h"
#include "datapath/forwarding.h"
#include "datapath/vhost_queue.h"
#include "virtio/driver.h"

#define FRAMES    BURST_FRAMES
#define WARM_UP   2
#define RING      256
#define BUFFER    256
#define PORTS_TOP 17
#define MEMORY    (8u << 20)
#define TOLERANCE 1.03

/* Which frames of a burst ask for a checksum. The port may ask for offloads except in NEVER. */
enum asks { NEVER, NONE, FIRST, ALL };

/* How a frame that is sent lies in descriptors. */
enum shape {
	ONE,   /* with its net header in one */
	TWO,   /* in a chain: the net header, the frame */
	TABLE, /* the same two, in an indirect table */
};

/* The frames of one port go to `targets` ports in turn. */
static const struct bench_case {
	const char *name;
	bool packed, in_order;
	unsigned targets, macs;
	enum cpu_level level;
	uint32_t first_len, len; /* of the first frame of a burst, and of the others */
	enum way { NO_POLICY, ACCESS_TO_ACCESS, TAG_TO_TAG, PUSH, POP, ALLOW } way;
	enum asks asks;
	enum shape shape;
} cases[] = {
    {"split", false, false, 1, 1, CPU_LEVEL_BASELINE, 64, 64, NO_POLICY, NEVER, ONE},
    {"split-in-order", false, true, 1, 1, CPU_LEVEL_BASELINE, 64, 64, NO_POLICY, NEVER, ONE},
    {"packed", true, false, 1, 1, CPU_LEVEL_BASELINE, 64, 64, NO_POLICY, NEVER, ONE},
    {"packed-in-order", true, true, 1, 1, CPU_LEVEL_BASELINE, 64, 64, NO_POLICY, NEVER, ONE},
    {"packed-60", true, false, 1, 1, CPU_LEVEL_BASELINE, 60, 60, NO_POLICY, NEVER, ONE},
    {"packed-60-first", true, false, 1, 1, CPU_LEVEL_BASELINE, 60, 64, NO_POLICY, NEVER, ONE},
    {"packed-csum", true, false, 1, 1, CPU_LEVEL_BASELINE, 64, 64, NO_POLICY, ALL, ONE},
    {"packed-32-macs", true, false, 1, 32, CPU_LEVEL_BASELINE, 64, 64, NO_POLICY, NEVER, ONE},
    {"packed-16-targets", true, false, 16, 1, CPU_LEVEL_BASELINE, 64, 64, NO_POLICY, NEVER, ONE},
    {"split-16-targets", false, false, 16, 1, CPU_LEVEL_BASELINE, 64, 64, NO_POLICY, NEVER, ONE},
    {"split-avx2", false, false, 1, 1, CPU_LEVEL_AVX2, 64, 64, NO_POLICY, NEVER, ONE},
    {"packed-avx2", true, false, 1, 1, CPU_LEVEL_AVX2, 64, 64, NO_POLICY, NEVER, ONE},
    {"packed-32-macs-avx2", true, false, 1, 32, CPU_LEVEL_AVX2, 64, 64, NO_POLICY, NEVER, ONE},
    {"split-avx512", false, false, 1, 1, CPU_LEVEL_AVX512, 64, 64, NO_POLICY, NEVER, ONE},
    {"packed-avx512", true, false, 1, 1, CPU_LEVEL_AVX512, 64, 64, NO_POLICY, NEVER, ONE},
    {"split-60-avx512", false, false, 1, 1, CPU_LEVEL_AVX512, 60, 60, NO_POLICY, NEVER, ONE},
    {"packed-60-avx512", true, false, 1, 1, CPU_LEVEL_AVX512, 60, 60, NO_POLICY, NEVER, ONE},
    {"packed-60-first-avx512", true, false, 1, 1, CPU_LEVEL_AVX512, 60, 64, NO_POLICY, NEVER, ONE},
    {"packed-offloads-avx512", true, false, 1, 1, CPU_LEVEL_AVX512, 64, 64, NO_POLICY, NONE, ONE},
    {"packed-csum-first-avx512", true, false, 1, 1, CPU_LEVEL_AVX512, 64, 64, NO_POLICY, FIRST,
	ONE},
    {"packed-csum-avx512", true, false, 1, 1, CPU_LEVEL_AVX512, 64, 64, NO_POLICY, ALL, ONE},
    {"split-csum-avx512", false, false, 1, 1, CPU_LEVEL_AVX512, 64, 64, NO_POLICY, ALL, ONE},
    {"packed-32-macs-avx512", true, false, 1, 32, CPU_LEVEL_AVX512, 64, 64, NO_POLICY, NEVER, ONE},
    {"access-to-access", true, false, 1, 1, CPU_LEVEL_BASELINE, 64, 64, ACCESS_TO_ACCESS, NEVER,
	ONE},
    {"tag-to-tag", true, false, 1, 1, CPU_LEVEL_BASELINE, 64, 64, TAG_TO_TAG, NEVER, ONE},
    {"push", true, false, 1, 1, CPU_LEVEL_BASELINE, 64, 64, PUSH, NEVER, ONE},
    {"pop", true, false, 1, 1, CPU_LEVEL_BASELINE, 64, 64, POP, NEVER, ONE},
    {"mac-allow", true, false, 1, 1, CPU_LEVEL_BASELINE, 64, 64, ALLOW, NEVER, ONE},
    {"mac-allow-avx512", true, false, 1, 1, CPU_LEVEL_AVX512, 64, 64, ALLOW, NEVER, ONE},
    {"access-to-access-avx512", true, false, 1, 1, CPU_LEVEL_AVX512, 64, 64, ACCESS_TO_ACCESS,
	NEVER, ONE},
    {"push-avx512", true, false, 1, 1, CPU_LEVEL_AVX512, 64, 64, PUSH, NEVER, ONE},
    {"pop-avx512", true, false, 1, 1, CPU_LEVEL_AVX512, 64, 64, POP, NEVER, ONE},
    {"push-60-avx512", true, false, 1, 1, CPU_LEVEL_AVX512, 60, 60, PUSH, NEVER, ONE},
    {"split-push-avx512", false, false, 1, 1, CPU_LEVEL_AVX512, 64, 64, PUSH, NEVER, ONE},
    {"split-pop-avx512", false, false, 1, 1, CPU_LEVEL_AVX512, 64, 64, POP, NEVER, ONE},
    {"split-chain-avx512", false, false, 1, 1, CPU_LEVEL_AVX512, 64, 64, NO_POLICY, ALL, TWO},
    {"packed-chain-avx512", true, false, 1, 1, CPU_LEVEL_AVX512, 64, 64, NO_POLICY, ALL, TWO},
    {"split-table-avx512", false, false, 1, 1, CPU_LEVEL_AVX512, 64, 64, NO_POLICY, ALL, TABLE},
    {"packed-table-avx512", true, false, 1, 1, CPU_LEVEL_AVX512, 64, 64, NO_POLICY, ALL, TABLE},
};

struct bench_queue {
	struct driver_ring driver;
	struct vring ring;
	struct vring_position position;
	struct queue queue;
};

static struct world {
	uint8_t *memory;
	size_t used;
	struct guest_memory *guest;
	struct port port[PORTS_TOP];
	struct bench_queue ingress, egress[PORTS_TOP];
	struct fdb *fdb;
	struct burst *burst;
	struct forwarding *fwd;
} w;

static uint8_t *take(size_t bytes)
{
	uint8_t *at = w.memory + w.used;

	w.used += (bytes + 4095) & ~(size_t)4095;
	if (w.used > MEMORY)
		abort();
	return at;
}

/* The guest's addresses are offsets into the one region. */
static uint64_t gpa(const void *host)
{
	return (const uint8_t *)host - w.memory;
}

static void start_queue(struct bench_queue *q, const struct bench_case *c, struct port *port,
    unsigned index, bool ingress)
{
	uint64_t features = VIRTIO_BIT(F_VERSION_1) | (c->packed ? VIRTIO_BIT(F_RING_PACKED) : 0) |
	    (c->in_order ? VIRTIO_BIT(F_IN_ORDER) : 0) |
	    (c->shape == TABLE ? VIRTIO_BIT(F_INDIRECT_DESC) : 0);
	struct vring_layout layout = vring_layout(RING, c->packed);
	struct vring_config config = {
	    .direction = ingress ? VRING_TRANSMIT : VRING_RECEIVE,
	    .features = features,
	    .size = RING,
	    .desc = take(layout.desc),
	    .driver = take(layout.driver),
	    .device = take(layout.device),
	    .position = &q->position,
	    .memory = w.guest,
	};

	q->position = vring_position_initial(VIRTIO_HAS(features, F_RING_PACKED));
	if (vring_start(&q->ring, &config) < 0 ||
	    driver_ring_init(
		&q->driver, features, RING, config.desc, config.driver, config.device) < 0)
		abort();
	driver_ring_call_disable(&q->driver);
	q->queue = (struct queue){
	    .port = port,
	    .index = index,
	    .enabled = true,
	    .call_fd = -1,
	    .miss_fd = -1,
	};
	vhost_queue_set(&q->queue, &q->ring);
}

static void offer(struct bench_queue *q, uint8_t *buffer, uint32_t len, bool writable)
{
	struct driver_buffer b = {.addr = gpa(buffer), .len = len};

	if (driver_ring_add(&q->driver, &b, !writable, writable, buffer) < 0)
		abort();
	driver_ring_publish(&q->driver);
}

/* Offer a frame to be sent, in the shape of the case. */
static void offer_frame(const struct bench_case *c, uint8_t *buffer, uint32_t len)
{
	struct driver_ring *dr = &w.ingress.driver;
	const struct driver_buffer two[] = {{gpa(buffer), VIRTIO_NET_HDR_LEN},
	    {gpa(buffer) + VIRTIO_NET_HDR_LEN, len - VIRTIO_NET_HDR_LEN}};
	int err;

	if (c->shape == ONE) {
		offer(&w.ingress, buffer, len, false);
		return;
	}
	if (c->shape == TWO) {
		err = driver_ring_add(dr, two, 2, 0, buffer);
	} else {
		uint8_t *table = take(2 * 16);

		err = driver_ring_add_indirect(dr, two, 2, 0, table, gpa(table), buffer);
	}
	if (err < 0)
		abort();
	driver_ring_publish(dr);
}

static void put_mac(uint8_t *at, unsigned port, unsigned mac)
{
	const uint8_t bytes[6] = {2, 0, port, 0, mac >> 8, mac};

	memcpy(at, bytes, 6);
}

/* The VLAN of all frames, if there are VLANs. */
#define VLAN 7

static bool has_vlans(const struct bench_case *c)
{
	return c->way != NO_POLICY && c->way != ALLOW;
}

/* Do frames come, or leave, with a tag? */
static bool tagged(const struct bench_case *c, bool leave)
{
	return c->way == TAG_TO_TAG || c->way == (leave ? PUSH : POP);
}

static const struct port_policy *policy_of(const struct bench_case *c, bool leave)
{
	static struct port_policy policy[2];
	struct vlan_config config = {.set = true, .mode = VLAN_ACCESS, .vlan = VLAN};

	if (!has_vlans(c) && (leave || c->way == NO_POLICY))
		return &port_policy_none;
	if (c->way == ALLOW) {
		uint8_t mac[6];

		put_mac(mac, 0, 0);
		policy[0] = (struct port_policy){.features = POLICY_MAC_ALLOW, .n_allow = 4};
		policy[0].allow[3] = mac_load(mac);
		return &policy[0];
	}
	if (tagged(c, leave)) {
		config = (struct vlan_config){.set = true, .mode = VLAN_TRUNK};
		vlan_set_add(&config.trunk, VLAN);
	}
	policy[leave] = (struct port_policy){.features = POLICY_VLAN};
	vlan_port_init(&policy[leave].vlan, &config);
	return &policy[leave];
}

/* The net header of the i-th frame of a burst. */
static void put_header(uint8_t *at, const struct bench_case *c, unsigned i)
{
	const struct virtio_net_hdr asks = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
	    .csum_start = 34,
	    .csum_offset = 16,
	    .num_buffers = 1};

	memcpy(at, c->asks == ALL || (c->asks == FIRST && i == 0) ? &asks : &no_offload_header,
	    sizeof(asks));
}

static void fill(const struct bench_case *c)
{
	for (unsigned i = 0; i < (WARM_UP + 1) * FRAMES; i++) {
		uint8_t *buffer = take(BUFFER);

		put_header(buffer, c, i % FRAMES);
		put_mac(buffer + 12, 1 + i % c->targets, i % c->macs);
		put_mac(buffer + 18, 0, i % c->macs);
		if (tagged(c, false))
			store32(buffer + 24, UINT32_C(0x81000000) | VLAN);
		offer_frame(c, buffer, VIRTIO_NET_HDR_LEN + (i % FRAMES ? c->len : c->first_len));
	}
	for (unsigned t = 1; t <= c->targets; t++) {
		for (unsigned i = 0; i < (WARM_UP + 1) * FRAMES; i++) {
			uint8_t *buffer = take(BUFFER);

			put_header(buffer, c, i % FRAMES); /* of an earlier frame */
			offer(&w.egress[t], buffer, BUFFER, true);
		}
		for (unsigned m = 0; m < c->macs; m++) {
			uint8_t mac[6];

			put_mac(mac, t, m);
			fdb_learn(w.fdb, fdb_address(mac_load(mac), has_vlans(c) ? VLAN : 0), t, 0);
		}
	}
}

static void make_world(const struct bench_case *c)
{
	const struct guest_region region = {.size = MEMORY, .uaddr = 1 << 20, .host = w.memory};
	struct port *port[PORTS_TOP];
	struct queue *ingress = &w.ingress.queue;
	struct bridge_setup bridge;
	struct forwarding_config config = {.n_bridges = 1,
	    .bridge = &bridge,
	    .n_ports = c->targets + 1,
	    .port = port,
	    .n_queues = 1,
	    .queue = &ingress,
	    .n_workers = 1};

	w.used = 0;
	memset(w.memory, 0, MEMORY);
	w.fdb = fdb_create(65536, 300);
	if (!w.fdb || guest_memory_create(&region, 1, &w.guest) < 0 || burst_create(&w.burst) < 0)
		abort();
	bridge = (struct bridge_setup){.fdb = w.fdb, .vlans = has_vlans(c)};
	for (unsigned i = 0; i <= c->targets; i++) {
		w.port[i] = (struct port){.index = i,
		    .hdr_len = VIRTIO_NET_HDR_LEN,
		    .sends_offload = c->asks != NEVER,
		    .accepts = OFFLOAD_CSUM,
		    .policy = policy_of(c, i > 0)};
		port[i] = &w.port[i];
		start_queue(&w.egress[i], c, &w.port[i], 0, false);
		w.port[i].n_egress = 1;
		w.port[i].egress[0] = &w.egress[i].queue;
	}
	start_queue(&w.ingress, c, &w.port[0], 1, true);
	if (forwarding_create(&config, &w.fwd) < 0)
		abort();
	fill(c);
}

static void destroy_world(const struct bench_case *c)
{
	forwarding_destroy(w.fwd);
	burst_destroy(w.burst);
	fdb_destroy(w.fdb);
	guest_memory_destroy(w.guest);
	driver_ring_cleanup(&w.ingress.driver);
	for (unsigned i = 0; i <= c->targets; i++)
		driver_ring_cleanup(&w.egress[i].driver);
}

/* The child runs this. The instructions between its two stops are counted. */
static void run_bursts(const struct bench_case *c)
{
	uint64_t delivered = 0;

	for (unsigned i = 0; i < WARM_UP; i++)
		burst_run(w.burst, w.fwd, &w.ingress.queue, 0, BURST_FRAMES);
	raise(SIGSTOP);
	burst_run(w.burst, w.fwd, &w.ingress.queue, 0, BURST_FRAMES);
	raise(SIGSTOP);
	for (unsigned t = 1; t <= c->targets; t++)
		delivered += w.egress[t].queue.stats.frames;
	_exit(delivered != (WARM_UP + 1) * FRAMES);
}

/* Count the instructions from the next stop to the one after it. False: frames are missing. */
static bool count_steps(pid_t child, long *ret_steps)
{
	int status;

	waitpid(child, &status, 0);
	for (*ret_steps = 0;; ++*ret_steps) {
		ptrace(PTRACE_SINGLESTEP, child, NULL, NULL);
		if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
			return false;
		if (WSTOPSIG(status) == SIGSTOP)
			break;
	}
	ptrace(PTRACE_CONT, child, NULL, NULL);
	waitpid(child, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The number of instructions per frame; negative if frames are missing. */
static double count(const struct bench_case *c)
{
	long steps;
	pid_t child;
	bool good;

	make_world(c);
	child = fork();
	if (child == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		run_bursts(c);
	}
	good = child > 0 && count_steps(child, &steps);
	destroy_world(c);
	return good ? (double)steps / FRAMES : -1;
}

static double expected(FILE *baseline, const char *name)
{
	char line[128], word[64];
	double value;

	rewind(baseline);
	while (fgets(line, sizeof(line), baseline)) {
		if (sscanf(line, "%63s %lf", word, &value) == 2 && strcmp(word, name) == 0)
			return value;
	}
	return 0;
}

int main(int argc, char *argv[])
{
	FILE *baseline = argc > 1 ? fopen(argv[1], "r") : NULL;
	int status = 0;

	if (argc > 1 && !baseline) {
		perror(argv[1]);
		return 2;
	}
	w.memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		double now, then;

		cpu_allow_level(cases[i].level);
		if (cpu_level() != cases[i].level) {
			printf("%s not counted: this CPU has no %s\n", cases[i].name,
			    cpu_level_name(cases[i].level));
			continue;
		}
		now = count(&cases[i]);
		printf("%s %.1f", cases[i].name, now);
		if (baseline) {
			then = expected(baseline, cases[i].name);
			printf(" instructions per frame, %.1f in the baseline", then);
			if (now < 0 || now > then * TOLERANCE) {
				printf(": too many");
				status = 1;
			} else if (now < then / TOLERANCE) {
				printf(": better; write a new baseline");
			}
		}
		printf("\n");
		status |= now < 0;
	}
	return status;
}
