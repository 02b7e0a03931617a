/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * During a migration workers mark the pages of guest memory that they write, in a bitmap of the
 * front-end (the map). Workers need one struct dirty_log for each ring. The structure has the
 * address of the map, the kinds of writes that have to be marked, and the guest address of the
 * ring. It must not change while a worker may use it. So each ring has two of these structures, and
 * at most one is in use. To make a change, the control thread fills in the free structure and
 * points the ring at it. Then vhost_device_synchronize() waits until every worker has finished its
 * current burst. After this the old structure is free, and an old map can be unmapped. The ring is
 * not stopped, so no frame is lost.
 *
 * After vhost_device_synchronize() all bursts that began without the map have ended. So from then
 * on all these writes are marked. SET_FEATURES, SET_VRING_ADDR and SET_LOG_BASE are answered only
 * then.
 *
 * Marks beyond the end of the map are ignored and counted. The count is written to the switch's log
 * when marking ends, or when the front-end disconnects.
 */
#include "vhost/log.h"

#include "base/log.h"
#include "vhost/area.h"
#include "vhost/quiesce.h"
#include "vhost/ring.h"
#include "virtio/vhost_user.h"

/* Which writes ring `index` has to log now. False: none. */
static bool log_wanted(const struct vhost_device *dev, unsigned index, struct dirty_log *ret)
{
	const struct vhost_vring_state *st = &dev->state.vring[index];

	*ret = (struct dirty_log){
	    .map = dev->log.area.map,
	    .size = dev->log.area.size,
	    .memory = dev->memory,
	    .data = VIRTIO_HAS(dev->state.features, VHOST_F_LOG_ALL),
	    .ring = st->addr_flags & VHOST_WIRE_VRING_LOG,
	    .ring_gpa = st->log,
	};
	/*
	 * Behind an IOMMU the address that the front-end told is an IOVA, which the log cannot use.
	 * The guest address of the device area is used instead: it is the same memory.
	 */
	if (dev->iommu && dev->memory)
		guest_memory_from_host(
		    dev->memory, dev->vring[index]->config.device, &ret->ring_gpa);
	return ret->map && (ret->data || ret->ring);
}

static bool log_same(const struct dirty_log *a, const struct dirty_log *b)
{
	return a->map == b->map && a->size == b->size && a->memory == b->memory &&
	    a->data == b->data && a->ring == b->ring && a->ring_gpa == b->ring_gpa;
}

/* Give the ring a struct dirty_log with the wanted values. True: the values have changed. */
static bool ring_log_settle(struct vhost_device *dev, unsigned index)
{
	struct vhost_vring *ring = dev->vring[index];
	struct dirty_log *now = ring->ring.log;
	struct dirty_log *other = now == &ring->log[0] ? &ring->log[1] : &ring->log[0];
	struct dirty_log wanted;

	if (!log_wanted(dev, index, &wanted)) {
		vring_set_log(&ring->ring, NULL);
		if (now)
			vhost_ring_note(dev, index, VRING_EVENT_LOG, 0);
		return now != NULL;
	}
	if (now && log_same(now, &wanted))
		return false;
	dev->log.ignored += other->ignored;
	*other = wanted;
	vring_set_log(&ring->ring, other);
	vhost_ring_note(dev, index, VRING_EVENT_LOG, wanted.data | wanted.ring << 1);
	return true;
}

void vhost_log_settle(struct vhost_device *dev)
{
	bool changed = false;

	for (unsigned i = 0; i < dev->n_vrings; i++) {
		if (dev->vring[i] && dev->vring[i]->active)
			changed |= ring_log_settle(dev, i);
	}
	if (changed)
		vhost_device_synchronize(dev);
}

int vhost_log_replace(struct vhost_device *dev, uint64_t size, uint64_t offset, int fd)
{
	struct vhost_area old = dev->log.area, fresh;
	int error = vhost_area_map(dev, "a dirty log", size, offset, fd, &fresh);

	if (error)
		return error;
	dev->log.area = fresh;
	vhost_log_settle(dev);
	vhost_area_unmap(dev, &old);
	log_debug("%s: dirty pages go to a log of %llu bytes", dev->name, (unsigned long long)size);
	return 0;
}

void vhost_log_forget(struct vhost_device *dev)
{
	for (unsigned i = 0; i < dev->n_vrings; i++) {
		struct vhost_vring *ring = dev->vring[i];

		if (ring)
			dev->log.ignored += ring->log[0].ignored + ring->log[1].ignored;
	}
	vhost_area_unmap(dev, &dev->log.area);
	if (dev->log.ignored)
		vhost_tell(dev, LOG_WARN, "%llu writes were outside the dirty log, and not logged",
		    (unsigned long long)dev->log.ignored);
	dev->log = (struct vhost_log){0};
}
