/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vhost-user front-end: the socket and the guest memory.
 *
 * It is for tests, fuzzing and traffic generation. It has two levels. frontend_send() and
 * frontend_receive_reply() move any message with any descriptors, so a test can send every kind of
 * wrong message. The typed calls below send what a correct front-end sends. net_driver.h adds a
 * network driver.
 *
 * No function waits longer than timeout_ms (2000 unless changed): -ETIMEDOUT. If the peer hung up:
 * -ECONNRESET. One thread at a time per front-end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/vhost_user.h"
#include "virtio/virtio.h"

#define FRONTEND_REGIONS_MAX 512

/* One region of guest memory: a memfd of its own, mapped in this process. size 0: not in use. */
struct frontend_region {
	uint64_t gpa, size;
	uint64_t uaddr; /* the address told to the back-end; the mapping's address unless chosen */
	uint64_t mmap_offset;
	uint8_t *host;
	int fd;
};

struct frontend {
	int fd; /* the socket; -1: not connected */
	int timeout_ms;
	uint64_t features;          /* offered, then negotiated */
	uint64_t protocol_features; /* likewise */
	int channel_fd;             /* our end of the back-end channel; -1: none */
	/*
	 * With an IOMMU the driver uses IOVAs, and gpa is the IOVA of a region. The guest address
	 * of the region in the memory table is gpa plus this number. So a back-end that takes one
	 * for the other is noticed. Without an IOMMU the number is 0.
	 */
	uint64_t iommu_shift;
	bool iommu_silent; /* do not answer misses */
	uint64_t misses;   /* received so far */
	unsigned n_regions;
	struct frontend_region region[FRONTEND_REGIONS_MAX];
};

/* An unconnected front-end without memory. */
void frontend_init(struct frontend *fe);

/* Close the socket, unmap and close all regions. The front-end may be used again. */
void frontend_cleanup(struct frontend *fe);

/* Close the connection; keep the memory. */
void frontend_disconnect(struct frontend *fe);

/* Connect to a back-end that listens at path, trying again until timeout_ms. 0 or -errno. */
int frontend_connect(struct frontend *fe, const char *path);

/* Listen at path for a back-end in client mode: a listening descriptor or -errno. */
int frontend_listen(const char *path);

/* Accept the next back-end on a listening descriptor. 0 or -errno (-ETIMEDOUT). */
int frontend_accept(struct frontend *fe, int listen_fd);

/*
 * Send one message: header and payload exactly as given, descriptors with its first byte.
 * VHOST_VERSION is not added to flags. 0 or -errno.
 */
int frontend_send(struct frontend *fe, uint32_t id, uint32_t flags, const void *payload,
    uint32_t size, const int *fds, unsigned n_fds);

/* Send bytes that need not be a message. */
int frontend_send_bytes(struct frontend *fe, const void *bytes, size_t size);

/*
 * Wait for the reply to message id and copy its payload (at most room bytes). Returns the payload's
 * size or -errno; -EPROTO if another message came. If ret_fd is not NULL, *ret_fd gets the reply's
 * descriptor (-1: none); otherwise the descriptor is closed.
 */
int frontend_receive_reply(
    struct frontend *fe, uint32_t id, void *payload, uint32_t room, int *ret_fd);

/*
 * Send a message that has no reply of its own. With REPLY_ACK, ask for an acknowledgement and wait
 * for it. 0; -errno; -EREMOTEIO: the back-end acknowledged a failure.
 */
int frontend_call(struct frontend *fe, uint32_t id, const void *payload, uint32_t size,
    const int *fds, unsigned n_fds);

/* Send a message without payload and wait for its u64. */
int frontend_get_u64(struct frontend *fe, uint32_t id, uint64_t *ret_value);
int frontend_set_u64(struct frontend *fe, uint32_t id, uint64_t value);

/*
 * GET_FEATURES, protocol features, SET_OWNER, SET_FEATURES: negotiate the features that are wanted
 * and offered. fe->features is the result (VHOST_USER_F_PROTOCOL_FEATURES included).
 */
