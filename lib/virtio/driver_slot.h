/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Internals of the driver side: its private data about each chain, and the functions of the two
 * formats.
 *
 * The links of chains and free lists are in private memory. They are never read back from ring
 * memory, because the device may change ring memory. A split ring's slots are its descriptors; a
 * packed ring's slots are its buffer ids.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "virtio/virtio.h"

struct driver_buffer;
struct driver_ring;

struct driver_slot {
	void *token;
	uint32_t n_in_bytes; /* device-writable bytes of the chain */
	uint16_t n;          /* descriptors in the ring; 0: not outstanding */
	uint16_t next;       /* the next slot of the chain, or of the free list */
};

/* What the ring's descriptors show of a chain: its buffers, or one indirect table. */
struct driver_chain {
	const struct driver_buffer *buffers;
	unsigned n_out, n; /* n: all buffers, out and in */
	uint16_t flags;    /* of every descriptor, besides NEXT and WRITE */
	uint32_t n_in_bytes;
	void *token;
};

int driver_split_add(struct driver_ring *dr, const struct driver_chain *c);
void driver_split_publish(struct driver_ring *dr);
bool driver_split_kick_needed(struct driver_ring *dr);
int driver_split_reap(struct driver_ring *dr, void **ret_token, uint32_t *ret_len);
void driver_split_call_disable(struct driver_ring *dr);
bool driver_split_call_enable(struct driver_ring *dr);

int driver_packed_add(struct driver_ring *dr, const struct driver_chain *c);
void driver_packed_publish(struct driver_ring *dr);
bool driver_packed_kick_needed(struct driver_ring *dr);
int driver_packed_reap(struct driver_ring *dr, void **ret_token, uint32_t *ret_len);
void driver_packed_call_disable(struct driver_ring *dr);
bool driver_packed_call_enable(struct driver_ring *dr);

/* Did the index pass event on its way from old to now (2.7.7.2)? */
static inline bool driver_event_passed(uint16_t event, uint16_t now, uint16_t old)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

static inline uint16_t driver_flags(const struct driver_chain *c, unsigned i)
{
	uint16_t next = i + 1 < c->n ? VRING_DESC_F_NEXT : 0;

	return c->flags | next | (i >= c->n_out ? VRING_DESC_F_WRITE : 0);
}
