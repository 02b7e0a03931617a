/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * A split ring's used index is the position of a device that leaves nothing in flight. Only when it
 * cannot be, because the avail index is more than the ring's size ahead of it, the ring says
 * nothing: a driver may have begun anew without clearing what the device wrote.
 *
 * A packed ring shows where the driver stands: the AVAIL bit of a slot is the driver's wrap counter
 * when it last wrote the slot, used or not, so there is one edge in the ring at most. Going back
 * from there, slots that the device has not marked as used either wait for it, or belong to the
 * chain (in order: the batch) that it marked last, in the first slot of that. Which of them is the
 * last of that chain its buffer id says, for both ends of a chain carry it. So the device stands
 *
 *	at the driver's position	if no slot before it lacks its mark;
 *	behind the last mark		if that cannot be a chain of several slots: no unmarked slot
 *					that could end it has its id;
 *	at one of two places		else. A position that is one of them may be right. Any other
 *					is wrong, and the first place is taken if the driver could
 *					have used a table instead of a long chain, and no other
 *					chain in sight is a long one.
 *
 * A ring without any mark is a full one. If it is as on a first lap, and is told to be at a
 * beginning, it is taken for new.
 *
 * The driver may run meanwhile. What it adds changes nothing of this; half a chain of several slots
 * may look like a second edge, and then the ring says nothing.
 */
#include "virtio/vring_verify.h"

#include "virtio/vring_inflight_private.h"

struct place {
	uint32_t slot;
	bool wrap;
};

/* Of the slots between the last mark and the driver's position. */
struct packed_view {
	const struct vring_packed_desc *desc;
	uint32_t size;
	struct place driver; /* the next slot that it will write */
	struct place behind; /* the first slot without a mark; the driver's position if n is 0 */
	uint32_t n;          /* slots without a mark, up to the driver's position */
};

static enum vring_verdict verify_split(
    const struct vring_config *config, struct vring_position *position)
{
	const struct vring_split_avail *avail_ring = config->driver;
	const struct vring_split_used *used_ring = config->device;
	uint16_t used = READ_ONCE(used_ring->idx), avail = READ_ONCE(avail_ring->idx);

	if (used == position->avail || (uint16_t)(avail - used) > config->size)
		return VRING_VERDICT_AGREES;
	position->avail = position->used = used;
	return VRING_VERDICT_CORRECTED;
}

static bool avail_bit(const struct vring_packed_desc *desc, uint32_t slot)
{
	return READ_ONCE(desc[slot].flags) & VRING_DESC_F_AVAIL;
}

static bool is_marked(const struct vring_packed_desc *desc, uint32_t slot)
{
	uint16_t flags = READ_ONCE(desc[slot].flags);

	return !(flags & VRING_DESC_F_AVAIL) == !(flags & VRING_DESC_F_USED);
}

static bool was_written(const struct vring_packed_desc *desc, uint32_t slot)
{
	return READ_ONCE(desc[slot].addr) || READ_ONCE(desc[slot].len) ||
	    READ_ONCE(desc[slot].id) || READ_ONCE(desc[slot].flags);
}

static struct place next_place(const struct packed_view *view, struct place at)
{
	if (++at.slot < view->size)
		return at;
	return (struct place){.slot = 0, .wrap = !at.wrap};
}

static struct place last_place(const struct packed_view *view, struct place at)
{
	if (at.slot--)
		return at;
	return (struct place){.slot = view->size - 1, .wrap = !at.wrap};
}

static bool same_place(struct place a, struct place b)
{
	return a.slot == b.slot && a.wrap == b.wrap;
}

/* False: there is more than one edge. */
static bool find_driver(struct packed_view *view)
{
	bool first = avail_bit(view->desc, 0), before = first;
	uint32_t edges = 0, edge = 0;

	for (uint32_t slot = 1; slot < view->size; slot++) {
		bool bit = avail_bit(view->desc, slot);

		if (bit != before) {
			edges++;
			edge = slot;
		}
		before = bit;
	}
	view->driver = (struct place){.slot = edge, .wrap = edges ? first : !first};
	return edges <= 1;
}

