/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The code for both formats: operations that wrap the operations of the ring's format, and the
 * chains that were in flight at a crash.
 */
#include "virtio/vring_inflight.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "virtio/vring_inflight_private.h"

#define REGION_ALIGN  64
#define ENTRY_OF_SIZE ((UINT16_MAX + 1) * sizeof(uint16_t))

size_t vring_inflight_region_size(uint16_t entries, bool packed)
{
	const struct inflight_format *format = inflight_format(packed);
	size_t size = format->header + format->entry * entries;

	return (size + REGION_ALIGN - 1) & ~(size_t)(REGION_ALIGN - 1);
}

/*
 * This uses mmap, because few buffer ids are in use, and pages that are not touched take no memory.
 */
static uint16_t *entry_of_create(void)
{
	/* syscalls: mmap */
	void *map =
	    mmap(NULL, ENTRY_OF_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return map == MAP_FAILED ? NULL : map;
}

void inflight_entry_of_clear(struct vring_inflight *f)
{
	/* syscalls: madvise */
	if (madvise(f->entry_of, ENTRY_OF_SIZE, MADV_DONTNEED) < 0)
		memset(f->entry_of, 0, ENTRY_OF_SIZE); /* the memory is locked (mlock) */
}

struct vring_inflight *vring_inflight_create(
    void *region, uint16_t region_entries, uint16_t size, bool packed, bool deferring)
{
	struct vring_inflight *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->region = region;
	f->region_entries = region_entries;
	f->n_entries = size;
	f->is_packed = packed;
	f->deferring = deferring;
	f->entry = calloc(size, sizeof(*f->entry));
	f->entry_of = packed ? entry_of_create() : NULL;
	if (!f->entry || (packed && !f->entry_of)) {
		vring_inflight_destroy(f);
		return NULL;
	}
	return f;
}

static void forget_left(struct vring_inflight *f)
{
	free(f->left);
	free(f->stored);
	free(f->scratch);
	f->left = NULL;
	f->stored = NULL;
	f->scratch = NULL;
	f->n_left = f->next_left = 0;
}

void vring_inflight_destroy(struct vring_inflight *f)
{
	if (!f)
		return;
	forget_left(f);
	free(f->entry);
	/* syscalls: munmap */
	if (f->entry_of)
		munmap(f->entry_of, ENTRY_OF_SIZE);
	free(f);
}

uint16_t vring_inflight_size(const struct vring_inflight *f)
{
	return f->n_entries;
}

unsigned vring_inflight_count(const struct vring_inflight *f)
{
	return f->n_busy;
}

void vring_inflight_reset(struct vring_inflight *f, const struct vring_position *position)
{
	forget_left(f);
	f->counter = 0;
	f->n_busy = 0;
	inflight_format(f->is_packed)->reset(f, position);
}

static int compare_age(const void *a, const void *b)
{
	const struct inflight_left *x = a, *y = b;

	if (x->counter != y->counter)
		return x->counter < y->counter ? -1 : 1;
	return (int)x->entry - (int)y->entry;
}

void inflight_left_sort(struct vring_inflight *f)
{
	qsort(f->left, f->n_left, sizeof(*f->left), compare_age);
	f->counter = f->n_left ? f->left[f->n_left - 1].counter + 1 : 0;
}

int vring_inflight_recover(struct vring_inflight *f, const struct vring_config *config)
{
	struct vring_position told = *config->position;
	int n;

	assert(config->size == f->n_entries);
	forget_left(f);
	f->n_busy = 0;
	f->left = calloc(f->n_entries, sizeof(*f->left));
	f->stored = f->is_packed ? calloc(f->n_entries, sizeof(*f->stored)) : NULL;
	f->scratch = f->deferring ? NULL : malloc(sizeof(*f->scratch));
	if (!f->left || (f->is_packed && !f->stored) || (!f->deferring && !f->scratch))
		n = -ENOMEM;
	else
		n = inflight_format(f->is_packed)->recover(f, config);
	if (n <= 0)
		forget_left(f);
	if (n < 0) {
		*config->position = told;
		vring_inflight_reset(f, &told);
	}
	return n;
}

static bool any_left(const struct vring_inflight *f)
{
	return f->next_left < f->n_left;
}

/* Append chains that were in flight at the crash, as many as fit. */
static unsigned fetch_left(struct vring *vr, struct vring_batch *batch, unsigned max)
{
	struct vring_inflight *f = vr->inflight;
	const struct inflight_format *format = inflight_format(f->is_packed);
	unsigned n = 0;

	while (any_left(f) && n < max && batch->n < VRING_BATCH_CHAINS &&
	    format->again(vr, batch, &f->left[f->next_left])) {
		f->next_left++;
		n++;
	}
	return n;
}

static unsigned tracked_fetch(struct vring *vr, struct vring_batch *batch, unsigned max)
{
	struct vring_inflight *f = vr->inflight;
	const struct inflight_format *format = inflight_format(f->is_packed);
	uint32_t slot = vr->position->avail;
	unsigned again = 0, from, n, i;

	if (UNLIKELY(any_left(f)) && !vr->broken) {
		again = fetch_left(vr, batch, max);
		if (any_left(f))
			return again;
		forget_left(f);
	}
	from = batch->n;
	n = f->base.fetch(vr, batch, max - again);
	for (i = from; i < from + n; i++) {
		if (!format->take(vr, &batch->chain[i], slot))
			break;
		slot += batch->chain[i].slots;
		if (f->is_packed && slot >= vr->size)
			slot -= vr->size;
	}
	if (i < batch->n)
		f->base.unfetch(vr, batch, i);
	return again + i - from;
}

static void tracked_complete(struct vring *vr, const struct vring_batch *batch)
{
	const struct vring_inflight *f = vr->inflight;
	const struct inflight_format *format = inflight_format(f->is_packed);

	format->finish_begin(vr, batch);
	f->base.complete(vr, batch);
	format->finish_end(vr, batch);
}

/* Only a mistake in a device type can cause this call. A guest cannot cause it. */
static void tracked_unfetch(struct vring *vr, struct vring_batch *batch, unsigned keep)
{
	(void)vr;
	(void)batch;
	(void)keep;
	assert(!"a device that defers keeps what it fetched");
}

/*
 * For a packed ring of a device that does not defer. From now on the ring writes its journal. If
 * the ring was started without a journal, it uses f->word as its journal. Each write to the journal
 * also updates the area.
 */
static void take_up_journal(struct vring *vr)
{
	struct vring_inflight *f = vr->inflight;

	vr->journal = f->journal ? f->journal : &f->word;
	__atomic_store_n(vr->journal, vring_journal_word(vr->position), __ATOMIC_RELEASE);
}

/*
 * The fetch of a device that does not defer (vring_inflight.h), until no chain is left that was in
 * flight at the crash. It completes these chains with length 0. After that the ring uses the
 * operations of its format.
 */
static unsigned returning_fetch(struct vring *vr, struct vring_batch *batch, unsigned max)
{
	struct vring_inflight *f = vr->inflight;

	if (vr->broken)
		return 0;
	if (any_left(f)) {
		vring_visit(f->scratch);
		f->scratch->single_segment = false;
		fetch_left(vr, f->scratch, VRING_BATCH_CHAINS);
		for (unsigned i = 0; i < f->scratch->n; i++)
			f->scratch->chain[i].written = 0;
		vring_complete(vr, f->scratch);
		if (any_left(f))
			return 0; /* go on in the next visit, or when a translation has come */
	}
	forget_left(f);
	f->ops.fetch = f->base.fetch;
	f->ops.complete = f->base.complete;
	if (f->is_packed)
		take_up_journal(vr);
	return f->base.fetch(vr, batch, max);
}

void vring_inflight_start(struct vring *vr, struct vring_inflight *f)
{
	vr->inflight = f;
	f->base = *vr->ops;
	f->ops = f->base;
	vr->ops = &f->ops;
	f->journal = vr->journal;
	vr->journal = NULL; /* until take_up_journal() only the area is written */
	if (f->deferring) {
		f->ops.fetch = tracked_fetch;
		f->ops.unfetch = tracked_unfetch;
		f->ops.complete = tracked_complete;
		return;
	}
	if (any_left(f)) {
		f->ops.fetch = returning_fetch;
		f->ops.complete = tracked_complete;
	} else if (f->is_packed) {
		take_up_journal(vr);
	}
}
