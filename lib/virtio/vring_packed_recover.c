/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a packed ring stands after a crash.
 *
 * The device completes chains in batches. It notes the batch in the journal (the place where it
 * begins and its number of slots), marks slots as used, the first slot last, and notes the place
 * behind the batch. The driver sees nothing of the batch before the first slot is marked. After a
 * crash:
 *
 *	Journal    First slot of the batch   The device stands
 *
 *	no batch   -                         at the place in the journal
 *	a batch    available                 there, too; vring_packed_finish() looks at the others
 *	a batch    anything else             behind the batch
 *
 * The ring must agree with the journal, because it may be another ring, or may have been reset
 * since. The slot before the place shows whether it agrees. w is the wrap counter that the device
 * had at that slot:
 *
 *	AVAIL USED   The slot was            Does the device stand at the place?
 *
 *	  w    w     marked as used          Yes. No if it is all zeros: nobody ever wrote it.
 *
 *	 !w    w     marked as used, then    Yes if the slot at the place is available, too: the
 *	             made available again    driver came by there before. (But see below.)
 *	             on the next lap
 *
 *	  w   !w     made available, never   The slot before this one answers.
 *	             marked: it belongs to a
 *	             longer chain, or to a
 *	             batch in order
 *
 *	 !w   !w     marked on the lap       No.
 *	             before
 *
 * In a new ring that is full the search can end at the second row for any place. The device of
 * such a ring stands at slot 0, so no other place is believed. (A full ring whose last used chain
 * crossed the ring's end looks the same, and is taken for new.)
 *
 * Slots of a batch that was not handed over may be marked, all but the first. They lie ahead of
 * the place, and the search ends before it comes to them from behind. If the batch has all slots
 * of the ring, only its first slot answers.
 */
#include "virtio/vring_packed.h"

bool vring_packed_looks_new(const struct vring_packed_desc *desc, uint32_t size)
{
	for (uint32_t slot = 0; slot < size; slot++) {
		if (!packed_is_avail(READ_ONCE(desc[slot].flags), true))
			return false;
	}
	return true;
}

static bool was_written(const struct vring_packed_desc *desc)
{
	return desc->addr || desc->len || desc->id;
}

bool vring_packed_stands_at(
    const struct vring_config *config, struct packed_place place, uint32_t pending)
{
	const struct vring_packed_desc *desc = config->desc;
	uint32_t size = config->size;
	bool available = packed_is_avail(READ_ONCE(desc[place.slot].flags), place.wrap);
	struct packed_place at = place;

	for (uint32_t n = 0; n < size - pending; n++) {
		at = packed_previous(at, size);

		uint16_t flags = READ_ONCE(desc[at.slot].flags);

		if (packed_is_used(flags, at.wrap))
			return was_written(&desc[at.slot]);
		if (packed_is_avail(flags, !at.wrap))
			return available &&
			    (place.slot == 0 || !vring_packed_looks_new(desc, size));
		if (packed_is_used(flags, !at.wrap))
			return false;
	}
	return pending && available;
}

/*
 * Finish a batch of which slots behind the first one are marked, but not the first one. A marked
 * slot cannot be fetched again, because the mark overwrote its descriptor. So the first slot is
 * marked now, with length 0: its frame is lost. Each chain of such a batch has one slot, because a
 * chain of several slots is a batch of its own, and only its first slot is ever marked. (If there
 * is a dirty log by then, it may miss this store.)
 */
void vring_packed_finish(
    const struct vring_config *config, struct vring_position *position, uint32_t pending)
{
	struct vring_packed_desc *desc = config->desc;
	struct packed_place first = {.slot = position->used, .wrap = position->used_wrap};
	struct packed_place at = packed_next(first, config->size);
	uint32_t marked = 0;

	while (marked + 1 < pending && packed_is_used(READ_ONCE(desc[at.slot].flags), at.wrap)) {
		at = packed_next(at, config->size);
		marked++;
	}
	if (!marked)
		return;
	__atomic_store_n((uint64_t *)(void *)&desc[first.slot].len,
	    packed_used_flags(first.wrap) | (uint64_t)READ_ONCE(desc[first.slot].id) << 32,
	    __ATOMIC_RELEASE);
	*position = packed_position(at);
}

bool vring_recover(
    const struct vring_config *config, uint64_t word, struct vring_position *ret_position)
{
	const struct vring_packed_desc *desc = config->desc;
	struct packed_place place = {.slot = word & 0x7fff, .wrap = word & 0x8000};
	uint32_t pending = word >> 32;

	if (place.slot >= config->size || pending > config->size)
		return false;
	if (pending && !packed_is_avail(READ_ONCE(desc[place.slot].flags), place.wrap)) {
		place.slot += pending;
		if (place.slot >= config->size) {
			place.slot -= config->size;
			place.wrap = !place.wrap;
		}
		pending = 0;
	}
	if (!vring_packed_stands_at(config, place, pending))
		return false;
	*ret_position = packed_position(place);
	vring_packed_finish(config, ret_position, pending);
	return true;
}
