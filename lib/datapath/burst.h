/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a burst: up to 32 frames are taken from one guest queue, and each of them is
 * delivered or dropped. One stage per file, in this order:
 *
 *	fetch.c     descriptors into locals                      burst_fetch
 *	snapshot.c  first bytes of every frame into locals       burst_snapshot
 *	classify.c  the policy of the source port, if any        burst_classify
 *	lookup.c    learn the source, decide the destination     burst_lookup
 *	            (lookup_policy.c if the port has a policy)
 *	group.c     by destination: flood, then unicast          burst_forward
 *	deliver.c   reserve, copy, complete                      deliver_group
 *	fallback.c  offloads that a destination does not take    deliver_fallback
 *	complete.c  give the source its buffers back, account,   burst_complete
 *	            and call the drivers that asked for it
 *
 * burst_run() calls the stages. A burst is scratch memory of one worker. It contains no frames
 * between two calls of burst_run().
 *
 * Trust: queue_fetch() has filled in b->in, so its segments are mapped. But the guest may change
 * their contents at any time. So all decisions use `head`, the private copy of a frame's first
 * bytes. `head` is also delivered instead of these bytes.
 */
#pragma once

#include <stdint.h>

#include "base/cpu.h"
#include "bridge/fdb.h"
#include "datapath/port.h"
#include "virtio/virtio.h"
#include "virtio/vring.h"

#define BURST_FRAMES     32
#define HEAD_BYTES       64 /* of each frame, after the net header */
#define HEAD_STRIDE      128
#define FRAME_MIN        14
#define FRAME_MAX        (65535 + 14 + 8)
#define BURST_NOTIFY_MAX 64 /* so many queues can wait until burst_notify() has to be called */
/*
 * The most bytes of a burst, the most segments of memory that contain them, and the most GSO
 * segments that its frames would need if all of them were segmented. The first frame is always
 * taken. Frames beyond the limits wait for the next visit. The limits are enough for eight TSO
 * frames of 64 KiB. Each segment of memory can cost a page fault.
 */
#define BURST_BYTES        (8 << 16)
#define BURST_SEGMENTS     (8 * 36)
#define BURST_GSO_SEGMENTS 512
/* How often one burst checks full destinations again, all destinations together. */
#define BURST_RETRIES 8
/*
 * The most software work of one burst, for all its destinations together, in bytes: enough for two
 * bursts of the largest size.
 */
#define GSO_SEGMENT_WORK 1024 /* the cost of a GSO segment beyond its bytes */
#define BURST_WORK       (2 * (BURST_BYTES + BURST_GSO_SEGMENTS * GSO_SEGMENT_WORK))
/*
 * The bytes that one burst may copy for floods: enough for one frame of 1518 bytes to PORTS_MAX
 * ports. At 8 GB/s this takes 0.3 ms.
 */
#define FLOOD_COPY   1024 /* the cost of a copy beyond its bytes */
#define FLOOD_BUFFER 64   /* the cost of each descriptor of a copy, except the first */
#define BURST_FLOOD  (PORTS_MAX * (1518 + FLOOD_COPY))

/* The longest frame that may come from a port. Two VLAN tags do not count towards the MTU. */
static inline uint32_t port_frame_max(const struct port *from)
{
	return from->mtu ? from->mtu + 14u + 8u : FRAME_MAX;
}

/* Where a frame goes: the id of a destination (forwarding.dest[]), or one of these. */
#define DEST_FLOOD 0xffff
#define DEST_NONE  0xfffe /* to be dropped */

struct frame {
	uint32_t len;        /* Ethernet bytes */
	uint16_t dest;       /* id of a destination, DEST_FLOOD or DEST_NONE */
	uint16_t head_len;   /* bytes in the head; in a plain burst this and the rest are not set */
	uint32_t needs;      /* enum offload */
	uint32_t hash;       /* flow hash for a port of several queues; DEST_NONE: drop reason */
	uint16_t segment;    /* first segment of the bytes after the head */
	uint16_t n_segments; /* how many segments these bytes have */
	uint32_t offset;     /* where these bytes begin in the first segment */
};

/* The net header of a frame that asks for no offload. */
static const struct virtio_net_hdr no_offload_header = {.num_buffers = 1};

/* The first bytes of a frame, in a cache line of their own, and the frame's checked net header. */
struct head {
	uint8_t data[HEAD_STRIDE - VIRTIO_NET_HDR_LEN];
	struct virtio_net_hdr net;
} CACHE_ALIGNED;

/* How the copy changes the frames of a group in a plain burst. Zeros: not at all. */
struct change {
	int32_t resize; /* VLAN_TAG_LEN: it adds `tag`; -VLAN_TAG_LEN: it removes the outer tag */
	uint32_t tag;
};

/* The frames of a burst that go to the same queue with the same edit, in order. */
struct group {
	struct queue *queue;
	uint32_t slot; /* number of the queue among those of all destinations */
	unsigned n;
	unsigned done;  /* frames delivered or dropped so far */
	uint32_t needs; /* enum offload, of all frames together */
	/*
	 * For the first frame that is not done, if it is being segmented: GSO segments done, and
	 * left.
	 */
	uint16_t part, rest;
	struct change change;
	struct vring_peek more; /* if frames are left: tells whether the ring got more buffers */
	uint8_t frame[BURST_FRAMES];
};

