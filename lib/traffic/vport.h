/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fast virtio-net driver: the guest end of a vhost-user port, for generating and checking
 * traffic.
 *
 * Every descriptor id has a buffer of its own. A buffer has the layout of a DPDK mbuf: the net
 * header at the end of one cache line, the frame at the start of the next. If a descriptor already
 * has the right contents, it is not written.
 *
 *	Sending:    vport_room(), fill vport_frame(k) for k < n, vport_send().
 *	Receiving:  vport_receive(), read the pieces, vport_give_back().
 *
 * The device is not trusted: ids and lengths are checked. If a device breaks the rules, the queue
 * becomes `broken`, and nothing else happens. (For a driver that breaks the rules itself see
 * frontend/net_driver.h.)
 *
 * Threads: one user at a time per queue. Nothing here allocates after vport_create(). System calls
 * are made only to connect and to kick a device that asks for kicks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frontend/frontend.h"
#include "traffic/tport.h"

struct vport_config {
	unsigned n_pairs;   /* 1 to TPORT_PAIRS_MAX */
	uint16_t ring_size; /* a power of two, 64 to 32768 */
	uint32_t frame_max; /* the longest frame to send */
	uint32_t buffer;    /* bytes of a frame that one receive buffer holds; 0: frame_max */
	uint64_t features;  /* wanted; VERSION_1 and PROTOCOL_FEATURES are added */
	bool huge;
};

/* One direction of a pair. */
struct vport_queue {
	bool packed, in_order, mergeable, broken;
	bool wrap, used_wrap; /* packed */
	uint16_t size, mask;
	uint16_t next, used;     /* packed: slots; split: free-running */
	uint16_t oldest, n_free; /* of ids: the buffers that the driver owns, in turn */
	uint16_t n_taken;        /* received and not given back yet */
	uint16_t *ids;           /* ring_size of them */
	uint16_t kicked;         /* split: `next` at the last decision about a kick */
	bool event_idx;
	void *desc, *driver, *device;
	uint8_t *buffers;
	uint64_t gpa;
	uint32_t stride, room; /* from buffer to buffer; in a buffer, with net header */
	int kick_fd, call_fd;
	uint64_t kicks;
};

struct vport {
	struct tport tport; /* this port, for traffic */
	struct frontend fe;
	struct vport_config config;
	unsigned n_queues;
	int region;
	struct vport_queue queue[2 * TPORT_PAIRS_MAX]; /* even: receive, odd: send */
};

extern const struct tport_ops vport_ops;

/* Allocate the memory of a port; nothing is connected. 0, -EINVAL, -ENOMEM. */
int vport_create(const struct vport_config *config, struct vport **ret_vport);
void vport_destroy(struct vport *vp);

/* Connect, negotiate, start all rings. 0 or -errno; -ENOTSUP: a wanted feature is not offered. */
int vport_connect(struct vport *vp, const char *path);

static inline struct vport_queue *vport_sender(struct vport *vp, unsigned pair)
{
	return &vp->queue[2 * pair + 1];
}

static inline struct vport_queue *vport_receiver(struct vport *vp, unsigned pair)
{
	return &vp->queue[2ul * pair];
}

/* The number of frames that can be sent now. Reads the ring only if there is no room for want. */
unsigned vport_room(struct vport_queue *q, unsigned want);

/* The number of buffers that the device has not returned yet. */
static inline unsigned vport_outstanding(const struct vport_queue *q)
{
	return q->size - q->n_free;
}

/* Where to write the k-th of the next frames to send; k < vport_room(). */
static inline uint8_t *vport_frame(const struct vport_queue *q, unsigned k)
{
	return q->buffers + (size_t)q->ids[(q->oldest + k) & q->mask] * q->stride + 64;
}

/* The net header of that frame. It still contains what it had when the buffer was last used. */
static inline struct virtio_net_hdr *vport_header(const struct vport_queue *q, unsigned k)
{
	return (struct virtio_net_hdr *)(void *)(vport_frame(q, k) - VIRTIO_NET_HDR_LEN);
}

/*
 * Send the first n frames (at most TPORT_BURST) with these lengths. Kick if the device asks for it.
 */
void vport_send(struct vport_queue *q, const uint32_t len[], unsigned n);

/*
 * Up to max pieces of whole frames. They stay readable until vport_give_back(), which must come
 * before the next call.
 */
unsigned vport_receive(
    struct vport_queue *q, struct tport_piece pieces[TPORT_PIECES], unsigned max);
void vport_give_back(struct vport_queue *q);

/* The two ring formats; see vport_split.c, vport_packed.c. */
struct vport_used {
	uint16_t id;
	uint32_t len;
};
unsigned vport_split_reap(struct vport_queue *q, struct vport_used used[], unsigned max);
void vport_split_reap_sent(struct vport_queue *q);
void vport_split_offer(struct vport_queue *q, const uint32_t len[], unsigned n, bool writable);
bool vport_split_kick_needed(struct vport_queue *q);
unsigned vport_packed_reap(struct vport_queue *q, struct vport_used used[], unsigned max);
void vport_packed_reap_sent(struct vport_queue *q);
void vport_packed_offer(struct vport_queue *q, const uint32_t len[], unsigned n, bool writable);
bool vport_packed_kick_needed(struct vport_queue *q);
