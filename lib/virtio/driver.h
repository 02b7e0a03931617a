/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver side of a virtqueue, split or packed: what a guest does.
 *
 * The traffic generator, the tests and the fuzzers use it. No other code writes the driver's part
 * of the ring memory. What the device writes is not trusted: a used entry that names no outstanding
 * chain is an error, not a crash. A test that wants to misbehave writes to the ring memory
 * directly.
 *
 * Threads: one user at a time per ring. No function makes a system call; only driver_ring_init
 * allocates memory.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "virtio/virtio.h"

/* One buffer of a chain as the device will see it. */
struct driver_buffer {
	uint64_t addr; /* guest physical */
	uint32_t len;
};

struct driver_ring {
	bool packed, in_order, event_idx;
	uint16_t size;
	/* Ring areas, host addresses. */
	void *desc, *driver, *device;
	/* How many slots are free, and the first of them. See driver_slot.h. */
	uint16_t n_free;
	uint16_t free_head;
	uint16_t avail, used; /* split: indices that wrap at 65536; packed: slots */
	/*
	 * Split: avail at the last kick decision. Packed: descriptors published since that
	 * decision.
	 */
	uint16_t published;
	bool avail_wrap, used_wrap;
	uint16_t pending;      /* not yet published; split: chains, packed: descriptors */
	uint16_t pending_slot; /* packed: the slot of the first of them, and its flags */
	uint16_t pending_flags;
	/*
	 * With IN_ORDER: `oldest` is the id of the oldest outstanding chain. One used entry may
	 * return a batch of chains. in_batch: a batch has chains left that were not reaped.
	 * batch_last and batch_len: the id and the length of its last chain.
	 */
	uint16_t oldest;
	bool in_batch;
	uint16_t batch_last;
	uint32_t batch_len;
	struct driver_slot *slot; /* size entries, by id */
};

/*
 * Set up a ring in zeroed areas of vring_layout() bytes. -EINVAL: bad size; -ENOMEM.
 * Of features only PACKED, IN_ORDER and EVENT_IDX matter.
 */
int driver_ring_init(struct driver_ring *dr, uint64_t features, uint16_t size, void *desc,
    void *driver, void *device);
void driver_ring_cleanup(struct driver_ring *dr);

/*
 * Add a chain of n_out device-readable then n_in device-writable buffers. driver_ring_reap returns
 * token with the chain. The device does not see the chain before driver_ring_publish.
 * -ENOSPC: not enough free slots.
 * -EINVAL: no buffers.
 */
int driver_ring_add(struct driver_ring *dr, const struct driver_buffer *buffers, unsigned n_out,
    unsigned n_in, void *token);

/*
 * The same with an indirect table that the caller provides: table is its host address, table_gpa
 * its guest address. It has room for n_out + n_in descriptors. The chain takes one slot.
 */
int driver_ring_add_indirect(struct driver_ring *dr, const struct driver_buffer *buffers,
    unsigned n_out, unsigned n_in, void *table, uint64_t table_gpa, void *token);

/* Make all added chains visible to the device. */
void driver_ring_publish(struct driver_ring *dr);

/* To be asked after driver_ring_publish: does the device want a kick? Contains a full barrier. */
bool driver_ring_kick_needed(struct driver_ring *dr);

/*
 * Take one used chain. 1: there is one, *ret_len is the number of bytes that the device wrote; 0:
 * there is none; -EBADMSG: the device returned a chain that it does not have.
 */
int driver_ring_reap(struct driver_ring *dr, void **ret_token, uint32_t *ret_len);

/*
 * Ask the device for no call, or for a call at the next used chain. driver_ring_call_enable returns
 * true if there are used chains already.
 */
void driver_ring_call_disable(struct driver_ring *dr);
bool driver_ring_call_enable(struct driver_ring *dr);