static void find_last_mark(struct packed_view *view)
{
	view->behind = view->driver;
	for (view->n = 0; view->n < view->size; view->n++) {
		struct place at = last_place(view, view->behind);

		if (is_marked(view->desc, at.slot))
			break;
		view->behind = at;
	}
}

/* The driver could put a long chain into a table, and no chain that can be seen is a long one. */
static bool chains_are_single(const struct packed_view *view, uint64_t features)
{
	struct place at = view->behind;

	if (!VIRTIO_HAS(features, F_INDIRECT_DESC) || VIRTIO_HAS(features, F_IN_ORDER))
		return false;
	for (uint32_t n = 0; n < view->size; n++) {
		uint16_t flags = READ_ONCE(view->desc[at.slot].flags);

		if (n < view->n ? flags & VRING_DESC_F_NEXT : !is_marked(view->desc, at.slot))
			return false;
		at = next_place(view, at);
	}
	return true;
}

/*
 * The end of the chain, or batch, that was marked last, if it has slots without a mark. False:
 * it has none.
 */
static bool find_end(const struct packed_view *view, bool in_order, struct place *ret_end)
{
	uint32_t marked = last_place(view, view->behind).slot;
	bool full = view->n == view->size;
	struct place at = view->behind;

	if (!full && !was_written(view->desc, marked))
		return false;
	for (uint32_t n = 0; n < view->n; n++) {
		uint16_t flags = READ_ONCE(view->desc[at.slot].flags);
		bool same_id =
		    READ_ONCE(view->desc[at.slot].id) == READ_ONCE(view->desc[marked].id);

		if (!(flags & VRING_DESC_F_NEXT) && (full || same_id)) {
			*ret_end = next_place(view, at);
			return true;
		}
		if (!(flags & VRING_DESC_F_NEXT) && !in_order)
			return false;
		at = next_place(view, at);
	}
	return false;
}

static enum vring_verdict correct(struct vring_position *position, struct place at)
{
	struct place told = {.slot = position->avail, .wrap = position->avail_wrap};

	*position = (struct vring_position){
	    .avail = at.slot, .used = at.slot, .avail_wrap = at.wrap, .used_wrap = at.wrap};
	return same_place(told, at) ? VRING_VERDICT_AGREES : VRING_VERDICT_CORRECTED;
}

static enum vring_verdict verify_packed(
    const struct vring_config *config, struct vring_position *position)
{
	struct packed_view view = {.desc = config->desc, .size = config->size};
	struct place told = {.slot = position->avail, .wrap = position->avail_wrap}, end;
	bool in_order = VIRTIO_HAS(config->features, F_IN_ORDER);

	if (told.slot >= view.size || !find_driver(&view))
		return VRING_VERDICT_AGREES;
	find_last_mark(&view);
	if (!find_end(&view, in_order, &end))
		return correct(position, view.behind);
	if (same_place(told, view.behind) || same_place(told, end))
		return VRING_VERDICT_AGREES;
	if (chains_are_single(&view, config->features))
		return correct(position, view.behind);
	/* Of the batch whose mark has been overwritten any number of slots may be left. */
	if (in_order && view.n == view.size && avail_bit(view.desc, told.slot) == told.wrap)
		return VRING_VERDICT_AGREES;
	/* User Mode Linux tells 0 of a new ring, which may be full already. */
	if (view.n == view.size && view.behind.slot == 0 && view.behind.wrap && told.slot == 0)
		return correct(position, view.behind);
	return VRING_VERDICT_CONTRADICTS;
}

enum vring_verdict vring_verify(const struct vring_config *config, struct vring_position *position)
{
	return VIRTIO_HAS(config->features, F_RING_PACKED) ? verify_packed(config, position)
							   : verify_split(config, position);
}
