/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rings with I/O virtual addresses in their descriptors.
 *
 * The thread that keeps the translations (the keeper) and the threads that use the rings share:
 *
 *	vring_iommu	one per device: the current view. The keeper publishes a new view, and a
 *			ring uses it from its next batch on. The keeper may destroy an old view
 *			when every batch that began with the old view has ended.
 *	vring_misses	one per ring: addresses that the ring could not translate. The ring adds
 *			each address once. The keeper asks the front-end for a translation. If there
 *			is no answer, the keeper denies the miss.
 *
 * A miss is an address of a chain that is not translated. Then vring_fetch returns the chains
 * before this chain. This chain and all later chains stay in the ring. The ring tries again when
 * there is a new view or a miss was denied. Until then a fetch costs a few loads. A chain that
 * needs an address whose miss was denied gets VRING_FAULT_ADDRESS.
 *
 * Drivers map a new range for each buffer, so many misses come together. So after the first miss
 * the ring also examines the next chains (it "scouts") and notes their misses, until no slot is
 * free. It examines a limited number of chains, descriptors and pages.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "virtio/dirty_log.h"
#include "virtio/iotlb.h"

struct vring;
struct vring_batch;
struct vring_position;

struct vring_ops {
	unsigned (*fetch)(struct vring *vr, struct vring_batch *batch, unsigned max);
	void (*unfetch)(struct vring *vr, struct vring_batch *batch, unsigned keep);
	void (*complete)(struct vring *vr, const struct vring_batch *batch);
	bool (*call_wanted)(struct vring *vr);
	void (*kick_disable)(struct vring *vr);
	bool (*kick_enable)(struct vring *vr);
	bool (*has_avail)(const struct vring *vr);
	struct vring_peek (*peek)(const struct vring *vr);
	void (*prefetch)(const struct vring *vr); /* NULL: not useful */
	/*
	 * Mark ring memory in the dirty log. log_used: what complete() wrote for `slots` slots from
	 * position `before` on. log_event: what kick_disable() or kick_enable() wrote.
	 */
	void (*log_used)(struct vring *vr, struct dirty_log *log,
	    const struct vring_position *before, uint32_t slots);
	void (*log_event)(struct vring *vr, struct dirty_log *log);
};

#define VRING_MISSES_MAX 64

/*
 * A miss is one word: the page's IOVA, the wanted permission (IOTLB_*) and the state of the miss.
 * So a thread reads or changes all of them at once.
 */
enum vring_miss_state { VRING_MISS_NEW = 1, VRING_MISS_ASKED, VRING_MISS_DENIED };

#define VRING_MISS_STATE_MASK UINT64_C(0x3)
#define VRING_MISS_PERM_SHIFT 2
#define VRING_MISS_PERM_MASK  UINT64_C(0x3)

static inline unsigned vring_miss_perm(uint64_t miss)
{
	return miss >> VRING_MISS_PERM_SHIFT & VRING_MISS_PERM_MASK;
}

static inline uint64_t vring_miss_iova(uint64_t miss)
{
	return miss & ~(IOTLB_PAGE - 1);
}

struct vring_misses {
	_Atomic uint64_t miss[VRING_MISSES_MAX]; /* 0: free */
};

/* The view is never NULL while a ring uses it. */
struct vring_iommu {
	_Atomic(struct iotlb_view *) view;
	_Atomic uint32_t denials; /* how many misses were denied */
};

/* The ring's part. All zero: there is no IOMMU. */
struct vring_translation {
	struct vring_iommu *iommu;
	struct vring_misses *misses;
	uint64_t generation;  /* of the view that the ring's memory and tables are from */
	uint32_t denials;     /* as last seen */
	bool stalled;         /* a chain waits for a translation */
	bool scouting;        /* chains are only examined for misses */
	uint32_t scout_pages; /* while scouting: how many more pages it may examine */
	bool news; /* there are new misses; cleared by the caller that tells the keeper */
	struct vring_ops ops; /* those of the format, except fetch */
	/* The fetch of the format. */
	unsigned (*fetch)(struct vring *vr, struct vring_batch *batch, unsigned max);
};

/* Called by vring_start for a ring behind an IOMMU. It wraps the operations of the ring. */
void vring_iommu_start(struct vring *vr, struct vring_iommu *iommu, struct vring_misses *misses);

/*
 * Note the misses of the chains that wait in the ring, before the chains are needed. Only the user
 * of the ring may call this. batch is scratch memory.
 */
void vring_iommu_look_ahead(struct vring *vr, struct vring_batch *batch);

/*
 * To be called if the page at iova is not translated with perm. Returns the fault of the chain:
 * VRING_FAULT_MISS, after the miss was noted, or VRING_FAULT_ADDRESS if there is no IOMMU or the
 * miss was denied.
 */
int vring_iommu_miss(struct vring *vr, uint64_t iova, unsigned perm);

/* While scouting: note the pages of a buffer that are not translated. */
void vring_iommu_scout(struct vring *vr, uint64_t iova, uint32_t len);

/*
 * For the keeper: take the next miss for which the front-end is to be asked. The search begins at
 * slot *at; the caller sets *at to 0 for the first call. Returns the word of the miss, or 0 if
 * there is none. Afterwards *at is the slot behind the miss. If the keeper could not ask, it gives
 * the miss back.
 */
uint64_t vring_misses_take(struct vring_misses *misses, unsigned *at);
void vring_misses_give_back(struct vring_misses *misses, unsigned i, uint64_t miss);

/*
 * Deny `miss`, if it is still in slot i. If this returns true, the caller must add 1 to
 * vring_iommu.denials.
 */
bool vring_misses_deny(struct vring_misses *misses, unsigned i, uint64_t miss);

/*
 * Forget the misses that have a translation in this view. Call this after the view was published.
 * If the front-end takes the translation back before the ring has tried again, the ring notes the
 * miss again.
 */
void vring_misses_answer(struct vring_misses *misses, const struct iotlb_view *view);
