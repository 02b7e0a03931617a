/* SPDX-License-Identifier: BSD-3-Clause */
/* What a guest can do alone, by the contents of its rings and by changes of its memory. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"
#include "guest.h"

#define PAIRS     128
#define TABLE_MAX 32768u
#define MIB       (UINT64_C(1) << 20)

static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};
static const uint8_t hostile[6] = {2, 0, 0, 9, 0, 1}, accomplice[6] = {2, 0, 0, 9, 0, 2};

static struct guest *guest_of(
    struct peer_world *w, unsigned n_pairs, uint16_t size, uint64_t data, uint64_t features)
{
	struct guest_config c = {
	    .n_pairs = n_pairs, .size = size, .data = data, .features = features};

	return guest_create(w, &c);
}

static void connect_to(struct peer_world *w, struct guest *g, unsigned port)
{
	peer_must(w, guest_connect(g, w->path[port]), "connecting");
}

/* Connect again if the switch has hung up. */
static void keep_up(struct peer_world *w, struct guest *g)
{
	int err = frontend_sync(&g->fe);

	if (err && err != -ETIMEDOUT)
		peer_must(w, guest_again(g), "connecting again");
}

/*
 * Write an indirect table of n descriptors at the beginning of the data. All of them name the same
 * len bytes behind it.
 */
static void make_table(struct guest *g, unsigned n, uint32_t len, uint16_t write)
{
	struct vring_split_desc *table = (void *)g->data;

	for (unsigned i = 0; i < n; i++)
		table[i] = (struct vring_split_desc){
		    .addr = GUEST_DATA_GPA + TABLE_MAX * sizeof(*table),
		    .len = len,
		    .flags = write | (i + 1 < n ? VRING_DESC_F_NEXT : 0),
		    .next = i + 1,
		};
}

/* Connect an accomplice for call_out(), which broadcasts a frame about every 200 us. */
static struct guest *make_caller(struct peer_world *w)
{
	struct guest *g = guest_of(w, 1, 256, 1 << 16, GUEST_FEATURES);
	uint32_t len = guest_frame(g, 0, all, accomplice, 60);

	connect_to(w, g, PORT_ACCOMPLICE);
	guest_fill(g, 1, GUEST_DATA_GPA, len, 0);
	return g;
}

static void call_out(struct guest *caller)
{
	struct guest_ring *r = &caller->ring[TX(0)];

	if (READ_ONCE(r->avail->idx) == READ_ONCE(r->used->idx)) {
		__atomic_store_n(&r->avail->idx, r->avail->idx + 1, __ATOMIC_RELEASE);
		guest_kick(caller, TX(0));
	}
	usleep(200);
}

/*
 * Offer the hostile guest's receive chains again and again, while an accomplice broadcasts frames.
 */
static void trap_receivers(struct peer_world *w, struct guest *g)
{
	struct guest *caller;

	connect_to(w, g, PORT_HOSTILE);
	caller = make_caller(w);
	peer_attacks(w);
	for (;;) {
		guest_offer_all(g, 0);
		call_out(caller);
		peer_step(w);
	}
}

static void keep_offering(struct peer_world *w, struct guest *g)
{
	connect_to(w, g, PORT_HOSTILE);
	peer_attacks(w);
	for (;;) {
		guest_offer_all(g, 1);
		peer_nap(w);
	}
}

void peer_zero_length_receive(struct peer_world *w)
{
	struct guest *g = guest_of(w, 1, 256, 2 * MIB, GUEST_FEATURES);

	make_table(g, TABLE_MAX, 0, VRING_DESC_F_WRITE);
	guest_fill(g, 0, GUEST_DATA_GPA, TABLE_MAX * 16, VRING_DESC_F_INDIRECT);
	trap_receivers(w, g);
}

