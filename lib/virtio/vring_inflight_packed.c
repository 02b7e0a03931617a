/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * In-flight tracking of a packed ring. A used descriptor may overwrite the slot of a chain in
 * flight. So the area keeps copies of the descriptors. A chain takes as many entries as it has
 * descriptors, from a list of free entries. The links between the entries of a chain stay as they
 * were in the free list.
 *
 * The area contains the head of the free list and the place (position) in the ring. It has two
 * values of each: the current value and the old value. A fetch changes both values of the head with
 * one store. From then on the chain counts as in flight. A completion changes the current values
 * first, then the ring, then the old values. After a crash the ring shows whether the current
 * values or the old values are true. Both values of the head are in one word, and both values of
 * the place are in another word. So a crash cannot leave a half-changed pair.
 *
 * Only the free list of the mirror is used. The free list in the area is a copy of it. After a
 * crash the area is accepted if no two chains share an entry, and if all chains together are not
 * longer than the ring. All other entries are free. If the area's free list says something else, it
 * is written anew.
 *
 * Threads: the ring's user. The area is hostile, see vring_inflight.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "virtio/vring_inflight_private.h"
#include "virtio/vring_packed.h"

static void share_heads(const struct vring_inflight *f, uint16_t free_head, uint16_t old_free_head)
{
	struct inflight_packed heads = {.heads = {.version = VRING_INFLIGHT_VERSION,
					    .desc_num = f->region_entries,
					    .free_head = free_head,
					    .old_free_head = old_free_head}};

	SHARE(f->packed->heads_word, heads.heads_word);
}

static void share_place(
    const struct vring_inflight *f, uint16_t used, bool wrap, uint16_t old_used, bool old_wrap)
{
	struct inflight_packed place = {.place = {.used_idx = used,
					    .old_used_idx = old_used,
					    .used_wrap_counter = wrap,
					    .old_used_wrap_counter = old_wrap}};

	SHARE(f->packed->place_word, place.place_word);
}

/* In the area the last entry of the list points to index region_entries, which no entry has. */
static uint16_t shared_index(const struct vring_inflight *f, uint16_t at)
{
	return at == ENTRY_NONE ? f->region_entries : at;
}

static bool packed_take(struct vring *vr, const struct vring_chain *chain, uint16_t slot)
{
	struct vring_inflight *f = vr->inflight;
	uint16_t first = f->free_head, at = first, last = first;

	if (chain->slots > f->n_free || inflight_entry_of(f, chain->id) != ENTRY_NONE) {
		vr->broken = VRING_BREAK_TWICE;
		return false;
	}
	for (unsigned i = 0; i < chain->slots; i++) {
		struct descriptor d = descriptor_read(&vr->packed.desc[slot]);
		struct inflight_packed_desc *to = &f->packed->desc[at];

		SHARE(to->addr, d.addr);
		SHARE(to->len, d.len);
		SHARE(to->flags, d.fourth);
		SHARE(to->id, d.third);
		last = at;
		at = f->entry[at].next;
		if (++slot == vr->size)
			slot = 0;
	}
	f->entry[first].last = last;
	f->entry[first].num = chain->slots;
	f->entry[first].busy = true;
	f->entry_of[chain->id] = first + 1;
	f->n_busy++;
	SHARE(f->packed->desc[first].last, last);
	SHARE(f->packed->desc[first].num, chain->slots);
	SHARE(f->packed->desc[first].counter, f->counter);
	f->counter++;
	SHARE(f->packed->desc[first].inflight, 1);
	f->n_free -= chain->slots;
	f->free_head = f->n_free ? at : ENTRY_NONE;
	share_heads(f, shared_index(f, f->free_head), shared_index(f, f->free_head));
	return true;
}

static void move_on(const struct vring *vr, uint32_t *slot, bool *wrap, uint32_t slots)
{
	*slot += slots;
	if (*slot >= vr->size) {
		*slot -= vr->size;
		*wrap = !*wrap;
	}
}

static void packed_finish_begin(struct vring *vr, const struct vring_batch *batch)
{
	struct vring_inflight *f = vr->inflight;
	const struct vring_position *pos = vr->position;
	uint16_t old_head = f->free_head;
	uint32_t used = pos->used;
	bool wrap = pos->used_wrap;

	for (unsigned i = 0; i < batch->n; i++) {
		const struct vring_chain *chain = &batch->chain[i];
		uint16_t first = inflight_entry_of(f, chain->id);

		move_on(vr, &used, &wrap, chain->slots);
		f->entry[f->entry[first].last].next = f->free_head;
		SHARE(f->packed->desc[f->entry[first].last].next, shared_index(f, f->free_head));
		f->free_head = first;
		f->n_free += f->entry[first].num;
	}
	if (f->free_head != old_head)
		share_heads(f, shared_index(f, f->free_head), shared_index(f, old_head));
	share_place(f, used, wrap, pos->used, pos->used_wrap);
}

