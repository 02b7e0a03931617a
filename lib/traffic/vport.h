/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fast virtio-net driver: the guest end of a vhost-user port, for generating and checking
 * traffic.
 *
 * Every descriptor id has a buffer of its own. A buffer has the layout of a DPDK mbuf: the net
 * header at the end of one cache line, the frame at the start of the next. If a descriptor already
 * has the right contents, it is not written. A buffer can also be a chain of descriptors, in the
 * ring or in an indirect table; see vport_chain.c. Like Linux, the driver does not chain receive
 * buffers that can be merged.
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
	unsigned chain; /* descriptors of a frame, besides one for the net header; 0: one for all */
	bool indirect;  /* the chain is in an indirect table */
	bool calls;     /* ask for calls, as a guest does */
	bool huge;
};

#define VPORT_CHAIN_MAX  8
#define VPORT_PIECES_MAX (VPORT_CHAIN_MAX + 1)

/* One direction of a pair. */
struct vport_queue {
	bool packed, in_order, mergeable, broken;
	bool wrap, used_wrap; /* packed */
	uint16_t size, mask;
	uint16_t next, used; /* packed: slots; split: free-running */
	/* Buffers: a power of two of them, each with `per` descriptors in the ring. */
	uint16_t n_slots, slot_mask, per;
	uint16_t oldest, n_free; /* of ids: the buffers that the driver owns, in turn */
	uint16_t n_taken;        /* received and not given back yet */
	uint16_t *ids;           /* n_slots of them */
	uint16_t pieces; /* descriptors of a buffer, with the net header in its own; 0: one */
	bool indirect;
	uint16_t kicked; /* split: `next` at the last decision about a kick */
	bool event_idx;
	void *desc, *driver, *device;
	uint8_t *buffers;
	uint64_t gpa;
	uint32_t stride, room; /* from buffer to buffer; in a buffer, with net header */
	uint8_t *extra;        /* of each chain: a line with the net header, the indirect table */
	uint64_t extra_gpa;
	uint32_t extra_stride;
	int kick_fd, call_fd;
	bool calls, asked; /* asked: a call that was asked for is still useful */
	uint64_t kicks, calls_asked, calls_made;
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
	return q->n_slots - q->n_free;
}

/* Where to write the k-th of the next frames to send; k < vport_room(). */
static inline uint8_t *vport_frame(const struct vport_queue *q, unsigned k)
{
	return q->buffers + (size_t)q->ids[(q->oldest + k) & q->slot_mask] * q->stride + 64;
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

/* Chains; see vport_chain.c. */
void vport_chain_offer(struct vport_queue *q, const uint32_t len[], unsigned n, bool writable);
void vport_chain_take_header(const struct vport_queue *q, uint16_t id);

/*
 * Calls; see vport_calls.c. ask: for a call when `ahead` more buffers than now are back, and one
 * more.
 */
void vport_calls_never(struct vport_queue *q);
void vport_calls_ask(struct vport_queue *q, unsigned ahead);
uint64_t vport_calls_made(struct vport_queue *q);

/* The two ring formats; see vport_split.c, vport_packed.c. */
struct vport_used {
	uint16_t id;
	uint32_t len;
};
unsigned vport_split_reap(struct vport_queue *q, struct vport_used used[], unsigned max);
void vport_split_reap_sent(struct vport_queue *q);
void vport_split_offer(struct vport_queue *q, const uint32_t len[], unsigned n, bool writable);
bool vport_split_kick_needed(struct vport_queue *q);

/* Go n slots on. */
static inline void vport_packed_advance(
    const struct vport_queue *q, uint16_t *slot, bool *wrap, unsigned n)
{
	*slot += n;
	if (*slot >= q->size) {
		*slot -= q->size;
		*wrap = !*wrap;
	}
}

unsigned vport_packed_reap(struct vport_queue *q, struct vport_used used[], unsigned max);
void vport_packed_reap_sent(struct vport_queue *q);
void vport_packed_offer(struct vport_queue *q, const uint32_t len[], unsigned n, bool writable);
bool vport_packed_kick_needed(struct vport_queue *q);