void peer_zero_length_transmit(struct peer_world *w)
{
	struct guest *g = guest_of(w, PAIRS, 256, 2 * MIB, GUEST_FEATURES);

	make_table(g, TABLE_MAX, 0, 0);
	guest_fill(g, 1, GUEST_DATA_GPA, TABLE_MAX * 16, VRING_DESC_F_INDIRECT);
	keep_offering(w, g);
}

void peer_ring_long_tables(struct peer_world *w)
{
	struct guest *g = guest_of(w, PAIRS, 1024, 2 * MIB, GUEST_FEATURES);

	make_table(g, 1024, 1, 0);
	guest_fill(g, 1, GUEST_DATA_GPA, 1024 * 16, VRING_DESC_F_INDIRECT);
	keep_offering(w, g);
}

void peer_long_chains(struct peer_world *w)
{
	struct guest *g = guest_of(w, PAIRS, 1024, MIB, GUEST_FEATURES);

	for (unsigned pair = 0; pair < PAIRS; pair++) {
		for (unsigned i = 0; i < 1024; i++)
			guest_desc(g, TX(pair), i, GUEST_DATA_GPA, 64,
			    i < 1023 ? VRING_DESC_F_NEXT : 0, i + 1);
		guest_chain_heads(g, TX(pair), 1, 0);
	}
	keep_offering(w, g);
}

void peer_endless_chains(struct peer_world *w)
{
	struct guest *g = guest_of(w, PAIRS, 256, 2 * MIB, GUEST_FEATURES);

	make_table(g, TABLE_MAX, 1, 0);
	((struct vring_split_desc *)g->data)[255].next = 0;
	guest_fill(g, 1, GUEST_DATA_GPA, TABLE_MAX * 16, VRING_DESC_F_INDIRECT);
	keep_offering(w, g);
}

void peer_faulty_transmit(struct peer_world *w)
{
	struct guest *g = guest_of(w, PAIRS, 32768, MIB, GUEST_FEATURES);

	guest_fill(g, 1, UINT64_C(1) << 50, 100, 0);
	keep_offering(w, g);
}

void peer_faulty_receive(struct peer_world *w)
{
	struct guest *g = guest_of(w, 1, 32768, MIB, GUEST_FEATURES);

	guest_fill(g, 0, UINT64_C(1) << 50, 2048, VRING_DESC_F_WRITE);
	trap_receivers(w, g);
}

void peer_tiny_receive(struct peer_world *w)
{
	struct guest *g = guest_of(w, 1, 32768, MIB, GUEST_FEATURES);
	struct guest *sender = guest_of(w, 8, 256, MIB, GUEST_FEATURES | GUEST_OFFLOADS);
	uint32_t len = guest_tcp(sender, 0, hostile, accomplice, 65000, 1400);

	g->config.features |= VIRTIO_BIT(NET_F_GUEST_TSO4) | VIRTIO_BIT(NET_F_GUEST_CSUM);
	guest_fill(g, 0, GUEST_DATA_GPA, 13, VRING_DESC_F_WRITE);
	/* Send one frame from the hostile port, so that its address is learned. */
	guest_fill(g, 1, GUEST_DATA_GPA, guest_frame(g, 0, all, hostile, 60), 0);
	connect_to(w, g, PORT_HOSTILE);
	guest_fill(sender, 1, GUEST_DATA_GPA, len, 0);
	connect_to(w, sender, PORT_ACCOMPLICE);
	g->ring[TX(0)].avail->idx++;
	guest_kick(g, TX(0));
	peer_attacks(w);
	for (;;) {
		guest_offer(g, RX(0));
		guest_offer_all(sender, 1);
		peer_nap(w);
	}
}

void peer_fragments(struct peer_world *w)
{
	struct guest *g = guest_of(w, PAIRS, 256, 2 * MIB, GUEST_FEATURES);

	make_table(g, 200, 327, 0);
	guest_fill(g, 1, GUEST_DATA_GPA, 200 * 16, VRING_DESC_F_INDIRECT);
	keep_offering(w, g);
}

static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 13;
}