static void packed_finish_end(struct vring *vr, const struct vring_batch *batch)
{
	struct vring_inflight *f = vr->inflight;
	const struct vring_position *pos = vr->position;

	for (unsigned i = 0; i < batch->n; i++) {
		uint16_t id = batch->chain[i].id, first = inflight_entry_of(f, id);

		f->entry[first].busy = false;
		f->n_busy--;
		SHARE(f->packed->desc[first].inflight, 0);
		f->entry_of[id] = 0;
	}
	share_heads(f, shared_index(f, f->free_head), shared_index(f, f->free_head));
	share_place(f, pos->used, pos->used_wrap, pos->used, pos->used_wrap);
}

void vring_inflight_note(struct vring *vr, uint32_t slots)
{
	const struct vring_position *pos = vr->position;
	uint32_t used = pos->used;
	bool wrap = pos->used_wrap;

	move_on(vr, &used, &wrap, slots);
	share_place(vr->inflight, used, wrap, pos->used, pos->used_wrap);
}

static bool packed_again(
    struct vring *vr, struct vring_batch *batch, const struct inflight_left *left)
{
	return vring_packed_append(vr, batch, &vr->inflight->stored[left->stored], left->num);
}

/*
 * Make a free list of all entries that are not in a chain. taken NULL: of all entries. There are as
 * many entries as the ring has slots, because no more can be in flight.
 */
static void list_free(struct vring_inflight *f, const bool taken[])
{
	uint16_t after = ENTRY_NONE;

	f->n_free = 0;
	for (unsigned i = f->n_entries; i-- > 0;) {
		if (taken && taken[i])
			continue;
		f->entry[i].next = after;
		SHARE(f->packed->desc[i].next, shared_index(f, after));
		after = i;
		f->n_free++;
	}
	f->free_head = after;
}

static void packed_reset(struct vring_inflight *f, const struct vring_position *position)
{
	memset(f->entry, 0, f->n_entries * sizeof(*f->entry));
	inflight_entry_of_clear(f);
	SHARE(f->packed->heads_word, 0); /* an invalid version while the rest is written */
	memset(f->packed->desc, 0, f->n_entries * sizeof(f->packed->desc[0]));
	f->packed->features = 0;
	list_free(f, NULL);
	share_place(f, position->used, position->used_wrap, position->used, position->used_wrap);
	share_heads(f, shared_index(f, f->free_head), shared_index(f, f->free_head));
}

/*
 * A copy of the area's heads and place. pending: the number of slots of the batch that was begun,
 * but not handed over to the driver.
 */
struct packed_view {
	uint32_t pending;
	struct inflight_packed_heads heads;
	struct inflight_packed_place place;
};

static bool view_read(const struct vring_inflight *f, uint16_t size, struct packed_view *ret)
{
	const struct inflight_packed area = {
	    .heads_word = READ_ONCE(f->packed->heads_word),
	    .place_word = READ_ONCE(f->packed->place_word),
	};

	ret->pending = 0;
	ret->heads = area.heads;
	ret->place = area.place;
	return ret->heads.version == VRING_INFLIGHT_VERSION &&
	    ret->heads.desc_num == f->region_entries && ret->heads.free_head <= f->region_entries &&
	    ret->heads.old_free_head <= f->region_entries && ret->place.used_idx < size &&
	    ret->place.old_used_idx < size && ret->place.used_wrap_counter <= 1 &&
	    ret->place.old_used_wrap_counter <= 1;
}

/*
 * Was the last batch handed over to the driver? The first slot of the batch shows this. If the
 * batch was handed over, the current values are true; otherwise the old values are true.
 */
static void view_decide(
    struct vring_inflight *f, const struct vring_config *config, struct packed_view *view)
{
	const struct vring_packed_desc *ring = config->desc;
	struct inflight_packed_heads *heads = &view->heads;
	struct inflight_packed_place *place = &view->place;
	bool moved = place->used_idx != place->old_used_idx ||
	    place->used_wrap_counter != place->old_used_wrap_counter;
	bool available = packed_is_avail(
	    READ_ONCE(ring[place->old_used_idx].flags), place->old_used_wrap_counter);

	if (moved && !available) {
		heads->old_free_head = heads->free_head;
		place->old_used_idx = place->used_idx;
		place->old_used_wrap_counter = place->used_wrap_counter;
	} else {
		uint32_t size = config->size;

		if (moved)
			view->pending =
			    (place->used_idx + size - 1 - place->old_used_idx) % size + 1;
		heads->free_head = heads->old_free_head;
		place->used_idx = place->old_used_idx;
		place->used_wrap_counter = place->old_used_wrap_counter;
	}
	share_heads(f, heads->free_head, heads->old_free_head);
	share_place(f, place->used_idx, place->used_wrap_counter, place->old_used_idx,
	    place->old_used_wrap_counter);
}

/*
 * Copy the free list into the mirror. An entry on this list is not in flight, even if its field
 * inflight is set.
 */
static void follow_free(struct vring_inflight *f, uint16_t at, bool is_free[])
{
	f->free_head = at < f->n_entries ? at : ENTRY_NONE;
	f->n_free = 0;
	while (at < f->n_entries && !is_free[at]) {
		uint16_t next = READ_ONCE(f->packed->desc[at].next);

		is_free[at] = true;
		f->n_free++;
		SHARE(f->packed->desc[at].inflight, 0);
		f->entry[at].next = next < f->n_entries ? next : ENTRY_NONE;
		at = next;
	}
}

