/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtio/vring_iommu.h"

#include "virtio/vring_chain.h"

/*
 * The limits of scouting: chains, descriptors in chains of several descriptors, pages, pages of one
 * buffer.
 */
#define SCOUT_CHAINS    64
#define SCOUT_WALK      512
#define SCOUT_PAGES_ALL 256
#define SCOUT_PAGES     20

static const struct guest_memory *view_memory(const struct iotlb_view *view, unsigned perm)
{
	return perm & IOTLB_WRITE ? view->writable : view->readable;
}

/* Use the current view from now on. False: this view is in use already, and no miss was denied. */
static bool adopt_view(struct vring *vr)
{
	struct vring_translation *t = &vr->translation;
	uint32_t denials = atomic_load_explicit(&t->iommu->denials, memory_order_acquire);
	const struct iotlb_view *view = atomic_load_explicit(&t->iommu->view, memory_order_acquire);
	bool denied = denials != t->denials;

	t->denials = denials;
	if (LIKELY(view->generation == t->generation))
		return denied;
	t->generation = view->generation;
	vr->memory = view_memory(view, vr->direction == VRING_RECEIVE ? IOTLB_WRITE : IOTLB_READ);
	vr->tables = view->readable;
	vr->last_region = vr->last_table = NULL;
	return true;
}

/*
 * Note a miss if it is new and a slot is free. Returns its word if it was noted before, else 0. If
 * no slot is free, the miss is noted later: slots become free when misses are answered or denied.
 */
static uint64_t note_miss(struct vring *vr, uint64_t wanted, unsigned *ret_slot)
{
	struct vring_misses *misses = vr->translation.misses;
	unsigned room = VRING_MISSES_MAX;

	for (unsigned i = 0; i < VRING_MISSES_MAX; i++) {
		uint64_t miss = atomic_load_explicit(&misses->miss[i], memory_order_relaxed);

		*ret_slot = i;
		if ((miss & ~VRING_MISS_STATE_MASK) == wanted && miss != 0)
			return miss;
		/*
		 * Only the ring's first chain can need a denied miss, and it has taken it by now.
		 */
		if (!miss || (miss & VRING_MISS_STATE_MASK) == VRING_MISS_DENIED)
			room = MIN(room, i);
	}
	if (room < VRING_MISSES_MAX) {
		atomic_store_explicit(
		    &misses->miss[room], wanted | VRING_MISS_NEW, memory_order_release);
		vr->translation.news = true;
	} else {
		vr->translation.scout_pages = 0; /* there is no room for more */
	}
	return 0;
}

static uint64_t miss_word(uint64_t iova, unsigned perm)
{
	return (iova & ~(IOTLB_PAGE - 1)) | (uint64_t)perm << VRING_MISS_PERM_SHIFT;
}

int vring_iommu_miss(struct vring *vr, uint64_t iova, unsigned perm)
{
	struct vring_translation *t = &vr->translation;
	unsigned slot;
	uint64_t miss;

	if (!t->iommu)
		return VRING_FAULT_ADDRESS;
	miss = note_miss(vr, miss_word(iova, perm), &slot);
	if ((miss & VRING_MISS_STATE_MASK) != VRING_MISS_DENIED || t->scouting) {
		t->stalled |= !t->scouting;
		return VRING_FAULT_MISS;
	}
	atomic_store_explicit(&t->misses->miss[slot], 0, memory_order_relaxed);
	return VRING_FAULT_ADDRESS;
}

void vring_iommu_scout(struct vring *vr, uint64_t iova, uint32_t len)
{
	unsigned perm = vr->direction == VRING_RECEIVE ? IOTLB_WRITE : IOTLB_READ, slot;
	uint64_t page = iova & ~(IOTLB_PAGE - 1), last = iova + (len - 1);
	struct vring_translation *t = &vr->translation;

	for (unsigned i = 0; i < SCOUT_PAGES && page <= last && t->scout_pages; i++) {
		t->scout_pages--;
		if (!guest_memory_find(vr->memory, page))
			note_miss(vr, miss_word(page, perm), &slot);
		page += IOTLB_PAGE;
	}
}

