/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports and queues as the workers see them.
 *
 * The control thread fills these structures in while no worker can see them, and publishes them in
 * a `struct forwarding`. After that a struct port does not change: if something has to change,
 * another struct port replaces it. A queue is changed only after a forwarding without the queue was
 * published and every worker has passed a quiescent point. Fields that say "changes while in use"
 * are an exception. The counters of a queue are written by the worker that uses the queue; any
 * thread may read them.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_spinlock.h>

#include "base/util.h"
#include "datapath/drop.h"
#include "datapath/policy.h"

#define PORTS_MAX       1024
#define PORT_QUEUES_MAX 128 /* of a port, in each direction */
#define WORKER_NONE     UINT16_MAX

/*
 * Offloads that a frame may need, and that a port may accept. A frame that needs an offload which
 * its destination does not accept is finished in software.
 */
enum offload {
	OFFLOAD_CSUM = 1 << 0,
	OFFLOAD_TSO4 = 1 << 1,
	OFFLOAD_TSO6 = 1 << 2,
	OFFLOAD_ECN = 1 << 3,
	OFFLOAD_UFO = 1 << 4,
	OFFLOAD_USO4 = 1 << 5,
	OFFLOAD_USO6 = 1 << 6,
};

/*
 * The counters of one queue. For an ingress queue: frames == unicast + flooded + all drops. For the
 * whole switch: unicast + flood_copies + gso_segments of all ingress queues == frames + drops of
 * all egress queues.
 */
struct queue_stats {
	uint64_t frames; /* ingress queue: taken from the guest; egress queue: given to it */
	uint64_t bytes;  /* of Ethernet frames, without net header */
	uint64_t drops[DROP_N];
	uint64_t calls;            /* bursts for which the driver wanted a call */
	uint64_t calls_left;       /* calls that were left to the control thread: some ms late */
	uint64_t calls_suppressed; /* bursts for which the driver wanted no call */
	/* Ingress queues only: */
	uint64_t unicast;      /* frames sent to one port */
	uint64_t flooded;      /* frames sent to all other ports */
	uint64_t flood_copies; /* copies of flooded frames, one for each port */
	uint64_t gso_segments; /* made by software segmentation, except the first of each frame */
	uint64_t busy_cycles;  /* TSC cycles of polls that found frames; see worker/sweep.h */
};

struct fdb;
struct port;
struct switch_port;
struct queue_ops;
struct vring;
struct vring_events;

/*
 * One queue of a port. Only one worker at a time uses a queue. For shared egress queues `lock`
 * ensures this. Workers use a queue through the functions in queue.h.
 */
struct queue {
	const struct queue_ops *ops; /* its kind */
	struct vring *ring;          /* of a virtqueue; NULL: another kind */
	void *private;               /* what only another kind knows */
	struct port *port;           /* may be newer than in the forwarding, with the same values */
	uint16_t index;              /* in its port; virtqueues: of the virtqueue */
	uint16_t worker;        /* ingress queues: polls it; WORKER_NONE: while the queue moves */
	bool enabled;           /* changes while in use */
	bool shared;            /* egress queues: several workers may write it */
	uint16_t headers_blind; /* egress queues: visits left that do not compare net headers */
	uint16_t flood_next;    /* ingress queues: see burst_forward(); or 0 */
	int call_fd; /* virtqueues; -1: the driver wants no calls; changes while in use */
	/* Bit 0: call_fd is known to be quick, so a worker may write it. NULL: a worker may. */
	const atomic_uint *call_trust;
	rte_spinlock_t lock;
	atomic_bool call_left; /* the driver wants a call that is left to the control thread */
	struct queue_stats stats;
	int miss_fd; /* virtqueues: an eventfd, written when the ring waits for a translation */
	/* Ingress queues, if flood_next is not 0: where the flood began. */
	uint16_t flood_bridge, flood_domain;
	/* Ingress queues, for the control thread: */
	bool kicks;                  /* a kick wakes the worker */
	uint32_t tenure;             /* changes if the ring starts anew or another worker gets it */
	struct switch_port *owner;   /* for the control thread */
	struct vring_events *events; /* virtqueues; NULL: events are not recorded */
} CACHE_ALIGNED;

