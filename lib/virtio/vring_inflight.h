/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In-flight tracking (vhost-user, "Inflight I/O tracking"). The chains that a device has fetched
 * and not yet completed are noted in memory that outlives the process (the "area"). So the next
 * process that serves the ring can process them, in the order in which they were fetched.
 *
 * The area belongs to the front-end, which may write anything to it. When a ring is recovered, the
 * area is read once, into a private copy (the "mirror"). While the ring runs, the area is only
 * written. All decisions use the mirror.
 *
 * There are two kinds of devices:
 *
 *	deferring	completes chains in any order, at any time. Each chain is tracked from
 *			vring_fetch to vring_complete. (The caller of vring_complete makes a batch
 *			from copies of the chains that are done.) After a crash vring_fetch first
 *			returns the chains that were in flight, then new chains.
 *	others		complete all chains that they fetched before they fetch again. So every
 *			chain in flight can be fetched again. Only the position of a packed ring is
 *			noted, twice per batch; a split ring shows its position itself. If another
 *			back-end left chains in the area, they are completed at the first fetch, and
 *			nothing is written to them: their frames may be lost, but not their buffers.
 *
 * Threads: as for the ring. vring_inflight_recover reads guest memory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/vring.h"

/* The layouts are those of the specification. Most names are those of the specification, too. */
struct inflight_split_desc {
	uint8_t inflight;
	uint8_t padding[5];
	uint16_t next; /* links the chains of the last completed batch */
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
	uint16_t next; /* links the entries of a chain, or the free entries */
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

/* Fields that must change together are in one word, which is written with one store. */
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

/* The size of one ring's region with so many entries. Regions follow each other without gaps. */
size_t vring_inflight_region_size(uint16_t entries, bool packed);

struct vring_inflight;

/*
 * Track a ring of `size` entries in `region`. The region is 8-byte aligned and has region_entries
 * entries; that is `size` or more. Only the first `size` entries are read or written, so a small
 * ring takes little memory. deferring: see above. This function does not touch the region;
 * vring_inflight_recover or vring_inflight_reset is the first to do that. NULL: no memory.
 */
struct vring_inflight *vring_inflight_create(
    void *region, uint16_t region_entries, uint16_t size, bool packed, bool deferring);
void vring_inflight_destroy(struct vring_inflight *inflight);

/* The size of the ring that it tracks. */
uint16_t vring_inflight_size(const struct vring_inflight *inflight);

/*
 * Find out which chains were in flight, and the ring's position. The caller will start the ring
 * with this config, and with the size that it gave to vring_inflight_create. config->position is
 * the position that the front-end told; it is corrected.
 *
 * Returns the number of chains that were in flight; 0 for a new region. vring_fetch will return
 * these chains again (deferring devices) or complete them (other devices). -EBADMSG: the region
 * contradicts itself or the ring. -ENOMEM. After a failure the region is reset, and
 * config->position is what the front-end told.
 */
int vring_inflight_recover(struct vring_inflight *inflight, const struct vring_config *config);

/* Write a new region, with nothing in flight. This reads neither the old region nor the ring. */
void vring_inflight_reset(struct vring_inflight *inflight, const struct vring_position *position);

/* Called by vring_start if there is a config->inflight. It wraps the operations of the ring. */
void vring_inflight_start(struct vring *vr, struct vring_inflight *inflight);

/*
 * The number of chains that are fetched and not completed, and of chains that were in flight at a
 * crash and are not yet returned again.
 */
unsigned vring_inflight_count(const struct vring_inflight *inflight);
