/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finds the device's position in a packed ring after a crash.
 *
 * The device completes chains in batches, in three steps. First it writes to the journal the place
 * of the batch (its first slot) and its number of slots. Then it marks the slots as used, the first
 * slot last. At last it writes to the journal the place behind the batch. The driver sees no part
 * of the batch before the first slot is marked. After a crash:
 *
 *	Journal    First slot of the batch   The device stands
 *
 *	no batch   -                         at the place in the journal
 *	a batch    available                 there, too; vring_packed_finish() looks at the others
 *	a batch    anything else             behind the batch
 *
 * The journal may be that of another ring, or the ring may have been reset later. So the journal is
 * used only if the contents of the ring agree with it. The slot before the place shows that. w is
 * the wrap counter that the device had at this slot:
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
 * In a new ring that is full, the second row can apply to any place. The device of such a ring
 * stands at slot 0, so only slot 0 is accepted. (A full ring whose last used chain crossed the
 * ring's end looks the same. It is treated as a new ring.)
 *
 * In a batch that was not handed over, all slots except the first may be marked. They are not
 * searched: the search goes backwards from the place, and ends before it comes around the ring to
 * these slots. If the batch has all slots of the ring, only its first slot is examined.
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
 * Finish a batch in which the first slot is not marked, but slots after it are. A marked slot
 * cannot be fetched again, because the mark overwrote its descriptor. So the first slot is marked
 * now, with length 0. Its frame is lost.
 *
 * Each chain of such a batch has one slot. A chain of several slots is a batch of its own, and only
 * its first slot is ever marked. (If a dirty log exists at that time, this store may be missing in
 * it.)
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