/* Write random descriptors, many of them nearly valid, and make random entries available. */
static void scribble(struct guest *g, uint64_t *random)
{
	for (unsigned i = 0; i < 64; i++) {
		unsigned ring = next_random(random) % (2 * g->config.n_pairs);
		struct guest_ring *r = &g->ring[ring];

		guest_desc(g, ring, next_random(random) % g->config.size,
		    GUEST_DATA_GPA + next_random(random) % (2 * MIB), next_random(random) % 70000,
		    next_random(random), next_random(random) % (g->config.size + 2));
		r->avail->ring[next_random(random) % g->config.size] =
		    next_random(random) % g->config.size;
		WRITE_ONCE(r->avail->idx, READ_ONCE(r->used->idx) + g->config.size);
		guest_kick(g, ring);
	}
}

void peer_scribbler(struct peer_world *w)
{
	struct guest *g[2];
	uint64_t random = 1;

	for (unsigned i = 0; i < 2; i++) {
		g[i] = guest_of(
		    w, 8, 256, 2 * MIB, GUEST_FEATURES | (i ? VIRTIO_BIT(F_RING_PACKED) : 0));
		connect_to(w, g[i], PORT_HOSTILE + i);
	}
	peer_attacks(w);
	for (unsigned round = 1;; round++) {
		scribble(g[round % 2], &random);
		if (round % 256 == 0 && guest_start(g[0]) < 0)
			keep_up(w, g[0]);
		if (round % 256 == 128 && guest_start(g[1]) < 0)
			keep_up(w, g[1]);
		peer_nap(w);
	}
}

void peer_broken_rings(struct peer_world *w)
{
	struct guest *g = guest_of(w, PAIRS, 256, MIB, GUEST_FEATURES);

	connect_to(w, g, PORT_HOSTILE);
	peer_attacks(w);
	for (;;) {
		for (unsigned ring = 0; ring < 2 * PAIRS; ring++) {
			WRITE_ONCE(
			    g->ring[ring].avail->idx, READ_ONCE(g->ring[ring].used->idx) + 1000);
			guest_kick(g, ring);
		}
		usleep(1000);
		for (unsigned ring = 0; ring < 2 * PAIRS; ring++) {
			struct guest_ring *r = &g->ring[ring];

			WRITE_ONCE(r->avail->idx, READ_ONCE(r->used->idx));
			frontend_set_vring_base(&g->fe, ring, r->used->idx);
		}
		keep_up(w, g);
		peer_step(w);
	}
}

void peer_kick_storm(struct peer_world *w)
{
	struct guest *g = guest_of(w, PAIRS, 256, MIB, GUEST_FEATURES);
	const uint64_t one = 1;

	connect_to(w, g, PORT_HOSTILE);
	peer_attacks(w);
	for (;;) {
		for (unsigned ring = 0; ring < 2 * PAIRS; ring++)
			if (write(g->ring[ring].kick_fd, &one, sizeof(one)) < 0)
				break;
		peer_step(w);
	}
}

void peer_call_storm(struct peer_world *w)
{
	struct guest *g = guest_of(w, PAIRS, 256, 2 * MIB, GUEST_FEATURES);
	struct guest *caller;

	guest_fill(g, 0, GUEST_DATA_GPA + MIB, 2048, VRING_DESC_F_WRITE);
	guest_fill(g, 1, GUEST_DATA_GPA, guest_frame(g, 0, accomplice, hostile, 60), 0);
	for (unsigned ring = 0; ring < 2 * PAIRS; ring++)
		g->ring[ring].avail->flags = 0;
	connect_to(w, g, PORT_HOSTILE);
	caller = make_caller(w);
	peer_attacks(w);
	for (;;) {
		guest_offer_all(g, 0);
		/* Offer one frame at a time: each is a burst of its own, and causes a call. */
		for (unsigned ring = 1; ring < 2 * PAIRS; ring += 2) {
			struct guest_ring *r = &g->ring[ring];

			WRITE_ONCE(r->avail->idx, READ_ONCE(r->used->idx) + 1);
			guest_kick(g, ring);
		}
		call_out(caller);
		peer_step(w);
	}
}

