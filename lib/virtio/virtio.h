/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Formats of the virtio specification (1.2): feature bits, ring layouts, the net header.
 *
 * All fields are little-endian on the wire and this code runs on little-endian hosts only.
 * Sections are given as in "Virtual I/O Device (VIRTIO) Version 1.2".
 */
#pragma once

#include <stdint.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "virtio rings are read as they lie");

/* Feature bits of a network device and of its transport (5.1.3, 6). */
#define VIRTIO_FEATURES(X) \
	X(NET_F_CSUM, 0) \
	X(NET_F_GUEST_CSUM, 1) \
	X(NET_F_CTRL_GUEST_OFFLOADS, 2) \
	X(NET_F_MTU, 3) \
	X(NET_F_MAC, 5) \
	X(NET_F_GSO, 6) \
	X(NET_F_GUEST_TSO4, 7) \
	X(NET_F_GUEST_TSO6, 8) \
	X(NET_F_GUEST_ECN, 9) \
	X(NET_F_GUEST_UFO, 10) \
	X(NET_F_HOST_TSO4, 11) \
	X(NET_F_HOST_TSO6, 12) \
	X(NET_F_HOST_ECN, 13) \
	X(NET_F_HOST_UFO, 14) \
	X(NET_F_MRG_RXBUF, 15) \
	X(NET_F_STATUS, 16) \
	X(NET_F_CTRL_VQ, 17) \
	X(NET_F_CTRL_RX, 18) \
	X(NET_F_CTRL_VLAN, 19) \
	X(NET_F_GUEST_ANNOUNCE, 21) \
	X(NET_F_MQ, 22) \
	X(NET_F_CTRL_MAC_ADDR, 23) \
	X(F_NOTIFY_ON_EMPTY, 24) \
	X(VHOST_F_LOG_ALL, 26) \
	X(F_ANY_LAYOUT, 27) \
	X(F_INDIRECT_DESC, 28) \
	X(F_EVENT_IDX, 29) \
	X(VHOST_USER_F_PROTOCOL_FEATURES, 30) \
	X(F_VERSION_1, 32) \
	X(F_ACCESS_PLATFORM, 33) \
	X(F_RING_PACKED, 34) \
	X(F_IN_ORDER, 35) \
	X(F_ORDER_PLATFORM, 36) \
	X(F_NOTIFICATION_DATA, 38) \
	X(F_RING_RESET, 40) \
	X(NET_F_GUEST_USO4, 54) \
	X(NET_F_GUEST_USO6, 55) \
	X(NET_F_HOST_USO, 56)

#define X(name, bit) VIRTIO_##name = (bit),
enum virtio_feature { VIRTIO_FEATURES(X) };
#undef X

/* The mask of a feature bit: VIRTIO_BIT(NET_F_MRG_RXBUF). */
#define VIRTIO_BIT(name)           (UINT64_C(1) << VIRTIO_##name)
#define VIRTIO_HAS(features, name) (((features)&VIRTIO_BIT(name)) != 0)

#define VRING_SIZE_MAX 32768

/* Descriptor flags (2.7.5, 2.8.8). AVAIL and USED belong to the packed format. */
#define VRING_DESC_F_NEXT     1
#define VRING_DESC_F_WRITE    2
#define VRING_DESC_F_INDIRECT 4
#define VRING_DESC_F_AVAIL    (1 << 7)
#define VRING_DESC_F_USED     (1 << 15)

/* Split ring (2.7). */
struct vring_split_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

struct vring_split_avail {
	uint16_t flags;
	uint16_t idx;
	uint16_t ring[]; /* size entries, then used_event */
};

struct vring_split_used_elem {
	uint32_t id;
	uint32_t len;
};

struct vring_split_used {
	uint16_t flags;
	uint16_t idx;
	struct vring_split_used_elem ring[]; /* size entries, then avail_event */
};

#define VRING_AVAIL_F_NO_INTERRUPT 1
#define VRING_USED_F_NO_NOTIFY     1

/* Packed ring (2.8). */
struct vring_packed_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t id;
	uint16_t flags;
};

struct vring_packed_event {
	uint16_t off_wrap; /* bits 0-14 offset, bit 15 wrap counter */
	uint16_t flags;
};

#define VRING_PACKED_EVENT_ENABLE  0
#define VRING_PACKED_EVENT_DISABLE 1
#define VRING_PACKED_EVENT_DESC    2

/*
 * The header before every frame (5.1.6). The legacy header has no num_buffers, so it has 10 bytes.
 */
struct virtio_net_hdr {
	uint8_t flags;
	uint8_t gso_type;
	uint16_t hdr_len;
	uint16_t gso_size;
	uint16_t csum_start;
	uint16_t csum_offset;
	uint16_t num_buffers;
};

#define VIRTIO_NET_HDR_LEN        12
#define VIRTIO_NET_HDR_LEN_LEGACY 10

#define VIRTIO_NET_HDR_F_NEEDS_CSUM 1
#define VIRTIO_NET_HDR_F_DATA_VALID 2

#define VIRTIO_NET_HDR_GSO_NONE   0
#define VIRTIO_NET_HDR_GSO_TCPV4  1
#define VIRTIO_NET_HDR_GSO_UDP    3
#define VIRTIO_NET_HDR_GSO_TCPV6  4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#define VIRTIO_NET_HDR_GSO_ECN    0x80

/* The configuration space of a net device (5.1.4). */
struct virtio_net_config {
	uint8_t mac[6];               /* NET_F_MAC */
	uint16_t status;              /* NET_F_STATUS */
	uint16_t max_virtqueue_pairs; /* NET_F_MQ */
	uint16_t mtu;                 /* NET_F_MTU */
	uint32_t speed;               /* NET_F_SPEED_DUPLEX */
	uint8_t duplex;
	uint8_t rss_max_key_size; /* NET_F_RSS, NET_F_HASH_REPORT */
	uint16_t rss_max_indirection_table_length;
	uint32_t supported_hash_types;
};

#define VIRTIO_NET_S_LINK_UP 1

_Static_assert(sizeof(struct virtio_net_config) == 24, "layout");
_Static_assert(sizeof(struct vring_split_desc) == 16, "layout");
_Static_assert(sizeof(struct vring_packed_desc) == 16, "layout");
_Static_assert(sizeof(struct virtio_net_hdr) == VIRTIO_NET_HDR_LEN, "layout");

/*
 * The length of the net header with these features. It is 10 bytes only for a legacy device without
 * merged receive buffers.
 */
static inline unsigned virtio_net_hdr_len(uint64_t features)
{
	uint64_t long_header =
	    VIRTIO_BIT(F_VERSION_1) | VIRTIO_BIT(NET_F_MRG_RXBUF) | VIRTIO_BIT(F_RING_PACKED);

	return features & long_header ? VIRTIO_NET_HDR_LEN : VIRTIO_NET_HDR_LEN_LEGACY;
}