_Static_assert(offsetof(struct queue, stats) == CACHE_LINE, "a visit needs one line, and counters");

/*
 * State of the calls of a port; see vhost_call.h. Workers set these, the control thread clears
 * them.
 */
struct port_calls {
	atomic_bool slow;      /* a write took long: all calls are left to the control thread */
	atomic_bool left;      /* call_left of some queue is set */
	atomic_ushort blocked; /* 1 + virtqueue with a call that did not end by itself; or 0 */
};

/*
 * Identifies one port for ever: if another port gets the same index later, it has another
 * generation.
 */
struct port_id {
	uint32_t generation;
	uint16_t index;
};

struct port {
	uint16_t index;
	uint16_t bridge;    /* the number of its bridge in the forwarding */
	uint8_t hdr_len;    /* of the net header: 10 or 12 bytes */
	bool sends_offload; /* net headers from its driver may ask for offloads */
	uint16_t mtu;       /* negotiated with its driver; 0: none */
	uint32_t accepts;   /* enum offload */
	unsigned n_egress;  /* enabled queues that take frames */
	const struct port_policy *policy;
	struct queue *egress[PORT_QUEUES_MAX];
	struct port_calls *calls;
	uint32_t generation; /* of the index: how many ports have had it */
} CACHE_ALIGNED;

/*
 * The key of a polled queue. Keys are ordered by port, then by queue. A queue of a port that had
 * the same index before has another key. The keys of a port's queues are from poll_key_first() to
 * poll_key_last().
 */
static inline uint64_t poll_key_first(struct port_id port)
{
	return (uint64_t)port.index << 48 | (uint64_t)port.generation << 16;
}

static inline uint64_t poll_key_last(struct port_id port)
{
	return poll_key_first(port) | UINT16_MAX;
}

static inline uint64_t poll_key(const struct queue *q)
{
	const struct port_id port = {.index = q->port->index, .generation = q->port->generation};

	return poll_key_first(port) | q->index;
}

/* The queues that one worker polls, in the order of their keys. */
struct poll_list {
	uint64_t number; /* equal lists of a worker, one after the other, have the same number */
	unsigned n;
	bool kicks; /* a kick of any of these queues wakes the worker */
	struct queue **queue;
	uint64_t *key;
	uint32_t *tenure;
	uint16_t *port; /* index of each queue's port */
};

/* The change that is made to a frame on its way to a destination. */
enum edit {
	EDIT_NONE,
	EDIT_VLAN, /* the outer tag becomes that of the port, see edit.h */
};

#define DESTS_MAX PORTS_MAX

/*
 * What a verdict names: the egress queues of a port, and an edit. There is one destination for each
 * port, and its id is the index of the port. An id means the same destination in each forwarding:
 * an unfinished flood goes on by id.
 */
struct dest {
	const struct port *port; /* NULL: down */
	uint16_t bridge;         /* of the port */
	uint16_t edit;           /* enum edit */
};

/* A set of destinations. */
struct members {
	uint32_t n;
	uint64_t word[DESTS_MAX / 64]; /* by id */
};

/* A bridge as the workers see it. Frames never leave their bridge. */
struct bridge_view {
	struct fdb *fdb;
	const struct members *members; /* whose ports are up; floods go to them */
	const uint16_t *members_of;    /* by domain: index of members[]; NULL: always members[0] */
};

/* The destinations of floods in a domain. */
static inline const struct members *bridge_members(
    const struct bridge_view *bridge, uint16_t domain)
{
	return &bridge->members[bridge->members_of ? bridge->members_of[domain] : 0];
}

/* An immutable snapshot of the whole switch, in one allocation. See lib/worker. */
struct forwarding {
	unsigned n_dests;
	struct dest *dest; /* by id */
	unsigned n_bridges;
	struct bridge_view *bridge; /* by number */
	struct poll_list poll[];
};
