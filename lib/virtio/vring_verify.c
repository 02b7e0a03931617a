/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * Split ring: the used index is the position of a device that leaves nothing in flight. But if the
 * avail index is more than the ring's size ahead of the used index, the ring shows nothing: a
 * driver may have started again without clearing the used index.
 *
 * Packed ring: it shows the driver's position. The AVAIL bit of a slot is the wrap counter that the
 * driver had when it last wrote the slot. The device does not change this bit. So along the ring
 * the AVAIL bit changes at most once, at the driver's position.
 *
 * Before this position there may be slots that are not marked as used. Some of them may wait for
 * the device. Others may belong to the last chain (with IN_ORDER: batch) that the device marked,
 * because it marks only the first slot of a chain or batch. The first and the last slot of a chain
 * have the same buffer id; this is how its last slot is found. So the device stands
 *
 *	at the driver's position	if the slot before it is marked;
 *	behind the last marked slot	if this slot is a chain of its own: no unmarked slot that
 *					could end its chain has its id;
 *	at one of two places		otherwise: behind the marked slot, or behind the end of its
 *					chain.
 *
 * If the front-end's position is one of two possible places, it may be right. Otherwise it is
 * wrong. Then the first of the two places is taken if the driver can use indirect tables, and all
 * other chains in view have one slot.
 *
 * A ring without a marked slot is full. It is treated as a new ring if its wrap counters are those
 * of the first lap, and the front-end's slot is 0.
 *
 * The driver may run at the same time. Chains that it adds do not disturb. But if it has written
 * only a part of a chain, that may look like a second change of the AVAIL bit. Then the ring shows
 * nothing.
 */
#include "virtio/vring_verify.h"

#include "virtio/vring_packed.h"

/* The slots between the last marked slot and the driver's position. */
struct packed_view {
	const struct vring_packed_desc *desc;
	uint32_t size;
	struct packed_place driver; /* the next slot that it will write */
	struct packed_place behind; /* the first slot without a mark, or `driver` if n is 0 */
	uint32_t n;                 /* slots without a mark, up to the driver's position */
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

static bool same_place(struct packed_place a, struct packed_place b)
{
	return a.slot == b.slot && a.wrap == b.wrap;
}

/* Find the driver's position. False: the AVAIL bit changes more than once. */
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
	view->driver = (struct packed_place){.slot = edge, .wrap = edges ? first : !first};
	return edges <= 1;
}

static void find_last_mark(struct packed_view *view)
{
	view->behind = view->driver;
	for (view->n = 0; view->n < view->size; view->n++) {
		struct packed_place at = packed_previous(view->behind, view->size);

		if (is_marked(view->desc, at.slot))
			break;
		view->behind = at;
	}
}

/* Can the driver use indirect tables, and has every chain in view one slot? */
static bool chains_are_single(const struct packed_view *view, uint64_t features)
{
	struct packed_place at = view->behind;

	if (!VIRTIO_HAS(features, F_INDIRECT_DESC) || VIRTIO_HAS(features, F_IN_ORDER))
		return false;
	for (uint32_t n = 0; n < view->size; n++) {
		uint16_t flags = READ_ONCE(view->desc[at.slot].flags);

		if (n < view->n ? flags & VRING_DESC_F_NEXT : !is_marked(view->desc, at.slot))
			return false;
		at = packed_next(at, view->size);
	}
	return true;
}

/* Find the end of the chain (or batch) that was marked last. False: all its slots are marked. */
static bool find_end(const struct packed_view *view, bool in_order, struct packed_place *ret_end)
{
	uint32_t marked = packed_previous(view->behind, view->size).slot;
	bool full = view->n == view->size;
	struct packed_place at = view->behind;

	if (!full && !was_written(view->desc, marked))
		return false;
	for (uint32_t n = 0; n < view->n; n++) {
		uint16_t flags = READ_ONCE(view->desc[at.slot].flags);
		bool same_id =
		    READ_ONCE(view->desc[at.slot].id) == READ_ONCE(view->desc[marked].id);

		if (!(flags & VRING_DESC_F_NEXT) && (full || same_id)) {
			*ret_end = packed_next(at, view->size);
			return true;
		}
		if (!(flags & VRING_DESC_F_NEXT) && !in_order)
			return false;
		at = packed_next(at, view->size);
	}
	return false;
}

static enum vring_verdict correct(struct vring_position *position, struct packed_place at)
{
	struct packed_place told = {.slot = position->avail, .wrap = position->avail_wrap};

	*position = packed_position(at);
	return same_place(told, at) ? VRING_VERDICT_AGREES : VRING_VERDICT_CORRECTED;
}

static enum vring_verdict verify_packed(
    const struct vring_config *config, struct vring_position *position)
{
	struct packed_view view = {.desc = config->desc, .size = config->size};
	struct packed_place told = {.slot = position->avail, .wrap = position->avail_wrap}, end;
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
	/*
	 * The driver may have overwritten the only mark of the last batch. Then nobody knows how
	 * many slots of the batch are left, so the device may stand at any slot.
	 */
	if (in_order && view.n == view.size && avail_bit(view.desc, told.slot) == told.wrap)
		return VRING_VERDICT_AGREES;
	/* User Mode Linux tells slot 0 for a new ring. The ring may be full already. */
	if (view.n == view.size && view.behind.slot == 0 && view.behind.wrap && told.slot == 0)
		return correct(position, view.behind);
	return VRING_VERDICT_CONTRADICTS;
}

enum vring_verdict vring_verify(const struct vring_config *config, struct vring_position *position)
{
	return VIRTIO_HAS(config->features, F_RING_PACKED) ? verify_packed(config, position)
							   : verify_split(config, position);
}