/* Punch a hole over all buffers before each round, so that each copy needs new pages. */
void peer_punched_memory(struct peer_world *w)
{
	struct guest *g = guest_of(w, 8, 256, 64 * MIB, GUEST_FEATURES);
	int fd = g->fe.region[g->data_region].fd;

	for (unsigned ring = 0; ring < 16; ring++) {
		for (unsigned i = 0; i < 256; i++)
			guest_desc(g, ring, i, GUEST_DATA_GPA + (ring * 256 + i) * UINT64_C(16384),
			    ring % 2 ? 15000 : 16384, ring % 2 ? 0 : VRING_DESC_F_WRITE, 0);
		guest_chain_heads(g, ring, 256, 1);
	}
	connect_to(w, g, PORT_HOSTILE);
	peer_attacks(w);
	for (;;) {
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 64 * MIB);
		guest_offer_all(g, 0);
		guest_offer_all(g, 1);
		peer_nap(w);
	}
}

void peer_cut_memory(struct peer_world *w)
{
	struct guest *g = guest_of(w, 8, 256, 16 * MIB, GUEST_FEATURES);
	int fd = g->fe.region[g->data_region].fd;

	guest_fill(g, 1, GUEST_DATA_GPA, 1500, 0);
	connect_to(w, g, PORT_HOSTILE);
	peer_attacks(w);
	for (;;) {
		uint64_t features;

		guest_offer_all(g, 1);
		peer_must(w, ftruncate(fd, 0), "cutting a file short");
		guest_offer_all(g, 1);
		/* Wait until the switch has hung up, or for a moment. */
		if (frontend_get_u64(&g->fe, VHOST_USER_GET_FEATURES, &features) == 0)
			usleep(1000);
		peer_must(w, ftruncate(fd, 16 * MIB), "lengthening a file");
		peer_must(w, guest_again(g), "connecting again");
		peer_step(w);
	}
}

void peer_logged_memory(struct peer_world *w)
{
	struct guest *g =
	    guest_of(w, PAIRS, 256, 512 * MIB, GUEST_FEATURES | VIRTIO_BIT(VHOST_F_LOG_ALL));
	int log_fd = memfd_create("log", MFD_CLOEXEC);
	uint64_t random = 1;

	g->config.protocol = VHOST_PROTOCOL_BIT(LOG_SHMFD);
	for (unsigned ring = 0; ring < 2 * PAIRS; ring++) {
		for (unsigned i = 0; i < 256; i++)
			guest_desc(g, ring, i,
			    GUEST_DATA_GPA + next_random(&random) % 127 * 4 * MIB, 2048,
			    ring % 2 ? 0 : VRING_DESC_F_WRITE, 0);
		guest_chain_heads(g, ring, 256, 1);
	}
	peer_must(w, ftruncate(log_fd, 1024 * MIB), "a log");
	peer_must(w, guest_negotiate(g, w->path[PORT_HOSTILE]), "connecting");
	peer_must(w, frontend_set_log_base(&g->fe, 1024 * MIB, 0, log_fd), "SET_LOG_BASE");
	peer_must(w, guest_start(g), "starting");
	peer_attacks(w);
	for (;;) {
		guest_offer_all(g, 0);
		guest_offer_all(g, 1);
		peer_nap(w);
	}
}

static struct guest *iommu_guest(struct peer_world *w)
{
	struct guest_config c = {
	    .n_pairs = 8,
	    .size = 256,
	    .data = 512 * MIB,
	    .iommu = true,
	    .features = GUEST_FEATURES | VIRTIO_BIT(F_ACCESS_PLATFORM),
	    .protocol = VHOST_PROTOCOL_BIT(BACKEND_REQ) | VHOST_PROTOCOL_BIT(REPLY_ACK),
	};
	struct guest *g = guest_create(w, &c);
	struct frontend_region *rings = &g->fe.region[g->rings_region];

