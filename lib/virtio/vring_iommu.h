/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rings whose descriptors carry I/O virtual addresses.
 *
 * Between the thread that keeps the translations (the keeper) and those that use the rings:
 *
 *	vring_iommu	one per device: the current view. The keeper publishes a new one; a
 *			ring adopts it with its next burst. An old view may be destroyed when
 *			every burst begun before has ended.
 *	vring_misses	one per ring: what it could not translate. The ring puts in, once; the
 *			keeper takes out to ask, and denies what is not answered.
 *
 * A chain that misses is not fetched, and nothing behind it; vring_fetch returns what lies
 * before. The ring looks again when the view has changed or a miss was denied; until then
 * fetching costs two loads. A chain that needs what was denied carries VRING_FAULT_ADDRESS.
 *
 * A driver maps each of its buffers anew, so misses come in flocks. The first one makes the ring
 * look at the chains behind it, too, and ask for all of them at once, as far as there is room for
 * misses: how far it looks is bounded in chains, descriptors and pages.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "virtio/dirty_log.h"
#include "virtio/iotlb.h"

struct vring;
struct vring_burst;
struct vring_position;

struct vring_ops {
	unsigned (*fetch)(struct vring *vr, struct vring_burst *burst, unsigned max);
	void (*unfetch)(struct vring *vr, struct vring_burst *burst, unsigned keep);
	void (*complete)(struct vring *vr, const struct vring_burst *burst);
	bool (*call_asked)(struct vring *vr);
	void (*kick_disable)(struct vring *vr);
	bool (*kick_enable)(struct vring *vr);
	bool (*has_avail)(const struct vring *vr);
	struct vring_peek (*peek)(const struct vring *vr);
	void (*prefetch)(const struct vring *vr); /* NULL: it would gain nothing */
	/* Note for the dirty log what the last complete, and what the kick functions, wrote. */
	void (*log_used)(struct vring *vr, struct dirty_log *log,
	    const struct vring_position *before, uint32_t slots);
	void (*log_event)(struct vring *vr, struct dirty_log *log);
};

#define VRING_MISSES_MAX 64

/*
 * One miss in one word: the page's IOVA, the permission wanted (IOTLB_*) and how far it got. So
 * it is always whole, whoever looks.
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

/* Never NULL while a ring uses it. */
struct vring_iommu {
	_Atomic(struct iotlb_view *) view;
	_Atomic uint32_t denials; /* counts up with each */
};

/* A ring's side. All zero: there is no IOMMU. */
struct vring_translation {
	struct vring_iommu *iommu;
	struct vring_misses *misses;
	uint64_t generation;  /* of the view that memory and tables belong to */
	uint32_t denials;     /* as last seen */
	bool stalled;         /* at a miss */
	bool scouting;        /* looking ahead: chains are not kept */
	uint32_t scout_pages; /* while looking ahead: how many it may still look for */
	bool news;            /* there are new misses; whoever tells the keeper clears it */
	struct vring_ops ops; /* those of the format, but for fetch, */
	unsigned (*fetch)(struct vring *vr, struct vring_burst *burst, unsigned max); /* this one */
};

/* What vring_start does for a ring behind an IOMMU; its ops are wrapped. */
void vring_iommu_start(struct vring *vr, struct vring_iommu *iommu, struct vring_misses *misses);

/*
 * Note what the chains that wait in the ring miss, before they are needed. For whoever uses the
 * ring; burst is scratch memory.
 */
void vring_iommu_look_ahead(struct vring *vr, struct vring_burst *burst);

/* The page at iova cannot be accessed so: a fault, or a miss noted. Returns enum vring_fault. */
int vring_iommu_miss(struct vring *vr, uint64_t iova, unsigned perm);

/* While looking ahead: note what is missing of a buffer. */
void vring_iommu_scout(struct vring *vr, uint64_t iova, uint32_t len);

/*
 * The keeper's side. Take the next miss to ask for, from *at on (0 at first): the word, or 0 when
 * there is no more. It was in slot *at - 1. What could not be asked for now is given back.
 */
uint64_t vring_misses_take(struct vring_misses *misses, unsigned *at);
void vring_misses_give_back(struct vring_misses *misses, unsigned i, uint64_t miss);

/* Deny what is in slot i, if it is still this miss. Count it in vring_iommu.denials then. */
bool vring_misses_deny(struct vring_misses *misses, unsigned i, uint64_t miss);

/*
 * Forget the misses that a view answers, after it was published. If one of them is taken back
 * before the ring has come round to it, the ring notes it anew.
 */
void vring_misses_answer(struct vring_misses *misses, const struct iotlb_view *view);