struct burst {
	struct queue *source;
	const struct forwarding *fwd;
	const struct port_policy *policy; /* of the source, as it is in the forwarding */
	const struct bridge_view *bridge; /* of the source */
	uint32_t now_s;
	uint16_t bridge_number;
	unsigned n;
	/*
	 * True for the usual burst: each frame is in one segment, together with its net header,
	 * chain i has segment i, and no frame asks for an offload but a checksum. In a plain burst
	 * only some fields are set: `len` of each frame, `data` of each head, and `dest` or
	 * `only_dest`. If plain_needs is not 0, `needs` of each frame and `net` of each head are
	 * set, too. Stages that need other fields call burst_fill_in() first.
	 */
	bool plain;
	bool verbatim;        /* the burst is plain, and no group has a change */
	bool shorts;          /* in a plain burst: some frame has less than HEAD_BYTES */
	uint32_t plain_needs; /* in a plain burst: enum offload, of all frames together */
	enum cpu_level level;
	uint16_t only_dest; /* the destination of all frames, or DEST_NONE if they differ */
	struct frame frame[BURST_FRAMES];
	struct head head[BURST_FRAMES];
	/* With POLICY_VLAN. alike: all frames are in one domain, and all have the same tags. */
	struct vlan_frame vlan[BURST_FRAMES];
	bool alike;
	unsigned n_groups;
	struct group group[BURST_FRAMES];
	/* What is left of BURST_RETRIES, BURST_WORK and BURST_FLOOD. */
	unsigned retries;
	uint32_t work, flood;
	uint16_t flood_next; /* flood_next of the source when the burst began */
	uint64_t bytes;      /* of the frames taken */
	/* For each slot: 1 + the index of its group. All are 0 between bursts. */
	uint8_t group_of_slot[DESTS_MAX * PORT_QUEUES_MAX];
	struct vring_batch in;
	struct vring_batch out;
	/* Queues for which burst_notify() will check whether the driver wants a call. */
	unsigned n_notify;
	struct queue *notify[BURST_NOTIFY_MAX];
	struct fallback *fallback;
	/* The queue whose driver is being called now; NULL: none. The control thread reads this. */
	_Atomic(struct queue *) calling;
	uint64_t calls;       /* calls made so far */
	uint64_t slow_call;   /* a call is slow if it takes more TSC cycles */
	atomic_bool noted;    /* the worker has set a field of a struct port_calls */
	atomic_llong off_cpu; /* a recent off_cpu_ns() of the worker (base/off_cpu.h) */
};

/* Create the memory for one worker's bursts. -ENOMEM. No call is slow until slow_call is set. */
int burst_create(struct burst **ret_burst);
void burst_destroy(struct burst *b);

/*
 * Forward at most max frames (1 to BURST_FRAMES) of one ingress queue. Returns how many frames were
 * taken from the guest. Returns 1 if only a part of a flood was done, and 0 if the queue was empty.
 */
unsigned burst_run(struct burst *b, const struct forwarding *fwd, struct queue *source,
    uint32_t now_s, unsigned max);

/* The stages. */
unsigned burst_fetch(struct burst *b, unsigned max);
void burst_snapshot(struct burst *b);
void burst_classify(struct burst *b);
void burst_lookup(struct burst *b);
/*
 * If a flood of one frame does not fit into the burst, source->flood_next is the id of the
 * destination with which the next burst goes on. 0: there is no such flood.
 */
void burst_forward(struct burst *b);
void burst_complete(struct burst *b);

/* Turn a plain burst into a general burst: fill in all fields but `dest`. */
void burst_fill_in(struct burst *b);

/*
 * Begin a burst: find the source's policy and bridge in the forwarding. The struct port of the
 * queue may already be newer.
 */
static inline void burst_begin(struct burst *b, const struct forwarding *fwd, struct queue *source)
{
	const struct dest *self = &fwd->dest[source->port->index];

	b->source = source;
	b->fwd = fwd;
	b->policy = self->port->policy;
	b->bridge_number = self->bridge;
	b->bridge = &fwd->bridge[self->bridge];
}

/* The port of a destination; NULL: it is down, or in another bridge than the source. */
static inline const struct port *burst_dest_port(const struct burst *b, unsigned dest)
{
	const struct dest *d = &b->fwd->dest[dest];

	return LIKELY(d->bridge == b->bridge_number) ? d->port : NULL;
}

/* Mark frame i as dropped. group.c counts it at the source, unless the frame goes back there. */
static inline void burst_drop(struct burst *b, unsigned i, enum drop_reason reason)
{
	b->frame[i].dest = DEST_NONE;
	b->frame[i].hash = reason;
}

/* For burst_keep(): give back frames; n is less than b->n. */
void burst_give_back(struct burst *b, unsigned n);

/* Give all frames but the first n back to the source. */
static inline void burst_keep(struct burst *b, unsigned n)
{
	if (n != b->n)
		burst_give_back(b, n);
}
