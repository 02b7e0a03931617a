/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checks the offloads in the virtio net header (virtio 1.2, 5.1.6), and does them in software.
 *
 * A net header may request a checksum and segmentation (GSO). The functions up to offload_needs()
 * are for all frames with a request. The others are for frames with an offload that the destination
 * did not negotiate. They work on private, linear memory, so nothing changes between check and use.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ethernet.h"
#include "virtio/virtio.h"

/* Is the checksum that is asked for in a frame of len bytes, behind the addresses and the type? */
static inline bool offload_checksum_fits(const struct virtio_net_hdr *net, uint32_t len)
{
	return net->csum_start >= ETH_LEN &&
	    (uint32_t)net->csum_start + net->csum_offset + 2 <= len;
}

/*
 * Is this request possible for a frame of len bytes? -EINVAL: the checksum field is outside the
 * frame, or the segmentation is unknown or incompletely specified. Does not read the frame.
 */
int offload_check(const struct virtio_net_hdr *net, uint32_t len);

/*
 * Does a checked request for segmentation agree with the protocols in the frame's first bytes? A
 * protocol header beyond these bytes is not checked. hdr_len is not checked: it is only a hint.
 */
bool offload_agrees(const struct virtio_net_hdr *net, const uint8_t *head, uint32_t head_len);

/* A lower bound for the length of the longest segment of a checked request. */
uint32_t offload_gso_segment_len(const struct virtio_net_hdr *net, uint32_t len);

/*
 * The offloads (enum offload) that a port must accept to get the frame as it is. head: the first
 * bytes of the frame.
 */
uint32_t offload_needs(const struct virtio_net_hdr *net, const uint8_t *head, uint32_t head_len);

/*
 * Fill in the checksum in the frame, if its checked net header asks for a checksum. Otherwise the
 * frame is not changed. -EINVAL as for offload_check().
 */
int offload_checksum(uint8_t *frame, uint32_t len, const struct virtio_net_hdr *net);

/* All headers of a segment: Ethernet with tags, IP with options or extensions, TCP with options. */
#define GSO_HEADER_MAX   256
#define GSO_SEGMENTS_MAX 256 /* 64 KiB in segments of 256 bytes; usual MSS are 536 or more */
#define GSO_SIZE_MIN     8

/* A frame that is being segmented. Fields are private. */
struct gso {
	const uint8_t *frame;
	uint32_t len;
	uint32_t l3, l4;     /* offsets of the IP and the transport header */
	uint32_t header_len; /* of all headers before the payload */
	uint32_t size;       /* payload bytes of each segment but the last */
	uint32_t at;         /* offset in the frame of the segment's first payload byte */
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
 * Prepare to cut a frame into GSO segments: complete frames with complete checksums. They contain
 * TCP segments, UDP datagrams (USO) or IP fragments (UFO). The caller must keep the frame until the
 * last GSO segment has been made. For UFO the frame's UDP checksum is filled in here.
 * -EINVAL: the headers do not agree with the request. -E2BIG: there would be too many segments.
 */
int gso_begin(struct gso *g, uint8_t *frame, uint32_t len, const struct virtio_net_hdr *net);

/* How many segments there are: 1 to GSO_SEGMENTS_MAX. */
uint32_t gso_count(const struct gso *g);

/* The length of a segment, headers included, without making it. */
uint32_t gso_len(const struct gso *g, uint32_t index);

/* Make a segment. */
void gso_make(struct gso *g, uint32_t index, struct gso_segment *ret);
