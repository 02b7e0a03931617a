/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-user wire format ("Vhost-user Protocol", QEMU docs/interop/vhost-user), for both ends:
 * our back-end, and the front-end of the traffic generator and the tests.
 *
 * A message is a 12-byte header, then size bytes of payload. Numbers have the byte order of the
 * host. File descriptors travel as SCM_RIGHTS with the first byte of the header.
 */
#pragma once

#include <stdint.h>

/* Protocol feature bits ("Protocol features"): VHOST_USER_PROTOCOL_F_x is the bit number. */
#define VHOST_PROTOCOL_FEATURES(X) \
	X(MQ, 0) \
	X(LOG_SHMFD, 1) \
	X(RARP, 2) \
	X(REPLY_ACK, 3) \
	X(NET_MTU, 4) \
	X(BACKEND_REQ, 5) \
	X(CROSS_ENDIAN, 6) \
	X(CRYPTO_SESSION, 7) \
	X(PAGEFAULT, 8) \
	X(CONFIG, 9) \
	X(BACKEND_SEND_FD, 10) \
	X(HOST_NOTIFIER, 11) \
	X(INFLIGHT_SHMFD, 12) \
	X(RESET_DEVICE, 13) \
	X(INBAND_NOTIFICATIONS, 14) \
	X(CONFIGURE_MEM_SLOTS, 15) \
	X(STATUS, 16) \
	X(XEN_MMAP, 17) \
	X(SHARED_OBJECT, 18) \
	X(DEVICE_STATE, 19) \
	X(GET_VRING_BASE_INFLIGHT, 20)

#define X(name, bit) VHOST_USER_PROTOCOL_F_##name = (bit),
enum vhost_protocol_feature { VHOST_PROTOCOL_FEATURES(X) };
#undef X

/* The mask of a protocol feature: VHOST_PROTOCOL_BIT(REPLY_ACK). */
#define VHOST_PROTOCOL_BIT(name)           (UINT64_C(1) << VHOST_USER_PROTOCOL_F_##name)
#define VHOST_PROTOCOL_HAS(features, name) (((features)&VHOST_PROTOCOL_BIT(name)) != 0)

/* "Front-end message types". */
#define VHOST_FRONTEND_MESSAGES(X) \
	X(GET_FEATURES, 1) \
	X(SET_FEATURES, 2) \
	X(SET_OWNER, 3) \
	X(RESET_OWNER, 4) \
	X(SET_MEM_TABLE, 5) \
	X(SET_LOG_BASE, 6) \
	X(SET_LOG_FD, 7) \
	X(SET_VRING_NUM, 8) \
	X(SET_VRING_ADDR, 9) \
	X(SET_VRING_BASE, 10) \
	X(GET_VRING_BASE, 11) \
	X(SET_VRING_KICK, 12) \
	X(SET_VRING_CALL, 13) \
	X(SET_VRING_ERR, 14) \
	X(GET_PROTOCOL_FEATURES, 15) \
	X(SET_PROTOCOL_FEATURES, 16) \
	X(GET_QUEUE_NUM, 17) \
	X(SET_VRING_ENABLE, 18) \
	X(SEND_RARP, 19) \
	X(NET_SET_MTU, 20) \
	X(SET_BACKEND_REQ_FD, 21) \
	X(IOTLB_MSG, 22) \
	X(SET_VRING_ENDIAN, 23) \
	X(GET_CONFIG, 24) \
	X(SET_CONFIG, 25) \
	X(CREATE_CRYPTO_SESSION, 26) \
	X(CLOSE_CRYPTO_SESSION, 27) \
	X(POSTCOPY_ADVISE, 28) \
	X(POSTCOPY_LISTEN, 29) \
	X(POSTCOPY_END, 30) \
	X(GET_INFLIGHT_FD, 31) \
	X(SET_INFLIGHT_FD, 32) \
	X(GPU_SET_SOCKET, 33) \
	X(RESET_DEVICE, 34) \
	X(VRING_KICK, 35) \
	X(GET_MAX_MEM_SLOTS, 36) \
	X(ADD_MEM_REG, 37) \
	X(REM_MEM_REG, 38) \
	X(SET_STATUS, 39) \
	X(GET_STATUS, 40) \
	X(GET_SHARED_OBJECT, 41) \
	X(SET_DEVICE_STATE_FD, 42) \
	X(CHECK_DEVICE_STATE, 43) \
	X(GET_SHMEM_CONFIG, 44)

#define X(name, id) VHOST_USER_##name = (id),
enum vhost_frontend_message { VHOST_FRONTEND_MESSAGES(X) };
#undef X

/* "Back-end message types", on the channel that SET_BACKEND_REQ_FD passes. */
#define VHOST_BACKEND_MESSAGES(X) \
	X(IOTLB_MSG, 1) \
	X(CONFIG_CHANGE_MSG, 2) \
	X(VRING_HOST_NOTIFIER_MSG, 3) \
	X(VRING_CALL, 4) \
	X(VRING_ERR, 5) \
	X(SHARED_OBJECT_ADD, 6) \
	X(SHARED_OBJECT_REMOVE, 7) \
	X(SHARED_OBJECT_LOOKUP, 8) \
	X(SHMEM_MAP, 9) \
	X(SHMEM_UNMAP, 10)

