/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In-flight tracking (vhost-user, "Inflight I/O tracking"): which chains a device has fetched and
 *not yet completed, in memory that outlives the process, so that whoever serves the ring next can
 *take them up in the order in which they came.
 *
 * The area belongs to the front-end and is hostile. It is read once, into a copy, when a ring is
 * recovered; while the ring runs it is only written, and every decision comes from a private
 *mirror.
 *
 * Two kinds of devices use it:
 *
 *	deferring	completes chains in any order, any time later. Each chain is tracked from
 *			vring_fetch to vring_complete (a burst of the chains that are done, put
 *			together from copies). After a crash vring_fetch hands out what was left,
 *			before anything new.
 *	others		complete what they fetch before they fetch again, so nothing is in flight
 *			that could not be fetched anew. Only a packed ring's place is noted, twice
 *			per burst; a split ring shows its place itself. What another back-end left
 *			in the area is completed unused at the first fetch: frames may be lost,
 *			buffers may not.
 *
 * Threads: as for the ring. vring_inflight_recover reads guest memory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/vring.h"

/* The layouts are the specification's; names, too, as far as they say something. */
struct inflight_split_desc {
	uint8_t inflight;
	uint8_t padding[5];
	uint16_t next; /* the batch that was completed last is a list */
	uint64_t counter;
};

struct inflight_split {
	uint64_t features;
	uint16_t version; /* 0: never used */
	uint16_t desc_num;
	uint16_t last_batch_head;
	uint16_t used_idx;
	struct inflight_split_desc desc[];
};

struct inflight_packed_desc {
	uint8_t inflight;
	uint8_t padding;
	uint16_t next; /* of a chain, and of the free ones */
	uint16_t last;
	uint16_t num;
	uint64_t counter;
	uint16_t id;
	uint16_t flags;
	uint32_t len;
	uint64_t addr;
};

struct inflight_packed_heads {
	uint16_t version;
	uint16_t desc_num;
	uint16_t free_head;
	uint16_t old_free_head;
};

struct inflight_packed_place {
	uint16_t used_idx;
	uint16_t old_used_idx;
	uint8_t used_wrap_counter;
	uint8_t old_used_wrap_counter;
	uint8_t padding[2];
};

/* Fields that must change together lie in one word, and are stored as one. */
struct inflight_packed {
	uint64_t features;
	union {
		struct inflight_packed_heads heads;
		uint64_t heads_word;
	};
	union {
		struct inflight_packed_place place;
		uint64_t place_word;
	};
	uint64_t padding;
	struct inflight_packed_desc desc[];
};

#define VRING_INFLIGHT_VERSION 1

/* Bytes of one ring's region with so many entries. Regions follow each other without gaps. */
size_t vring_inflight_region_size(uint16_t entries, bool packed);

struct vring_inflight;

/*
 * Track a ring of so many entries (size) in region, 8-byte aligned, which has room for
 * region_entries, at least size. Of these only the first size ones are used or even read: memory
 * goes by the ring. deferring: see above. The region is not touched before it is recovered. NULL:
 * no memory.
 */
struct vring_inflight *vring_inflight_create(
    void *region, uint16_t region_entries, uint16_t size, bool packed, bool deferring);
void vring_inflight_destroy(struct vring_inflight *inflight);

/* The size of the ring that it can track. */
uint16_t vring_inflight_size(const struct vring_inflight *inflight);

/*
 * Find out what was in flight in a ring that is about to be started with config, of the size
 * that was told, and where it stands: config->position, what the front-end says, is put right.
 * Returns the number of chains that vring_fetch will hand out again (deferring) or complete
 * (others); a new region has none. -EBADMSG: the region contradicts itself or the ring; it was made
 * anew, and the position is left. -ENOMEM: the same.
 */
int vring_inflight_recover(struct vring_inflight *inflight, const struct vring_config *config);

/* Make the region anew, nothing in flight, without a look at it or the ring. */
void vring_inflight_reset(struct vring_inflight *inflight, const struct vring_position *position);

/* What vring_start does for a ring with config->inflight: its ops are wrapped. */
void vring_inflight_start(struct vring *vr, struct vring_inflight *inflight);

/* Chains between fetch and complete, and those that are still to be handed out again. */
unsigned vring_inflight_count(const struct vring_inflight *inflight);
