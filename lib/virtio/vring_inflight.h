/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In-flight tracking (vhost-user, "Inflight I/O tracking"). The chains that a device has fetched
 * and not yet completed are noted in memory that outlives the process. So the next process that
 * serves the ring can take them up, in the order in which they came.
 *
 * The area belongs to the front-end, which may write anything to it. It is read only when a ring is
 * recovered, once, into a copy. While the ring runs it is only written, and every decision comes
 * from a private copy ("mirror").
 *
 * There are two kinds of devices:
 *
 *	deferring	completes chains in any order, at any later time. Each chain is tracked
 *			from vring_fetch to vring_complete. (The caller of vring_complete makes a
 *			batch from copies of the chains that are done.) After a crash
 *			vring_fetch first returns the chains that were left, then new ones.
 *	others		complete all chains that they fetch before they fetch again. So nothing
 *			is in flight that could not be fetched again. Only the position of a
 *			packed ring is noted, twice per batch; a split ring shows its position
 *			itself. Chains that another back-end left in the area are completed at
 *			the first fetch, with nothing written: their frames may be lost, but not
 *			their buffers.
 *
 * Threads: as for the ring. vring_inflight_recover reads guest memory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/vring.h"

/* Layouts as in the specification. Names, too, unless another name says more. */
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

/* Fields that must change together are in one word, and are stored with one store. */
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
 * Track a ring of size entries in region, which is 8-byte aligned and has region_entries entries,
 * at least size. Only the first size entries are read or written, so that a small ring takes little
 * memory. deferring: see above. The region is not touched before vring_inflight_recover or
 * vring_inflight_reset. NULL: no memory.
 */
struct vring_inflight *vring_inflight_create(
    void *region, uint16_t region_entries, uint16_t size, bool packed, bool deferring);
void vring_inflight_destroy(struct vring_inflight *inflight);

/* The size of the ring that it tracks. */
uint16_t vring_inflight_size(const struct vring_inflight *inflight);

/*
 * For a ring that is about to be started with config, of the size that vring_inflight_create was
 * told: find out which chains were in flight, and the ring's position. config->position, which is
 * what the front-end told, is corrected. Returns the number of chains that vring_fetch will return
 * again (deferring) or complete (others); a new region has none. -EBADMSG: the region contradicts
 * itself or the ring. -ENOMEM. After a failure the region is reset and config->position is as it
 * was told.
 */
int vring_inflight_recover(struct vring_inflight *inflight, const struct vring_config *config);

/* Write the region anew, with nothing in flight. Neither the region nor the ring is read. */
void vring_inflight_reset(struct vring_inflight *inflight, const struct vring_position *position);

/* Called by vring_start if there is a config->inflight. It wraps the operations of the ring. */
void vring_inflight_start(struct vring *vr, struct vring_inflight *inflight);

/* How many chains are fetched and not completed, or left by a crash and not yet returned again. */
unsigned vring_inflight_count(const struct vring_inflight *inflight);