/* Note the misses of the next chains. The chains stay in the ring. */
static __attribute__((noinline)) void scout(struct vring *vr, struct vring_batch *batch)
{
	struct vring_translation *t = &vr->translation;
	unsigned keep = batch->n, keep_segments = batch->n_segments;
	uint32_t faults = vr->faults, walked = batch->walked;

	t->scouting = true;
	t->scout_pages = SCOUT_PAGES_ALL;
	batch->walked = VRING_WALK_MAX - SCOUT_WALK;
	t->fetch(vr, batch, SCOUT_CHAINS);
	vring_unfetch(vr, batch, keep);
	batch->n_segments = keep_segments;
	batch->walked = walked;
	t->scouting = false;
	vr->faults = faults;
}

void vring_iommu_look_ahead(struct vring *vr, struct vring_batch *batch)
{
	vring_visit(batch);
	adopt_view(vr);
	scout(vr, batch);
}

static unsigned translated_fetch(struct vring *vr, struct vring_batch *batch, unsigned max)
{
	struct vring_translation *t = &vr->translation;
	unsigned n;

	if (!adopt_view(vr) && t->stalled)
		return 0;
	t->stalled = false;
	n = t->fetch(vr, batch, max);
	if (UNLIKELY(t->stalled))
		scout(vr, batch);
	return n;
}

void vring_iommu_start(struct vring *vr, struct vring_iommu *iommu, struct vring_misses *misses)
{
	struct vring_translation *t = &vr->translation;

	for (unsigned i = 0; i < VRING_MISSES_MAX; i++)
		atomic_store_explicit(&misses->miss[i], 0, memory_order_relaxed);
	vr->translated = true;
	t->iommu = iommu;
	t->misses = misses;
	t->ops = *vr->ops;
	t->fetch = t->ops.fetch;
	t->ops.fetch = translated_fetch;
	vr->ops = &t->ops;
	adopt_view(vr);
}

uint64_t vring_misses_take(struct vring_misses *misses, unsigned *at)
{
	while (*at < VRING_MISSES_MAX) {
		_Atomic uint64_t *slot = &misses->miss[(*at)++];
		uint64_t miss = atomic_load_explicit(slot, memory_order_acquire);
		uint64_t asked = (miss & ~VRING_MISS_STATE_MASK) | VRING_MISS_ASKED;

		if ((miss & VRING_MISS_STATE_MASK) == VRING_MISS_NEW &&
		    atomic_compare_exchange_strong(slot, &miss, asked))
			return asked;
	}
	return 0;
}

static bool change_state(
    struct vring_misses *misses, unsigned i, uint64_t from, enum vring_miss_state to)
{
	return atomic_compare_exchange_strong(
	    &misses->miss[i], &from, (from & ~VRING_MISS_STATE_MASK) | to);
}

void vring_misses_give_back(struct vring_misses *misses, unsigned i, uint64_t miss)
{
	change_state(misses, i, miss, VRING_MISS_NEW);
}

bool vring_misses_deny(struct vring_misses *misses, unsigned i, uint64_t miss)
{
	return change_state(misses, i, miss, VRING_MISS_DENIED);
}

void vring_misses_answer(struct vring_misses *misses, const struct iotlb_view *view)
{
	for (unsigned i = 0; i < VRING_MISSES_MAX; i++) {
		uint64_t miss = atomic_load_explicit(&misses->miss[i], memory_order_acquire);
		const struct guest_memory *memory = view_memory(view, vring_miss_perm(miss));

		if (miss && guest_memory_find(memory, vring_miss_iova(miss)))
			atomic_compare_exchange_strong(&misses->miss[i], &miss, 0);
	}
}
