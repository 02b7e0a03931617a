/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by the files that implement vring_inflight.h. */
#pragma once

#include "virtio/vring_chain.h"
#include "virtio/vring_inflight.h"

#define ENTRY_NONE UINT16_MAX

/* The private copy of one entry of the area. */
struct inflight_entry {
	uint16_t next; /* packed: the next entry of its chain, or the next free one */
	uint16_t last; /* packed, in a chain's first entry: the chain's last entry, */
	uint16_t num;  /* and how many entries the chain has */
	bool busy;     /* the first entry of a chain in flight */
};

/* A chain that was in flight at a crash. */
struct inflight_left {
	uint64_t counter;
	uint16_t entry;
	uint16_t num;
	uint32_t stored; /* packed: index of its first descriptor in stored */
};

struct vring_inflight {
	union {
		struct inflight_split *split;
		struct inflight_packed *packed;
		void *region;
	};
	uint16_t region_entries; /* entries that the region has */
	uint16_t n_entries;      /* entries in use: as many as the ring has */
	bool is_packed;
	bool deferring;
	uint16_t last_batch; /* split: the head of the list of the last batch */
	uint16_t free_head;  /* packed; ENTRY_NONE: there is none */
	uint16_t n_free;
	unsigned n_busy;
	uint64_t counter;
	uint64_t *journal; /* that the ring was started with, or NULL */
	uint64_t word;     /* packed, not deferring: used as the journal if there is no other */
	struct inflight_entry *entry;
	uint16_t *entry_of; /* packed, by buffer id: the entry plus 1; 0: none */
	/*
	 * Chains that were in flight at a crash, oldest first. The first next_left of them were
	 * already returned again.
	 */
	struct inflight_left *left;
	unsigned n_left, next_left;
	struct vring_packed_desc *stored;
	struct vring_batch *scratch;
	/*
	 * base: the operations of the ring's format. ops: the operations that the ring uses
	 * instead.
	 */
	struct vring_ops base, ops;
};

/* The functions of one format. Chains that they get have been checked by the fetch. */
struct inflight_format {
	size_t header, entry;
	/*
	 * Note a chain that was fetched from slot. False: the ring is broken, because the driver
	 * has made the chain available twice.
	 */
	bool (*take)(struct vring *vr, const struct vring_chain *chain, uint16_t slot);
	/* Called before and after the complete of the ring's format. */
	void (*finish_begin)(struct vring *vr, const struct vring_batch *batch);
	void (*finish_end)(struct vring *vr, const struct vring_batch *batch);
	/* Append a chain that was in flight at a crash. False: it does not fit now. */
	bool (*again)(
	    struct vring *vr, struct vring_batch *batch, const struct inflight_left *left);
	/*
	 * reset: write a new region. recover: read the region, and return the number of chains that
	 * were in flight or a negative errno.
	 */
	void (*reset)(struct vring_inflight *f, const struct vring_position *position);
	int (*recover)(struct vring_inflight *f, const struct vring_config *config);
};

/*
 * Note in the area that a batch of `slots` slots begins, or, with 0, that the batch is done. This
 * is called when the journal of a packed ring is written, if the device does not defer.
 */
void vring_inflight_note(struct vring *vr, uint32_t slots);

extern const struct inflight_format inflight_format_split, inflight_format_packed;

static inline const struct inflight_format *inflight_format(bool packed)
{
	return packed ? &inflight_format_packed : &inflight_format_split;
}

/* The first entry of the chain in flight with this buffer id, or ENTRY_NONE. */
static inline uint16_t inflight_entry_of(const struct vring_inflight *f, uint16_t id)
{
	return f->entry_of[id] - 1;
}

void inflight_entry_of_clear(struct vring_inflight *f);

/* Store to the area. A store is never torn, and stores become visible in program order. */
#define SHARE(to, value) __atomic_store_n(&(to), (value), __ATOMIC_RELEASE)

/* Sort the chains that were in flight by age, and set the counter for the next chain. */
void inflight_left_sort(struct vring_inflight *f);
