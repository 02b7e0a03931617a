/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports and queues as the workers see them.
 *
 * The control thread fills these in while no worker can see them and publishes them inside a
 * `struct forwarding`. A port does not change any more then: another one takes its place. A queue
 * changes only after a forwarding without it has been published and every worker has passed a
 * quiescent point, but for the words that say so. Counters are the workers': who uses a queue
 * writes them, anybody may read them.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_spinlock.h>

#include "base/util.h"
#include "datapath/drop.h"
#include "virtio/vring.h"

#define PORTS_MAX       1024
#define PORT_QUEUES_MAX 128 /* each way */
#define WORKER_NONE     UINT16_MAX

/*
 * Offloads a frame may need from whoever takes it, and a port may accept. A frame that needs
 * what its destination does not accept is finished in software.
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
 * The books of one queue. A receive queue: frames == unicast + flooded + all drops. Over the
 * whole switch: unicast + flood_copies + segments of all receive queues == frames + drops of
 * all deliver queues.
 */
struct queue_stats {
	uint64_t frames; /* received: taken from the guest; delivered: given to the guest */
	uint64_t bytes;  /* of Ethernet frames, without net header */
	uint64_t drops[DROP_N];
	uint64_t calls;            /* bursts that the driver was told of */
	uint64_t calls_left;       /* of the calls, those left to others: some ms late */
	uint64_t calls_suppressed; /* those that it had not asked to be told of */
	/* Receive queues only: */
	uint64_t unicast;      /* frames sent to one port */
	uint64_t flooded;      /* frames sent to all others */
	uint64_t flood_copies; /* how many ports those went to */
	uint64_t segments;     /* frames made in software out of one, beyond the first */
	uint64_t busy_cycles;  /* TSC, of polls that found frames: worker/sweep.h */
};

struct port;
struct vport;
struct vring_events;

/* One virtqueue. Written by one worker at a time; `lock` serialises a shared deliver queue. */
struct queue {
	struct vring *ring;
	struct port
	    *port;       /* a newer one than the forwarding's at times, in which the same stands */
	uint16_t index;  /* the virtqueue's */
	uint16_t worker; /* receive queues: who polls it; WORKER_NONE: nobody, on its way */
	bool enabled;    /* changes while in use */
	bool shared;     /* deliver queues: more than one worker may write */
	int call_fd;     /* -1: the driver wants no calls; changes while in use */
	/* Bit 0: call_fd is known to be quick, so a worker may write it. NULL: it may. */
	const atomic_uint *call_trust;
	int miss_fd; /* written when the ring waits for a translation */
	/* Receive queues, the control thread's: */
	bool kicks;             /* a kick wakes the worker */
	uint32_t tenure;        /* another one when the ring starts anew, or gets another worker */
	uint16_t headers_blind; /* deliver queues: visits left that write headers without a look */
	uint16_t flood_next; /* receive queues: port at which the flood of a frame goes on; or 0 */
	rte_spinlock_t lock;
	atomic_bool call_left; /* its driver wants a call that no worker makes: see port_calls */
	struct queue_stats stats;
	struct vport *vport;         /* the control thread's */
	struct vring_events *events; /* NULL: not recorded */
} CACHE_ALIGNED;

/* How calls to a port's drivers go; see notify.h. Workers set these, the control thread clears. */
struct port_calls {
	atomic_bool slow;      /* a write took long: workers leave calls to the control thread */
	atomic_bool left;      /* some queue's was left */
	atomic_ushort blocked; /* 1 + virtqueue whose call did not end by itself */
};

struct port {
	uint16_t index;
	uint8_t hdr_len;    /* of the net header: 10 or 12 */
	bool sends_offload; /* its net headers may carry offload requests */
	uint16_t mtu;       /* that its driver agreed to; 0: none */
	uint32_t accepts;   /* enum offload */
	unsigned n_deliver; /* enabled queues that take frames */
	struct queue *deliver[PORT_QUEUES_MAX];
	struct port_calls *calls;
} CACHE_ALIGNED;

/* One for each queue that is polled, in the order of ports and of their queues. */
static inline uint32_t poll_key(const struct queue *q)
{
	return (uint32_t)q->port->index << 16 | q->index;
}

/* What one worker polls, in the order of keys. */
struct poll_list {
	uint64_t number; /* the same as that of the list before it, if nothing else differs */
	unsigned n;
	bool kicks; /* each of them can wake the worker */
	struct queue **queue;
	uint32_t *key, *tenure;
	uint16_t *port; /* index of each queue's port */
};

/* An immutable picture of the whole switch. One allocation; see lib/worker. */
struct forwarding {
	unsigned n_ports;   /* entries of port[] */
	struct port **port; /* by index; NULL: down */
	unsigned n_up;
	uint16_t *up; /* indices of the ports that are not NULL */
	unsigned n_workers;
	struct poll_list poll[];
};
