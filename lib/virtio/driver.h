/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver side of a virtqueue, split or packed: what a guest does.
 *
 * For the traffic generator, the tests and the fuzzers. It owns the ring memory it is given
 * and trusts nothing the device writes: a used entry that names no outstanding chain is an
 * error, not a crash. To misbehave, write to the ring memory directly.
 *
 * Threads: one user at a time per ring. No system call, no allocation after init.
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
	/* Free slots; positions; wrap counters; per-slot state. See driver_slot.h. */
	uint16_t n_free;
	uint16_t free_head;
	uint16_t avail, used; /* split: free running; packed: slot */
	/* Split: avail at the last kick decision; packed: descriptors published since. */
	uint16_t published;
	bool avail_wrap, used_wrap;
	uint16_t pending;      /* split: chains, packed: descriptors added, not yet published */
	uint16_t pending_slot; /* packed: where the first of them begins, and its flags */
	uint16_t pending_flags;
	/* In order: who comes next; while a batch is taken apart, its last and that one's length.
	 */
	uint16_t oldest;
	bool in_batch;
	uint16_t batch_last;
	uint32_t batch_len;
	struct driver_slot *slot; /* size entries, by id */
};

/*
 * Set up a ring in zeroed areas of vring_layout() bytes. -EINVAL: bad size; -ENOMEM.
 * features: PACKED, IN_ORDER, EVENT_IDX are read.
 */
int driver_ring_init(struct driver_ring *dr, uint64_t features, uint16_t size, void *desc,
    void *driver, void *device);
void driver_ring_cleanup(struct driver_ring *dr);

/*
 * Add a chain of n_out device-readable then n_in device-writable buffers. token comes back
 * from driver_ring_reap. Not visible to the device before driver_ring_publish.
 * -ENOSPC: not enough free slots. -EINVAL: no buffers.
 */
int driver_ring_add(struct driver_ring *dr, const struct driver_buffer *buffers, unsigned n_out,
    unsigned n_in, void *token);

/*
 * The same through an indirect table that the caller provides: table is its host address,
 * table_gpa its guest address, room for n_out + n_in descriptors. Uses one slot.
 */
int driver_ring_add_indirect(struct driver_ring *dr, const struct driver_buffer *buffers,
    unsigned n_out, unsigned n_in, void *table, uint64_t table_gpa, void *token);

/* Make what was added visible to the device. */
void driver_ring_publish(struct driver_ring *dr);

/* After publish: does the device want a kick? Full barrier. */
bool driver_ring_kick_needed(struct driver_ring *dr);

/*
 * Take one used chain. 1: got one (*ret_token, *ret_len bytes written by the device);
 * 0: none; -EBADMSG: the device returned something that was never given to it.
 */
int driver_ring_reap(struct driver_ring *dr, void **ret_token, uint32_t *ret_len);

/* Ask for no call / a call at the next used chain. Enable is true when some are already there. */
void driver_ring_call_disable(struct driver_ring *dr);
bool driver_ring_call_enable(struct driver_ring *dr);
