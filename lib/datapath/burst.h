/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a burst: up to 32 frames taken from one guest queue, until the last of them has
 * been delivered or dropped. One stage per file, in this order:
 *
 *	fetch.c     descriptors into locals                      burst_fetch
 *	snapshot.c  first bytes of every frame into locals       burst_snapshot
 *	lookup.c    learn the source, decide the destination     burst_lookup
 *	group.c     by destination: flood, then unicast          burst_forward
 *	deliver.c   reserve, copy, complete                      deliver_group
 *	fallback.c  frames whose offload the guest cannot take   deliver_fallback
 *	complete.c  give the source its buffers back, account,   burst_complete
 *	            and call the drivers that asked for it
 *
 * burst_run() strings them together. A burst is one worker's scratch memory and holds
 * nothing between two calls of burst_run.
 *
 * Trust: b->in came from vring_fetch, so its segments are mapped, but their content may change
 * at any time. Every decision is made on `head`, the private copy of a frame's first bytes, and
 * `head` is what is delivered in their place.
 */
#pragma once

#include <stdint.h>

#include "base/cpu.h"
#include "bridge/fdb.h"
#include "datapath/port.h"
#include "virtio/virtio.h"

#define BURST_FRAMES     32
#define HEAD_BYTES       64 /* of each frame, after the net header */
#define HEAD_STRIDE      128
#define FRAME_MIN        14
#define FRAME_MAX        (65535 + 14 + 8)
#define BURST_NOTIFY_MAX 64 /* queues that wait to be asked; with more, some are asked earlier */
/*
 * A burst takes no second frame that would bring it above this many bytes, or segments if all that
 * asks for segmentation were cut up: that waits for the next visit. Eight TSO frames of 64 KiB.
 */
#define BURST_BYTES    (8 << 16)
#define BURST_SEGMENTS 512
/* Looks at rings that are full, of one burst at all its destinations together. */
#define BURST_RETRIES 8
/* Software work of one burst for all its destinations, in bytes: enough for two of the largest. */
#define SEGMENT_WORK 1024 /* what a segment costs beyond its bytes */
#define BURST_WORK   (2 * (BURST_BYTES + BURST_SEGMENTS * SEGMENT_WORK))
/*
 * Copies of one burst for floods, in bytes: enough for one usual frame, with a VLAN tag, to all the
 * ports that there can be; 0.3 ms at 8 GB/s.
 */
#define FLOOD_COPY   1024 /* what a copy costs beyond its bytes */
#define FLOOD_BUFFER 64   /* likewise each descriptor beyond the first */
#define BURST_FLOOD  (PORTS_MAX * (1518 + FLOOD_COPY))

/* The longest frame that may come from a port: two VLAN tags are beyond the MTU. */
static inline uint32_t port_frame_max(const struct port *from)
{
	return from->mtu ? from->mtu + 14u + 8u : FRAME_MAX;
}

/* Where a frame goes: a port index, or one of these. */
#define DEST_FLOOD 0xffff
#define DEST_NONE  0xfffe /* to be dropped */

struct frame {
	uint32_t len;        /* Ethernet bytes */
	uint16_t dest;       /* port index, DEST_FLOOD or DEST_NONE */
	uint16_t head_len;   /* of the bytes, how many are in the head; from here on: see plain */
	uint32_t needs;      /* enum offload */
	uint32_t hash;       /* flow hash, for a port of several queues; if DEST_NONE: the reason */
	uint16_t segment;    /* where the rest begins: first segment, */
	uint16_t n_segments; /* how many, */
	uint32_t offset;     /* and bytes to skip in the first */
};

/* Of a frame that asks for nothing. */
static const struct virtio_net_hdr plain_header = {.num_buffers = 1};

/* The first bytes of the frame, in a cache line of their own, and the net header as we vouch for
 * it. */
struct head {
	uint8_t data[HEAD_STRIDE - VIRTIO_NET_HDR_LEN];
	struct virtio_net_hdr net;
} CACHE_ALIGNED;

/* One destination queue and the frames of the burst that go there, in order. */
struct group {
	struct queue *queue;
	uint32_t slot; /* of the queue, among all deliver queues */
	unsigned n;
	unsigned done;  /* delivered or dropped so far */
	uint32_t needs; /* enum offload, of any of them */
	/* Of the first frame that is not done, if it is being cut up: segments done and to do. */
	uint16_t part, rest;
	struct vring_peek more; /* while not all are done: whether another visit is worth while */
	uint8_t frame[BURST_FRAMES];
};

struct burst {
	struct queue *source;
	const struct forwarding *fwd;
	struct fdb *fdb;
	uint32_t now_s;
	unsigned n;
	/*
	 * The usual burst: net header and at least HEAD_BYTES of every frame in one segment, chain
	 * i in segment i, and no offload asked for. Of frames only len and dest are filled in, of
	 * heads only data. Stages that want more call burst_fill_in first.
	 */
	bool plain;
	enum cpu_level level;
	uint16_t only_dest; /* a port, if all frames go to that one; else DEST_NONE */
	struct frame frame[BURST_FRAMES];
	struct head head[BURST_FRAMES];
	unsigned n_groups;
	struct group group[BURST_FRAMES];
	/* What this burst may still cost: looks at full rings, work (fallback.h), flood copies. */
	unsigned retries;
	uint32_t work, flood;
	uint16_t flood_next; /* the source's when the burst began */
	uint64_t bytes;      /* of the frames taken */
	/* 1 + group of the deliver queue in that slot; all 0 between bursts. */
	uint8_t group_of_slot[PORTS_MAX * PORT_QUEUES_MAX];
	struct vring_burst in;
	struct vring_burst out;
	/* Whose drivers are to be asked at the end whether they want a call; see notify.h. */
	unsigned n_notify;
	struct queue *notify[BURST_NOTIFY_MAX];
	struct fallback *fallback;
	/* For whoever watches over a worker: the queue whose driver it is calling now. */
	_Atomic(struct queue *) calling;
	uint64_t calls;       /* made so far */
	uint64_t slow_call;   /* one that takes more TSC cycles is slow */
	atomic_bool noted;    /* something in a struct port_calls */
	atomic_llong off_cpu; /* the worker's (base/off_cpu.h), a moment ago */
};

/* Memory for one worker's bursts; -ENOMEM. No call is slow until slow_call is set. */
int burst_create(struct fdb *fdb, struct burst **ret_burst);
void burst_destroy(struct burst *b);

/*
 * Move what one receive queue holds, at most max frames, which is 1 to BURST_FRAMES. Returns how
 * many were taken from the guest, or 1 if the first has been flooded in part; 0 when the queue was
 * empty.
 */
unsigned burst_run(struct burst *b, const struct forwarding *fwd, struct queue *source,
    uint32_t now_s, unsigned max);

/* The stages. */
unsigned burst_fetch(struct burst *b, unsigned max);
void burst_snapshot(struct burst *b);
void burst_lookup(struct burst *b);
void burst_forward(struct burst *b);
void burst_complete(struct burst *b);

/* Make a plain burst like any other. */
void burst_fill_in(struct burst *b);

/* Drop frame i. group.c counts it at the queue it came from, unless the frame goes back there. */
static inline void burst_drop(struct burst *b, unsigned i, enum drop_reason reason)
{
	b->frame[i].dest = DEST_NONE;
	b->frame[i].hash = reason;
}

/* Give back to the source all frames but the first n. */
static inline void burst_keep(struct burst *b, unsigned n)
{
	if (n == b->n)
		return;
	vring_unfetch(b->source->ring, &b->in, n);
	b->n = n;
}