int frontend_negotiate(struct frontend *fe, uint64_t features, uint64_t protocol_features);

/* Wait until the back-end has handled all earlier messages. This sends GET_FEATURES. */
int frontend_sync(struct frontend *fe);

/*
 * Memory. A region is a new memfd of size bytes (huge: of huge pages; -ENOMEM if there are none).
 * The back-end does not know it before one of the calls below. uaddr 0: the address of the mapping.
 * Returns the region's index or -errno.
 */
int frontend_region_create(
    struct frontend *fe, uint64_t gpa, uint64_t size, uint64_t uaddr, bool huge);

/* Unmap and close it. Its index becomes free. Does not tell the back-end. */
void frontend_region_destroy(struct frontend *fe, unsigned index);

/* The mapping of [gpa, gpa + len); NULL if it is not in one region. */
void *frontend_memory(struct frontend *fe, uint64_t gpa, uint64_t len);

/* The uaddr of a gpa; 0 if there is no such memory. */
uint64_t frontend_uaddr(const struct frontend *fe, uint64_t gpa);

/* SET_MEM_TABLE with the first (at most 8) regions in use. */
int frontend_set_mem_table(struct frontend *fe);

int frontend_add_mem_reg(struct frontend *fe, unsigned index);
int frontend_rem_mem_reg(struct frontend *fe, unsigned index);

/* Open the back-end channel (SET_BACKEND_REQ_FD), or close it. An open channel is replaced. */
int frontend_open_channel(struct frontend *fe);
void frontend_close_channel(struct frontend *fe);

/*
 * Three ways to send an IOTLB_MSG: any message; a translation of a range in one region (perm 1 to
 * 3); the end of a translation.
 */
int frontend_iotlb(struct frontend *fe, const struct vhost_wire_iotlb *message);
int frontend_iommu_map(struct frontend *fe, uint64_t iova, uint64_t size, uint8_t perm);
int frontend_iommu_unmap(struct frontend *fe, uint64_t iova, uint64_t size);

/*
 * Answer all misses that wait on the channel, each with a page and exactly the permission asked
 * for. A miss outside memory gets no answer. Returns the number of answers; -EPROTO: a request that
 * is not a correct miss.
 */
int frontend_iommu_serve(struct frontend *fe);

/* GET_CONFIG: size bytes at offset of the configuration space. */
int frontend_get_config(struct frontend *fe, uint32_t offset, void *bytes, uint32_t size);

/* Messages about a ring. fd -1: set bit 8 and send no descriptor. */
int frontend_set_vring_num(struct frontend *fe, unsigned ring, unsigned num);
int frontend_set_vring_base(struct frontend *fe, unsigned ring, uint32_t base);
int frontend_get_vring_base(struct frontend *fe, unsigned ring, uint32_t *ret_base);
int frontend_set_vring_addr(
    struct frontend *fe, unsigned ring, uint64_t desc, uint64_t driver, uint64_t device);
/* The same with a log address, and logging of the ring on or off. */
int frontend_set_vring_log(struct frontend *fe, unsigned ring, uint64_t desc, uint64_t driver,
    uint64_t device, bool log, uint64_t log_gpa);
int frontend_set_vring_enable(struct frontend *fe, unsigned ring, bool enable);
/* id: VHOST_USER_SET_VRING_KICK, _CALL or _ERR. */
int frontend_set_vring_fd(struct frontend *fe, uint32_t id, unsigned ring, int fd);

/* SET_LOG_BASE, and its reply: a log of size bytes at offset of fd. */
int frontend_set_log_base(struct frontend *fe, uint64_t size, uint64_t offset, int fd);

/* SEND_RARP. */
int frontend_send_rarp(struct frontend *fe, const uint8_t mac[6]);

/*
 * Make the back-end save its state to the pipe fd, or load its state from the pipe. The back-end
 * gets a copy of fd. -EREMOTEIO: the back-end refuses. Call frontend_check_device_state after all
 * bytes have been written or read.
 */
int frontend_set_device_state_fd(struct frontend *fe, bool load, int fd);
int frontend_check_device_state(struct frontend *fe);
