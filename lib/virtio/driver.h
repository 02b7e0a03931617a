/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver side of a virtqueue, split or packed: what a guest does.
 *
 * The traffic generator, the tests and the fuzzers use it. No other code writes the driver's part
 * of the ring memory. What the device writes is not trusted: if a used entry names a chain that is
 * not outstanding, driver_ring_reap() returns an error. A test that wants to misbehave writes to
 * the ring memory directly.
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
	 * Split: the value of `avail` at the last kick decision. Packed: the number of descriptors
	 * that were published since the last kick decision.
	 */
	uint16_t published;
	bool avail_wrap, used_wrap;
	uint16_t pending;      /* not yet published; split: chains, packed: descriptors */
	uint16_t pending_slot; /* packed: the slot of the first of them, and its flags */
	uint16_t pending_flags;
	/*
	 * For IN_ORDER, where one used entry may return a batch of chains. oldest: the id of the
	 * oldest outstanding chain. in_batch: a batch was returned, and some of its chains were not
	 * reaped yet. batch_last, batch_len: the id and the length of the last chain of that batch.
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
 * Add a chain of n_out device-readable buffers, followed by n_in device-writable buffers. When
 * driver_ring_reap returns the chain, it returns token, too. The device does not see the chain
 * before driver_ring_publish.
 * -ENOSPC: not enough free slots.
 * -EINVAL: no buffers.
 */
int driver_ring_add(struct driver_ring *dr, const struct driver_buffer *buffers, unsigned n_out,
    unsigned n_in, void *token);

/*
 * The same with an indirect table, so the chain takes one slot. The caller provides the memory for
 * n_out + n_in descriptors. table is the host address of this memory, and table_gpa its guest
 * address.
 */
int driver_ring_add_indirect(struct driver_ring *dr, const struct driver_buffer *buffers,
    unsigned n_out, unsigned n_in, void *table, uint64_t table_gpa, void *token);

/* Make all added chains visible to the device. */
void driver_ring_publish(struct driver_ring *dr);

/* Does the device want a kick? Call this after driver_ring_publish. Contains a full barrier. */
bool driver_ring_kick_needed(struct driver_ring *dr);

/*
 * Take one used chain. Returns 1 if there is a chain; then *ret_len is the number of bytes that the
 * device wrote. Returns 0 if there is no chain, and -EBADMSG if the device returned a chain that it
 * does not have.
 */
int driver_ring_reap(struct driver_ring *dr, void **ret_token, uint32_t *ret_len);

/*
 * Tell the device whether the driver wants calls. After driver_ring_call_disable it wants no calls.
 * After driver_ring_call_enable it wants a call at the next used chain. driver_ring_call_enable
 * returns true if there are used chains already.
 */
void driver_ring_call_disable(struct driver_ring *dr);
bool driver_ring_call_enable(struct driver_ring *dr);
