/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The used index of a split ring is the position of a device that leaves nothing in flight. The
 * ring shows nothing only if its avail index is more than its size ahead of the used index: a
 * driver may have started anew without clearing the used index.
 *
 * A packed ring shows the driver's position. The AVAIL bit of a slot is the driver's wrap counter
 * at the time when the driver last wrote the slot, and the device does not change it. So along the
 * ring the bit changes at most once, and it does so at the driver's position. Before this position
 * there may be slots that are not marked as used. They either wait for the device, or belong to the
 * last chain (with IN_ORDER: batch) that the device marked, because it marks only the first
 * slot of a chain or batch. The last slot of this chain is found by the buffer id, which both its
 * first and its last slot hold. So the device stands
 *
 *	at the driver's position	if the slot before it is marked;
 *	behind the last marked slot	if this slot is a chain of its own: no unmarked slot that
 *					could end its chain has its id;
 *	at one of two places		otherwise: behind the marked slot, or behind the end of its
 *					chain.
 *
 * If the told position is one of two possible places, it may be right. Otherwise it is wrong. It is
 * corrected to the first of them if the driver can use indirect tables, and all other chains that
 * can be seen have one slot.
 *
 * A ring without any marked slot is full. If it looks as on the first lap, and the told slot is 0,
 * it is taken for a new ring.
 *
 * The driver may run at the same time. Chains that it adds change nothing. But half of a chain of
 * several slots may look like a second change of the AVAIL bit; then the ring shows nothing.
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

/* Can the driver use indirect tables, and has every chain that can be seen one slot? */
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

/*
 * Find the end of the chain, or batch, that was marked last, if it has unmarked slots. False: it
 * has none.
 */
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
	 * The driver may have overwritten the only mark of the last batch. Then any number of slots
	 * of the batch may be left, and the device may stand at any of them.
	 */
	if (in_order && view.n == view.size && avail_bit(view.desc, told.slot) == told.wrap)
		return VRING_VERDICT_AGREES;
	/* User Mode Linux tells slot 0 for a new ring, which may be full already. */
	if (view.n == view.size && view.behind.slot == 0 && view.behind.wrap && told.slot == 0)
		return correct(position, view.behind);
	return VRING_VERDICT_CONTRADICTS;
}

enum vring_verdict vring_verify(const struct vring_config *config, struct vring_position *position)
{
	return VIRTIO_HAS(config->features, F_RING_PACKED) ? verify_packed(config, position)
							   : verify_split(config, position);
}
