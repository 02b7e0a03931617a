/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that follows no rules. It has up to 128 queue pairs, and a peer may write anything into
 * the ring memory. Buffers are not tracked: descriptors stay as they were written, and one store
 * offers them again.
 */
#pragma once

#include "frontend/frontend.h"
#include "peer.h"

#define GUEST_RINGS_MAX 256
#define GUEST_DATA_GPA  UINT64_C(0x100000000)
#define TX(pair)        (2 * (pair) + 1)
#define RX(pair)        (2 * (pair))

#define GUEST_FEATURES \
	(VIRTIO_BIT(F_VERSION_1) | VIRTIO_BIT(NET_F_MRG_RXBUF) | VIRTIO_BIT(F_INDIRECT_DESC) | \
	    VIRTIO_BIT(NET_F_MQ))
#define GUEST_OFFLOADS \
	(VIRTIO_BIT(NET_F_CSUM) | VIRTIO_BIT(NET_F_HOST_TSO4) | VIRTIO_BIT(NET_F_HOST_TSO6))

struct guest_config {
	unsigned n_pairs;
	uint16_t size; /* entries of a ring */
	uint64_t features;
	uint64_t protocol; /* features of the protocol besides MQ */
	uint64_t data;     /* bytes of buffers and tables, at GUEST_DATA_GPA */
	bool iommu;        /* addresses are IOVAs, with F_ACCESS_PLATFORM */
};

struct guest_ring {
	struct vring_split_desc *desc;
	struct vring_split_avail *avail;
	struct vring_split_used *used;
	uint64_t gpa;
	uint16_t base;
	int kick_fd, call_fd;
};

struct guest {
	struct frontend fe;
	struct guest_config config;
	const char *path;
	int rings_region, data_region;
	uint8_t *data;
	struct guest_ring ring[GUEST_RINGS_MAX];
};

/* Create a guest with its memory and eventfds. Ends the peer on failure. */
struct guest *guest_create(struct peer_world *w, const struct guest_config *config);

/* Connect and negotiate, tell the memory, start and enable all rings. 0 or -errno. */
int guest_connect(struct guest *g, const char *path);
/* The steps of guest_connect(). */
int guest_negotiate(struct guest *g, const char *path);
int guest_start(struct guest *g);
int guest_start_ring(struct guest *g, unsigned index);
/* Hang up and connect again; 0 or -errno. */
int guest_again(struct guest *g);

/* Write descriptor i of a ring. */
void guest_desc(struct guest *g, unsigned ring, unsigned i, uint64_t gpa, uint32_t len,
    uint16_t flags, uint16_t next);
/* Fill in the available ring. Its entries are n chain heads in turn, `step` descriptors apart. */
void guest_chain_heads(struct guest *g, unsigned ring, unsigned n, unsigned step);
/* Every entry of all rings of a direction (0: receive, 1: transmit) is this one descriptor. */
void guest_fill(struct guest *g, unsigned direction, uint64_t gpa, uint32_t len, uint16_t flags);

/* Make all entries of the ring available that the switch has used, and kick. */
void guest_offer(struct guest *g, unsigned ring);
/* The same for all rings of a direction. */
void guest_offer_all(struct guest *g, unsigned direction);
void guest_kick(struct guest *g, unsigned ring);

/* A frame with an empty net header at this place of the data. Returns bytes with the header. */
uint32_t guest_frame(
    struct guest *g, uint64_t offset, const uint8_t dst[6], const uint8_t src[6], uint32_t len);
/* A TCP frame that asks for TSO or, with gso_size 0, for a checksum. */
uint32_t guest_tcp(struct guest *g, uint64_t offset, const uint8_t dst[6], const uint8_t src[6],
    uint32_t payload, uint16_t gso_size);
