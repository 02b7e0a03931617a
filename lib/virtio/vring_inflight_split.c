/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In-flight tracking of a split ring. Entry i belongs to the chain that begins with descriptor i.
 * After a crash the ring may show that the last batch is used, although the area says that its
 * chains are in flight. So the entries of the last completed batch are linked to a list. The list
 * tells which chains are affected.
 */
#include <errno.h>
#include <string.h>

#include "virtio/vring_inflight_private.h"

static bool split_take(struct vring *vr, const struct vring_chain *chain, uint16_t slot)
{
	struct vring_inflight *f = vr->inflight;
	struct inflight_split_desc *d = &f->split->desc[chain->id];
	struct inflight_entry *e = &f->entry[chain->id];

	(void)slot;
	if (e->busy) {
		vr->broken = VRING_BREAK_TWICE;
		return false;
	}
	e->busy = true;
	f->n_busy++;
	SHARE(d->counter, f->counter);
	f->counter++;
	SHARE(d->inflight, 1);
	return true;
}

static void split_finish_begin(struct vring *vr, const struct vring_batch *batch)
{
	struct vring_inflight *f = vr->inflight;

	for (unsigned i = 0; i < batch->n; i++) {
		SHARE(f->split->desc[batch->chain[i].id].next, f->last_batch);
		f->last_batch = batch->chain[i].id;
		SHARE(f->split->last_batch_head, f->last_batch);
	}
}

static void split_finish_end(struct vring *vr, const struct vring_batch *batch)
{
	struct vring_inflight *f = vr->inflight;

	for (unsigned i = 0; i < batch->n; i++) {
		uint16_t id = batch->chain[i].id;

		f->n_busy -= f->entry[id].busy;
		f->entry[id].busy = false;
		SHARE(f->split->desc[id].inflight, 0);
	}
	SHARE(f->split->used_idx, vr->position->used);
}

static bool split_again(
    struct vring *vr, struct vring_batch *batch, const struct inflight_left *left)
{
	return vring_split_append(vr, batch, left->entry);
}

static void split_reset(struct vring_inflight *f, const struct vring_position *position)
{
	f->last_batch = 0;
	memset(f->entry, 0, f->n_entries * sizeof(*f->entry));
	memset(f->split, 0, sizeof(*f->split) + f->n_entries * sizeof(f->split->desc[0]));
	SHARE(f->split->desc_num, f->region_entries);
	SHARE(f->split->used_idx, position->used);
	SHARE(f->split->version, VRING_INFLIGHT_VERSION);
}

/*
 * If the ring shows that the last batch is used, but the area says that it is in flight, correct
 * the area.
 */
static void finish_last_batch(struct vring_inflight *f, uint16_t used)
{
	uint16_t n = used - READ_ONCE(f->split->used_idx);
	uint16_t at = READ_ONCE(f->split->last_batch_head);

	for (; n && at < f->n_entries; n--) {
		SHARE(f->split->desc[at].inflight, 0);
		at = READ_ONCE(f->split->desc[at].next);
	}
	SHARE(f->split->used_idx, used);
}

static void find_left(struct vring_inflight *f)
{
	for (unsigned i = 0; i < f->n_entries; i++) {
		f->entry[i] =
		    (struct inflight_entry){.busy = READ_ONCE(f->split->desc[i].inflight) != 0};
		if (f->entry[i].busy)
			f->left[f->n_left++] = (struct inflight_left){
			    .counter = READ_ONCE(f->split->desc[i].counter), .entry = i};
	}
	f->n_busy = f->n_left;
	inflight_left_sort(f);
}

static int split_recover(struct vring_inflight *f, const struct vring_config *config)
{
	const struct vring_split_avail *avail = config->driver;
	const struct vring_split_used *used_ring = config->device;
	uint16_t used = READ_ONCE(used_ring->idx);
	uint16_t version = READ_ONCE(f->split->version);

	if (version == 0) {
		split_reset(f, config->position);
		return 0;
	}
	if (version != VRING_INFLIGHT_VERSION || READ_ONCE(f->split->desc_num) != f->region_entries)
		return -EBADMSG;
	finish_last_batch(f, used);
	f->last_batch = READ_ONCE(f->split->last_batch_head);
	if (f->last_batch >= f->region_entries)
		return -EBADMSG;
	find_left(f);
	if (f->n_left == 0)
		return 0; /* nothing was in flight: the front-end's position is right */
	if ((uint16_t)(READ_ONCE(avail->idx) - used) < f->n_left)
		return -EBADMSG; /* more in flight than was made available */
	config->position->used = used;
	config->position->avail = used + f->n_left;
	return (int)f->n_left;
}

const struct inflight_format inflight_format_split = {
    .header = sizeof(struct inflight_split),
    .entry = sizeof(struct inflight_split_desc),
    .take = split_take,
    .finish_begin = split_finish_begin,
    .finish_end = split_finish_end,
    .again = split_again,
    .reset = split_reset,
    .recover = split_recover,
};
