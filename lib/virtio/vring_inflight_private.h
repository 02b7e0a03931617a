/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of vring_inflight.h share. */
#pragma once

#include "virtio/vring_chain.h"
#include "virtio/vring_inflight.h"

#define ENTRY_NONE UINT16_MAX

/* The mirror of one entry of the area. */
struct inflight_entry {
	uint16_t next; /* packed: in its chain or among the free */
	uint16_t last; /* packed, of the first entry of a chain */
	uint16_t num;
	bool busy; /* the first entry of a chain in flight */
};

/* A chain that was left behind. */
struct inflight_left {
	uint64_t counter;
	uint16_t entry;
	uint16_t num;
	uint32_t stored; /* packed: its first descriptor among the stored ones */
};

struct vring_inflight {
	union {
		struct inflight_split *split;
		struct inflight_packed *packed;
		void *region;
	};
	uint16_t region_entries; /* the region's layout */
	uint16_t n_entries;      /* of these in use: as many as the ring has */
	bool is_packed;
	bool deferring;
	uint16_t last_batch; /* split */
	uint16_t free_head;  /* packed; ENTRY_NONE: there is none */
	uint16_t n_free;
	unsigned n_busy;
	uint64_t counter;
	uint64_t *journal; /* that the ring was started with */
	uint64_t word;     /* packed, not deferring: the journal if there is no other */
	struct inflight_entry *entry;
	uint16_t *entry_of; /* packed, by buffer id: the entry plus 1; 0: none */
	/* Left behind by a crash, in the order in which they came. */
	struct inflight_left *left;
	unsigned n_left, next_left;
	struct vring_packed_desc *stored;
	struct vring_burst *scratch;
	/* The ring's own, and what it uses instead. */
	struct vring_ops base, ops;
};

/* One format. Chains were validated by whoever fetched them. */
struct inflight_format {
	size_t header, entry;
	/* Note a chain that was fetched from slot; false: it cannot be, the ring is broken. */
	bool (*take)(struct vring *vr, const struct vring_chain *chain, uint16_t slot);
	/* Before and after the ring's own complete. */
	void (*finish_begin)(struct vring *vr, const struct vring_burst *burst);
	void (*finish_end)(struct vring *vr, const struct vring_burst *burst);
	/* Append what is left behind; false: it does not fit now. */
	bool (*again)(
	    struct vring *vr, struct vring_burst *burst, const struct inflight_left *left);
	/* Write a new region / read it: the number of chains left behind, or -EBADMSG. */
	void (*reset)(struct vring_inflight *f, const struct vring_position *position);
	int (*recover)(struct vring_inflight *f, const struct vring_config *config);
};

/*
 * For a packed ring that does not defer: a batch of so many slots begins, or (0) it is done. Part
 * of its journalling.
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

/* Stores into the area are made in program order, each whole. */
#define SHARE(to, value) __atomic_store_n(&(to), (value), __ATOMIC_RELEASE)

/* Sort what is left behind by age; sets the counter. */
void inflight_left_sort(struct vring_inflight *f);