/* Copy the chain that begins at entry `first`. False: the entries do not form a valid chain. */
static bool copy_chain(struct vring_inflight *f, uint16_t first, uint16_t size, uint32_t *stored,
    const bool is_free[], bool taken[])
{
	const struct inflight_packed_desc *desc = f->packed->desc;
	uint16_t num = READ_ONCE(desc[first].num), at = first, last = first, id = 0;

	if (num == 0 || num > size - *stored)
		return false;
	f->left[f->n_left++] = (struct inflight_left){.counter = READ_ONCE(desc[first].counter),
	    .entry = first,
	    .num = num,
	    .stored = *stored};
	for (unsigned i = 0; i < num; i++) {
		uint16_t more = i + 1 < num ? VRING_DESC_F_NEXT : 0;

		if (at >= f->n_entries || taken[at] || is_free[at])
			return false;
		taken[at] = true;
		id = READ_ONCE(desc[at].id);
		f->stored[(*stored)++] =
		    (struct vring_packed_desc){.addr = READ_ONCE(desc[at].addr),
			.len = READ_ONCE(desc[at].len),
			.id = id,
			.flags = (READ_ONCE(desc[at].flags) & ~VRING_DESC_F_NEXT) | more};
		last = at;
		at = READ_ONCE(desc[at].next);
		f->entry[last].next = at;
	}
	if (READ_ONCE(desc[first].last) != last || inflight_entry_of(f, id) != ENTRY_NONE)
		return false;
	f->entry[first].last = last;
	f->entry[first].num = num;
	f->entry[first].busy = true;
	f->entry_of[id] = first + 1;
	return true;
}

/* Find all chains in flight. False: the area contradicts itself. */
static bool find_left(
    struct vring_inflight *f, uint16_t size, const bool is_free[], bool taken[], uint32_t *stored)
{
	for (unsigned i = 0; i < f->n_entries; i++) {
		if (is_free[i] || READ_ONCE(f->packed->desc[i].inflight) == 0)
			continue; /* not the first of a chain in flight */
		if (!copy_chain(f, i, size, stored, is_free, taken))
			return false;
	}
	f->n_busy = f->n_left;
	inflight_left_sort(f);
	return true;
}

static int packed_settle(struct vring_inflight *f, const struct vring_config *config,
    const struct packed_view *view, uint32_t slots)
{
	struct vring_position *pos = config->position, found;
	uint32_t avail = view->place.used_idx + slots;

	found = (struct vring_position){
	    .used = view->place.used_idx, .used_wrap = view->place.used_wrap_counter};
	/*
	 * The area may belong to another ring, or it may be older than a reset of this ring. So its
	 * position is compared with the position that the front-end told, and with the contents of
	 * the ring. If both contradict the area's position, the area is refused.
	 */
	if (vring_journal_word(&found) != vring_journal_word(pos) &&
	    !vring_packed_stands_at(
		config, (struct packed_place){found.used, found.used_wrap}, view->pending) &&
	    !vring_packed_looks_new(config->desc, config->size))
		return -EBADMSG;
	found.avail = avail >= config->size ? avail - config->size : avail;
	found.avail_wrap = found.used_wrap ^ (avail >= config->size);
	*pos = found;
	if (!f->deferring && view->pending) {
		vring_packed_finish(config, pos, view->pending);
		share_place(f, pos->used, pos->used_wrap, pos->used, pos->used_wrap);
	}
	return (int)f->n_left;
}

static int packed_recover(struct vring_inflight *f, const struct vring_config *config)
{
	struct packed_view view;
	uint32_t slots = 0;
	bool *is_free, *taken;
	int n = -EBADMSG;

	if (READ_ONCE(f->packed->heads.version) == 0) {
		packed_reset(f, config->position);
		return 0;
	}
	if (!view_read(f, config->size, &view))
		return -EBADMSG;
	is_free = calloc(f->n_entries, 2 * sizeof(*is_free));
	if (!is_free)
		return -ENOMEM;
	taken = is_free + f->n_entries;
	memset(f->entry, 0, f->n_entries * sizeof(*f->entry));
	inflight_entry_of_clear(f);
	view_decide(f, config, &view);
	follow_free(f, view.heads.free_head, is_free);
	if (find_left(f, config->size, is_free, taken, &slots)) {
		if (f->n_free + slots != f->n_entries) {
			list_free(f, taken);
			share_heads(
			    f, shared_index(f, f->free_head), shared_index(f, f->free_head));
		}
		n = packed_settle(f, config, &view, slots);
	}
	free(is_free);
	return n;
}

const struct inflight_format inflight_format_packed = {
    .header = sizeof(struct inflight_packed),
    .entry = sizeof(struct inflight_packed_desc),
    .take = packed_take,
    .finish_begin = packed_finish_begin,
    .finish_end = packed_finish_end,
    .again = packed_again,
    .reset = packed_reset,
    .recover = packed_recover,
};