	peer_must(w, guest_connect(g, w->path[PORT_HOSTILE]), "connecting");
	if (!VIRTIO_HAS(g->fe.features, F_ACCESS_PLATFORM))
		peer_fail(w, "ACCESS_PLATFORM is not offered", 0);
	peer_must(w, frontend_iommu_map(&g->fe, rings->gpa, rings->size, 3), "a translation");
	return g;
}

/*
 * The indirect table is translated, its buffers are not. Each descriptor names a page of its own.
 */
void peer_iommu_misses(struct peer_world *w)
{
	struct guest *g = iommu_guest(w);
	struct vring_split_desc *table = (void *)g->data;

	for (unsigned i = 0; i < TABLE_MAX; i++)
		table[i] = (struct vring_split_desc){
		    .addr = GUEST_DATA_GPA + (1 + i % 500) * MIB + i / 500 * 4096,
		    .len = 3,
		    .flags = i + 1 < TABLE_MAX ? VRING_DESC_F_NEXT : 0,
		    .next = i + 1,
		};
	guest_fill(g, 1, GUEST_DATA_GPA, TABLE_MAX * 16, VRING_DESC_F_INDIRECT);
	peer_must(w, frontend_iommu_map(&g->fe, GUEST_DATA_GPA, MIB, 3), "a translation");
	g->fe.iommu_silent = true;
	peer_attacks(w);
	for (;;) {
		guest_offer_all(g, 1);
		frontend_iommu_serve(&g->fe);
		peer_nap(w);
	}
}

void peer_iommu_invalidations(struct peer_world *w)
{
	struct guest *g = iommu_guest(w);

	guest_fill(g, 1, GUEST_DATA_GPA, guest_frame(g, 0, hostile, hostile, 1000), 0);
	peer_attacks(w);
	for (unsigned i = 0;; i++) {
		uint64_t iova = GUEST_DATA_GPA + i % 1024 * 4096;

		guest_offer_all(g, 1);
		if (frontend_iommu_map(&g->fe, iova, 4096, 3) ||
		    frontend_iommu_unmap(&g->fe, iova, 4096) || frontend_iommu_serve(&g->fe) < 0)
			usleep(1000);
		peer_step(w);
	}
}

/* There are hundreds of regions. Each descriptor names another one, far from the one before. */
void peer_many_regions(struct peer_world *w)
{
	struct guest_config c = {
	    .n_pairs = PAIRS,
	    .size = 256,
	    .data = 2 * MIB,
	    .features = GUEST_FEATURES,
	    .protocol = VHOST_PROTOCOL_BIT(CONFIGURE_MEM_SLOTS),
	};
	struct guest *g = guest_create(w, &c);
	struct vring_split_desc *table = (void *)g->data;
	const uint64_t first = UINT64_C(1) << 40, size = 65536;

	make_table(g, 250, 64, 0);
	for (unsigned i = 0; i < 250; i++)
		table[i].addr = first + i * 149 % 400 * size;
	guest_fill(g, 1, GUEST_DATA_GPA, 250 * 16, VRING_DESC_F_INDIRECT);
	peer_must(w, guest_negotiate(g, w->path[PORT_HOSTILE]), "connecting");
	peer_must(w, frontend_set_mem_table(&g->fe), "SET_MEM_TABLE");
	for (unsigned i = 0; i < 400; i++) {
		int region = frontend_region_create(&g->fe, first + i * size, size, 0, false);

		if (region < 0)
			peer_fail(w, "a memory region", region);
		peer_must(w, frontend_add_mem_reg(&g->fe, region), "ADD_MEM_REG");
	}
	for (unsigned ring = 0; ring < 2 * PAIRS; ring++)
		peer_must(w, guest_start_ring(g, ring), "starting a ring");
	peer_attacks(w);
	for (;;) {
		guest_offer_all(g, 1);
		peer_nap(w);
	}
}
