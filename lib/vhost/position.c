/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/position.h"

#include <stdio.h>

#include "base/log.h"
#include "vhost/journal.h"
#include "vhost/ring.h"
#include "virtio/vring_verify.h"

static bool is_packed(const struct vring_config *config)
{
	return VIRTIO_HAS(config->features, F_RING_PACKED);
}

struct place_text {
	char text[32];
};

/* In a packed ring a position is a slot number and a wrap counter. */
static struct place_text place(const struct vring_config *config, unsigned slot, bool wrap)
{
	struct place_text out;

	if (is_packed(config))
		snprintf(out.text, sizeof(out.text), "%u (wrap counter %u)", slot, wrap);
	else
		snprintf(out.text, sizeof(out.text), "%u", slot);
	return out;
}

/*
 * After a restart of the switch a front-end may tell an old base. So the position in the journal is
 * used instead, if it is of the same ring. True: it was used.
 */
static bool recall(struct vhost_device *dev, unsigned index, const struct vring_config *config)
{
	const struct vhost_vring_state *st = &dev->state.vring[index];
	struct vring_position position;
	uint64_t word;

	if (dev->iommu || !vhost_journal_recall(dev, index, st->desc, st->size, &word) ||
	    !vring_recover(config, word, &position))
		return false;
	if (vring_journal_word(&position) != vring_journal_word(config->position))
		vhost_tell(dev, LOG_INFO,
		    "ring %u goes on at slot %s, where it was left, not at %s", index,
		    place(config, position.used, position.used_wrap).text,
		    place(config, config->position->used, config->position->used_wrap).text);
	*config->position = position;
	return true;
}

static void verify(struct vhost_device *dev, unsigned index, const struct vring_config *config)
{
	struct vring_position *now = config->position, told = *now;

	switch (vring_verify(config, config->position)) {
	case VRING_VERDICT_AGREES:
		break;
	case VRING_VERDICT_CORRECTED:
		vhost_tell(dev, LOG_INFO, "ring %u starts at %s, as its contents show, not at %s",
		    index, place(config, now->avail, now->avail_wrap).text,
		    place(config, told.avail, told.avail_wrap).text);
		break;
	case VRING_VERDICT_CONTRADICTS:
		vhost_complain(dev, 0,
		    "packed ring %u starts at %u without a saved position; "
		    "reload the guest's driver",
		    index, told.avail);
		break;
	}
}

void vhost_position_check(
    struct vhost_device *dev, unsigned index, const struct vring_config *config)
{
	/*
	 * In a postcopy migration pages of the ring may be missing, so the ring is not read. The
	 * front-end knows the position after a migration.
	 */
	if (dev->postcopy.registered)
		return;
	if (is_packed(config) && recall(dev, index, config))
		return;
	/*
	 * Two cases cannot be verified. If the device defers, chains may be in flight, and the ring
	 * does not show which. If a packed ring has an in-flight area, the area has the position.
	 */
	if (dev->type->defers || (is_packed(config) && dev->inflight.area.map))
		return;
	verify(dev, index, config);
}
