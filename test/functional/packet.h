/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP and UDP packets that ask for offloads, and an independent check of the result. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "virtio/virtio.h"

struct packet {
	bool v6, tcp;
	uint32_t payload; /* bytes */
	uint8_t gso_type; /* VIRTIO_NET_HDR_GSO_x, or NONE: only a checksum */
	uint16_t gso_size;
};

#define PACKET_MAX 65600

unsigned packet_headers(const struct packet *p); /* Ethernet, IP and TCP or UDP header */

/* Build frame and net header; returns the frame's length. The checksum is only requested. */
uint32_t packet_build(const struct packet *p, const uint8_t dst[6], const uint8_t src[6],
    uint64_t *random, uint8_t *frame, struct virtio_net_hdr *hdr);

/*
 * Is this frame, delivered without offload, complete and right: lengths, IPv4 checksum,
 * TCP or UDP checksum? NULL, or what is wrong. A fragment has only its IP header checked.
 */
const char *packet_check(const uint8_t *frame, uint32_t len);

/*
 * The payload of a checked frame: where it lies, its length, and its place in the original payload.
 */
struct packet_part {
	const uint8_t *bytes;
	uint32_t len, offset;
	bool last;
};
/* n_before: payload bytes of the frames before this one. */
struct packet_part packet_part(
    const struct packet *p, const uint8_t *frame, uint32_t len, uint32_t n_before);
