/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/position.h"

#include "base/log.h"
#include "vhost/journal.h"
#include "vhost/ring.h"
#include "virtio/vring_verify.h"

static bool is_packed(const struct vring_config *config)
{
	return VIRTIO_HAS(config->features, F_RING_PACKED);
}

/*
 * The base that a front-end tells after we have been away may be an old one: go by the journal, if
 * the ring is the one it speaks of. True: the journal knew it.
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
		    "ring %u goes on at slot %u, where it was left, not at %u", index,
		    position.used, config->position->used);
	*config->position = position;
	return true;
}

static void verify(struct vhost_device *dev, unsigned index, const struct vring_config *config)
{
	uint16_t told = config->position->avail;

	switch (vring_verify(config, config->position)) {
	case VRING_VERDICT_AGREES:
		break;
	case VRING_VERDICT_CORRECTED:
		vhost_tell(dev, LOG_INFO, "ring %u starts at %u, which is what it shows, not at %u",
		    index, config->position->avail, told);
		break;
	case VRING_VERDICT_CONTRADICTS:
		vhost_complain(dev, 0,
		    "packed ring %u starts at %u without a saved position; "
		    "reload the guest's driver",
		    index, told);
		break;
	}
}

void vhost_position_check(
    struct vhost_device *dev, unsigned index, const struct vring_config *config)
{
	/* A page of the ring may be missing; and who migrated knows the position. */
	if (dev->postcopy.registered)
		return;
	if (is_packed(config) && recall(dev, index, config))
		return;
	/* What is in flight is not to be seen in the ring; of a packed one the area says more. */
	if (dev->type->defers || (is_packed(config) && dev->inflight.area.map))
		return;
	verify(dev, index, config);
}