#define X(name, id) VHOST_USER_BACKEND_##name = (id),
enum vhost_backend_message { VHOST_BACKEND_MESSAGES(X) };
#undef X

struct vhost_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload */
};

/* Header flags. */
#define VHOST_VERSION      0x1u
#define VHOST_VERSION_MASK 0x3u
#define VHOST_REPLY        0x4u
#define VHOST_NEED_REPLY   0x8u
/* The exact flags of every reply. */
#define VHOST_REPLY_FLAGS (VHOST_VERSION | VHOST_REPLY)

/*
 * VHOST_FDS_MAX is the most descriptors of a valid message. More descriptors are received, so that
 * the switch can close them.
 */
#define VHOST_FDS_MAX     8
#define VHOST_FDS_RECEIVE 32

/* The most regions in one SET_MEM_TABLE. */
#define VHOST_TABLE_REGIONS_MAX 8

/* SET_VRING_KICK, CALL, ERR: bits 0-7 are the ring, bit 8 says that there is no descriptor. */
#define VHOST_VRING_INDEX_MASK 0xffu
#define VHOST_VRING_NOFD       0x100u

/* Flags of struct vhost_wire_vring_addr. */
#define VHOST_WIRE_VRING_LOG 0x1u

/* "A vring state description". */
struct vhost_wire_vring_state {
	uint32_t index;
	uint32_t num;
};

/* "A vring address description": the front-end's virtual addresses. */
struct vhost_wire_vring_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc;
	uint64_t used;  /* split: used ring; packed: device event suppression */
	uint64_t avail; /* split: avail ring; packed: driver event suppression */
	uint64_t log;
};

/* "Memory region description". */
struct vhost_wire_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t uaddr;
	uint64_t mmap_offset;
};

/* "Multiple memory regions description". */
struct vhost_wire_mem_table {
	uint32_t n_regions;
	uint32_t padding;
	struct vhost_wire_region region[VHOST_TABLE_REGIONS_MAX];
};

/* "Single memory region description". */
struct vhost_wire_mem_region {
	uint64_t padding;
	struct vhost_wire_region region;
};

/* Old front-ends calculate the size of this payload wrongly and send 4 bytes less. */
#define VHOST_WIRE_MEM_REGION_SHORT 36

struct vhost_wire_log {
	uint64_t size;
	uint64_t offset;
};

struct vhost_wire_iotlb {
	uint64_t iova;
	uint64_t size;
	uint64_t uaddr;
	uint8_t perm;
	uint8_t type;
	uint8_t padding[6];
};

#define VHOST_WIRE_CONFIG_MAX    256
#define VHOST_WIRE_CONFIG_HEADER 12

struct vhost_wire_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
	uint8_t bytes[VHOST_WIRE_CONFIG_MAX];
};

/* A part of a file, for one ring. The descriptor of the file comes with the message. */
struct vhost_wire_vring_area {
	uint64_t index; /* the ring, and VHOST_VRING_NOFD */
	uint64_t size;
	uint64_t offset;
};

struct vhost_wire_inflight {
	uint64_t mmap_size;
	uint64_t mmap_offset;
	uint16_t n_queues;
	uint16_t queue_size;
	uint32_t padding;
};

/* SET_DEVICE_STATE_FD: the directions, the only phase, and bit 8 of the reply: no descriptor. */
#define VHOST_DEVICE_STATE_SAVE    0
#define VHOST_DEVICE_STATE_LOAD    1
#define VHOST_DEVICE_STATE_STOPPED 0
#define VHOST_DEVICE_STATE_NOFD    0x100u

struct vhost_wire_device_state {
	uint32_t direction;
	uint32_t phase;
};

union vhost_payload {
	uint64_t u64;
	struct vhost_wire_vring_state state;
	struct vhost_wire_vring_addr addr;
	struct vhost_wire_mem_table table;
	struct vhost_wire_mem_region mem;
	struct vhost_wire_log log;
	struct vhost_wire_iotlb iotlb;
	struct vhost_wire_config config;
	struct vhost_wire_inflight inflight;
	struct vhost_wire_device_state device_state;
	uint8_t uuid[16];
};

#define VHOST_MTU_MIN 68
#define VHOST_MTU_MAX 65535

_Static_assert(sizeof(struct vhost_header) == 12, "wire");
_Static_assert(sizeof(struct vhost_wire_vring_addr) == 40, "wire");
_Static_assert(sizeof(struct vhost_wire_region) == 32, "wire");
_Static_assert(sizeof(struct vhost_wire_mem_table) == 8 + 8 * 32, "wire");
_Static_assert(sizeof(struct vhost_wire_mem_region) == 40, "wire");
_Static_assert(sizeof(struct vhost_wire_iotlb) == 32, "wire");
_Static_assert(sizeof(struct vhost_wire_config) == 12 + 256, "wire");
