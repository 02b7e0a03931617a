/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The offloads of the virtio net header (virtio 1.2, 5.1.6), checked and done in software.
 *
 * offload_check() and offload_needs() look at every frame that carries a request. The rest is for
 * frames whose receiver did not negotiate the offload; it works on private, linear memory, so
 * nothing changes between check and use.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "virtio/virtio.h"

/*
 * Can this request be true of a frame of len bytes? -EINVAL: checksum field outside the frame,
 * unknown or half-specified segmentation. Does not look at the frame.
 */
int offload_check(const struct virtio_net_hdr *net, uint32_t len);

/*
 * Does a checked request for segmentation agree with the frame, as far as its first bytes show it?
 * A protocol that cannot be seen agrees. hdr_len is a hint that drivers fill in as they like.
 */
bool offload_agrees(const struct virtio_net_hdr *net, const uint8_t *head, uint32_t head_len);

/* How long the longest segment of a checked request will be, at least. */
uint32_t offload_segment_len(const struct virtio_net_hdr *net, uint32_t len);

/* What a receiver must accept to get the frame as it is: enum offload. head: its first bytes. */
uint32_t offload_needs(const struct virtio_net_hdr *net, const uint8_t *head, uint32_t head_len);

/*
 * Fill in the checksum that a checked header asks for, in place. A frame that asks for none is
 * left alone. -EINVAL as offload_check.
 */
int offload_checksum(uint8_t *frame, uint32_t len, const struct virtio_net_hdr *net);

/* All headers of a segment: Ethernet with tags, IP with options or extensions, TCP with options. */
#define GSO_HEADER_MAX   256
#define GSO_SEGMENTS_MAX 256 /* 64 KiB in segments of 256 bytes: nobody's MSS is less than 536 */
#define GSO_SIZE_MIN     8

/* A frame being cut up. Fields are private. */
struct gso {
	const uint8_t *frame;
	uint32_t len;
	uint32_t l3, l4;     /* offsets of the IP and the transport header */
	uint32_t header_len; /* of everything before the payload */
	uint32_t size;       /* payload bytes per segment, but the last */
	uint32_t at;         /* first payload byte of the segment, offset in the frame */
	uint32_t index;      /* of the segment */
	uint32_t fragment_id;
	uint8_t kind; /* VIRTIO_NET_HDR_GSO_* without ECN */
	bool ipv6;
	uint8_t header[GSO_HEADER_MAX];
};

struct gso_segment {
	const uint8_t *header; /* valid until the next gso_make */
	uint32_t header_len;
	const uint8_t *payload; /* in the frame */
	uint32_t payload_len;
};

/*
 * Prepare to cut a frame into complete frames with complete checksums: TCP segments, UDP datagrams
 * (USO) or IP fragments (UFO). The frame must stay until the last segment was made; for UFO
 * its UDP checksum is filled in.
 * -EINVAL: the headers do not agree with the request. -E2BIG: too many segments would result.
 */
int gso_begin(struct gso *g, uint8_t *frame, uint32_t len, const struct virtio_net_hdr *net);

/* How many segments there are: 1 to GSO_SEGMENTS_MAX. */
uint32_t gso_count(const struct gso *g);

/* How long one of them is, headers included, without making it. */
uint32_t gso_len(const struct gso *g, uint32_t index);

/* Make one of them. */
void gso_make(struct gso *g, uint32_t index, struct gso_segment *ret);
