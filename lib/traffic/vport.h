/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtio-net driver that only has to be fast: the guest end of a vhost-user port, for generating
 * and checking traffic.
 *
 * Every ring slot has a buffer of its own for ever. A buffer is laid out as DPDK lays out an mbuf:
 * the net header at the end of one cache line, the frame at the start of the next. What a
 * descriptor already says is not written again.
 *
 * Sending:    vport_room(), fill vport_frame(k) for k < n, vport_send().
 * Receiving:  vport_receive(), look at the pieces, vport_give_back().
 *
 * The device is not trusted: ids and lengths are checked, and a device that breaks the rules makes
 * the queue `broken` and nothing else. (To misbehave oneself there is frontend/net_driver.h.)
 *
 * Threads: one user at a time per queue. Nothing here allocates after vport_create(); a system
 * call is made only to connect and to kick a device that asks for it.
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
	uint16_t next, used;   /* packed: slots; split: free-running */
	uint16_t head, n_free; /* of ids: the buffers that are ours, in turn */
	uint16_t n_taken;      /* received, not given back yet */
	uint16_t *ids;         /* ring_size of them */
	uint16_t kicked;       /* split: next when the device was last considered */
	bool event_idx;
	void *desc, *driver, *device;
	uint8_t *buffers;
	uint64_t gpa;
	uint32_t stride, room; /* of a buffer; bytes in it, net header included */
	int kick_fd, call_fd;
	uint64_t kicks;
};

struct vport {
	struct tport tport; /* the same, for traffic */
	struct frontend fe;
	struct vport_config config;
	unsigned n_queues;
	int region;
	struct vport_queue queue[2 * TPORT_PAIRS_MAX]; /* even: receive, odd: send */
};

extern const struct tport_ops vport_ops;

/* Memory for a port; nothing is connected. 0, -EINVAL, -ENOMEM. */
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

/* How many frames can be sent now; looks at the ring only when there is not room for want. */
unsigned vport_room(struct vport_queue *q, unsigned want);

/* How many frames the device has taken off the ring but not returned, or has not seen yet. */
static inline unsigned vport_outstanding(const struct vport_queue *q)
{
	return q->size - q->n_free;
}

/* Where the k-th frame to be sent next belongs; k < vport_room(). */
static inline uint8_t *vport_frame(const struct vport_queue *q, unsigned k)
{
	return q->buffers + (size_t)q->ids[(q->head + k) & q->mask] * q->stride + 64;
}

/* The net header of that frame; stays as it was when the buffer was last used. */
static inline struct virtio_net_hdr *vport_header(const struct vport_queue *q, unsigned k)
{
	return (struct virtio_net_hdr *)(void *)(vport_frame(q, k) - VIRTIO_NET_HDR_LEN);
}

/* Send the first n frames (at most TPORT_BURST) with these lengths, and kick if asked to. */
void vport_send(struct vport_queue *q, const uint32_t len[], unsigned n);

/*
 * Up to max pieces that arrived, whole frames only. They stay readable until vport_give_back(),
 * which must come before the next call.
 */
unsigned vport_receive(
    struct vport_queue *q, struct tport_piece pieces[TPORT_PIECES], unsigned max);
void vport_give_back(struct vport_queue *q);

/* The two formats; see vport_split.c, vport_packed.c. */
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
