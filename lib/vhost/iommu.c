/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The front-end knows the translations. It sends updates and invalidations as IOTLB_MSG, and the
 * switch sends misses on the back-end channel. Only the control thread uses the table of
 * translations (virtio/iotlb.h). Rings read a view of the table.
 *
 * An update or an invalidation changes the table. Then a new view is published, and
 * vhost_device_settle() examines all rings again, because the addresses of their areas are
 * translated, too. The message is answered when no worker is in a burst that began with the old
 * view. So an invalidation is complete before it is answered. It stops a ring only if it affects
 * the ring's own areas.
 *
 * Misses. A worker cannot send messages, so a ring only notes its misses. The owner of the device
 * calls vhost_iommu_service(), which asks the front-end for the translations. At most
 * OUTSTANDING_MAX questions are open at a time: otherwise a guest with many rings could fill the
 * channel's socket, and the channel would be closed. No function here waits for an answer. If an
 * answer does not come in time, or does not give the permission, the miss is denied. Then the chain
 * that needs the translation is returned as a faulty chain, and the ring goes on. Translations of a
 * ring's own areas are asked for every AREA_REPEAT_MS until they have come. Only this ring waits
 * for them.
 *
 * If memory for a new view cannot be allocated, the table is emptied, and rings use an empty view
 * that was made at the start. Then rings ask for all translations again.
 *
 * Trust: the range of an update must lie inside one mapped region. The host addresses of each new
 * view come from the current memory table. So a view never leads to a region that was removed. The
 * table of translations is bounded, see virtio/iotlb.c.
 */
#include "vhost/iommu.h"

#include <errno.h>
#include <stdlib.h>

#include "vhost/channel.h"
#include "vhost/handlers.h"
#include "vhost/quiesce.h"
#include "vhost/ring.h"
#include "virtio/iotlb.h"

#define OUTSTANDING_MAX 64
#define AREAS           3
#define AREA_REPEAT_MS  1000

/* "I/O TLB message" types. */
enum { MESSAGE_MISS = 1, MESSAGE_UPDATE, MESSAGE_INVALIDATE, MESSAGE_ACCESS_FAIL };

/* The data of one ring. */
struct vhost_ring_iommu {
	struct vring_misses misses;
	/* For each slot: the miss that it contained at the last check, and since when. */
	uint64_t seen[VRING_MISSES_MAX];
	uint64_t since_ms[VRING_MISSES_MAX];
	/*
	 * For each of the ring's areas: the miss if a part of the area is not translated, else 0;
	 * and when the front-end was last asked.
	 */
	uint64_t area[AREAS];
	uint64_t area_asked_ms[AREAS];
	bool area_asked[AREAS];
};

struct vhost_iommu {
	struct vring_iommu shared;
	struct iotlb *tlb;
	struct iotlb_view *empty;
	unsigned outstanding; /* misses that wait for an answer, as last counted */
	uint64_t now_ms;      /* when vhost_iommu_service was last called */
	struct vring_batch scratch;
	struct vhost_ring_iommu *ring[VHOST_RINGS_MAX];
};

static struct iotlb_view *current_view(const struct vhost_iommu *iommu)
{
	return atomic_load_explicit(&iommu->shared.view, memory_order_relaxed);
}

static void iommu_destroy(struct vhost_iommu *iommu)
{
	if (!iommu)
		return;
	if (current_view(iommu) != iommu->empty)
		iotlb_view_destroy(current_view(iommu));
	iotlb_view_destroy(iommu->empty);
	iotlb_destroy(iommu->tlb);
	for (unsigned i = 0; i < VHOST_RINGS_MAX; i++)
		free(iommu->ring[i]);
	free(iommu);
}

static struct vhost_iommu *iommu_create(void)
{
	struct vhost_iommu *iommu = calloc(1, sizeof(*iommu));

	if (!iommu)
		return NULL;
	if (iotlb_create(VHOST_IOMMU_ENTRIES_MAX, &iommu->tlb) < 0 ||
	    iotlb_view_create(iommu->tlb, NULL, &iommu->empty) < 0) {
		iommu_destroy(iommu);
		return NULL;
	}
	atomic_init(&iommu->shared.view, iommu->empty);
	return iommu;
}

int vhost_iommu_negotiate(struct vhost_device *dev, uint64_t features)
{
	bool wanted = VIRTIO_HAS(features, F_ACCESS_PLATFORM);

	if (wanted && !dev->iommu) {
		dev->iommu = iommu_create();
		if (!dev->iommu)
			return vhost_complain(dev, -ENOMEM, "no memory for translations");
	} else if (!wanted) {
		vhost_iommu_forget(dev);
	}
	return 0;
}

void vhost_iommu_forget(struct vhost_device *dev)
{
	iommu_destroy(dev->iommu);
	dev->iommu = NULL;
}

static struct vhost_ring_iommu *ring_side(const struct vhost_device *dev, unsigned index)
{
	return dev->iommu->ring[index];
}

static void swap_view(struct vhost_device *dev, struct iotlb_view **ret_old)
{
	struct vhost_iommu *iommu = dev->iommu;
	struct iotlb_view *view;

	if (iotlb_view_create(iommu->tlb, dev->memory, &view) < 0) {
		vhost_complain(dev, -ENOMEM, "no memory for translations: all are forgotten");
		iotlb_invalidate(iommu->tlb, 0, 0);
		view = iommu->empty;
	}
	*ret_old = atomic_exchange(&iommu->shared.view, view);
	if (*ret_old == iommu->empty)
		*ret_old = NULL;
	for (unsigned i = 0; i < dev->n_vrings; i++)
		if (ring_side(dev, i))
			vring_misses_answer(&ring_side(dev, i)->misses, view);
}

/* The table has changed: publish a new view. Returns when no worker uses the old view. */
static void publish(struct vhost_device *dev)
{
	struct iotlb_view *old;

	swap_view(dev, &old);
	vhost_device_settle(dev);
	vhost_device_synchronize(dev);
	iotlb_view_destroy(old);
}

void vhost_iommu_remap(struct vhost_device *dev)
{
	struct iotlb_view *old;

	if (!dev->iommu)
		return;
	swap_view(dev, &old);
	vhost_device_synchronize(dev);
	iotlb_view_destroy(old);
}

static struct vhost_ring_iommu *ring_side_make(struct vhost_device *dev, unsigned index)
{
	struct vhost_iommu *iommu = dev->iommu;

	if (!iommu->ring[index])
		iommu->ring[index] = calloc(1, sizeof(*iommu->ring[index]));
	return iommu->ring[index];
}

void *vhost_iommu_area(struct vhost_device *dev, unsigned index, unsigned area, uint64_t iova,
    uint64_t len, unsigned perm, bool *ret_waits)
{
	struct vhost_ring_iommu *ring = ring_side_make(dev, index);
	uint64_t missing, wanted = 0;
	void *host = iotlb_view_resolve(current_view(dev->iommu), iova, len, perm, &missing);

	if (!ring)
		return NULL;
	if (!host && missing != iova + len)
		wanted = (missing & ~(IOTLB_PAGE - 1)) | (uint64_t)perm << VRING_MISS_PERM_SHIFT;
	if (ring->area[area] != wanted)
		ring->area_asked[area] = false;
	ring->area[area] = wanted;
	*ret_waits |= wanted != 0;
	return host;
}

void vhost_iommu_attach(struct vhost_device *dev, unsigned index, struct vring_config *config)
{
	if (!dev->iommu)
		return;
	config->iommu = &dev->iommu->shared;
	config->misses = &ring_side(dev, index)->misses;
}

void vhost_iommu_ring_started(struct vhost_device *dev, unsigned index)
{
	struct vring *ring = &dev->vring[index]->ring;

	if (dev->iommu && ring->direction == VRING_RECEIVE)
		vring_iommu_look_ahead(ring, &dev->iommu->scratch);
}

static int ask(struct vhost_device *dev, uint64_t miss)
{
	const struct vhost_wire_iotlb wire = {
	    .iova = vring_miss_iova(miss),
	    .size = IOTLB_PAGE,
	    .perm = vring_miss_perm(miss),
	    .type = MESSAGE_MISS,
	};

	return vhost_channel_send(
	    dev, VHOST_USER_BACKEND_IOTLB_MSG, &wire, sizeof(wire), -1, false);
}

/* Misses of areas do not count as outstanding, because they are few and not asked for often. */
static void ask_areas(struct vhost_device *dev, struct vhost_ring_iommu *ring, uint64_t now_ms)
{
	for (unsigned i = 0; i < AREAS; i++) {
		bool asked = ring->area_asked[i];

		if (!ring->area[i] || (asked && now_ms - ring->area_asked_ms[i] < AREA_REPEAT_MS))
			continue; /* nothing to ask for now */
		ring->area_asked[i] = ask(dev, ring->area[i]) == 0;
		ring->area_asked_ms[i] = now_ms;
	}
}

static void ask_misses(struct vhost_device *dev, struct vhost_ring_iommu *ring)
{
	unsigned slot = 0;
	uint64_t miss;

	while (dev->iommu->outstanding < OUTSTANDING_MAX &&
	    (miss = vring_misses_take(&ring->misses, &slot))) {
		if (ask(dev, miss) < 0) {
			vring_misses_give_back(&ring->misses, slot - 1, miss);
			return;
		}
		dev->iommu->outstanding++;
	}
}

void vhost_iommu_ask_again(struct vhost_device *dev)
{
	for (unsigned r = 0; dev->iommu && r < dev->n_vrings; r++) {
		struct vhost_ring_iommu *ring = ring_side(dev, r);

		for (unsigned i = 0; ring && i < VRING_MISSES_MAX; i++) {
			uint64_t miss = atomic_load(&ring->misses.miss[i]);

			if ((miss & VRING_MISS_STATE_MASK) == VRING_MISS_ASKED)
				vring_misses_give_back(&ring->misses, i, miss);
		}
		for (unsigned i = 0; ring && i < AREAS; i++)
			ring->area_asked[i] = false;
	}
}

static void deny(struct vhost_device *dev, unsigned index, unsigned slot, uint64_t miss)
{
	if (!vring_misses_deny(&ring_side(dev, index)->misses, slot, miss))
		return;
	atomic_fetch_add_explicit(&dev->iommu->shared.denials, 1, memory_order_release);
	vhost_complain(dev, 0, "ring %u may not %s I/O address 0x%llx", index,
	    vring_miss_perm(miss) & IOTLB_WRITE ? "write to" : "read from",
	    (unsigned long long)vring_miss_iova(miss));
}

/* Has the miss in the slot waited too long? */
static bool overdue(struct vhost_ring_iommu *ring, unsigned slot, uint64_t miss, uint64_t now_ms)
{
	uint64_t page = miss & ~VRING_MISS_STATE_MASK;

	if (ring->seen[slot] != page) {
		ring->seen[slot] = page;
		ring->since_ms[slot] = now_ms;
	}
	return page && now_ms - ring->since_ms[slot] > VHOST_IOMMU_TIMEOUT_MS;
}

static void deny_overdue(struct vhost_device *dev, unsigned index, uint64_t now_ms)
{
	struct vhost_ring_iommu *ring = ring_side(dev, index);

	for (unsigned i = 0; i < VRING_MISSES_MAX; i++) {
		uint64_t miss = atomic_load(&ring->misses.miss[i]);
		unsigned state = miss & VRING_MISS_STATE_MASK;

		if (overdue(ring, i, miss, now_ms) && state != VRING_MISS_DENIED)
			deny(dev, index, i, miss);
		else
			dev->iommu->outstanding += state == VRING_MISS_ASKED;
	}
}

static bool ring_waits(const struct vhost_device *dev, unsigned index)
{
	return dev->vring[index] && ring_side(dev, index) && dev->state.vring[index].started;
}

void vhost_iommu_service(struct vhost_device *dev, uint64_t now_ms)
{
	if (!dev->iommu)
		return;
	dev->iommu->outstanding = 0;
	dev->iommu->now_ms = now_ms;
	for (unsigned i = 0; i < dev->n_vrings; i++)
		if (ring_waits(dev, i))
			deny_overdue(dev, i, now_ms);
	for (unsigned i = 0; i < dev->n_vrings; i++) {
		if (!ring_waits(dev, i))
			continue; /* no ring waits */
		ask_areas(dev, ring_side(dev, i), now_ms);
		ask_misses(dev, ring_side(dev, i));
	}
}

/*
 * List the areas of started rings. Their translations must not be forgotten when the table is full.
 */
static unsigned collect_pins(
    const struct vhost_device *dev, struct iotlb_pin pins[AREAS * VHOST_RINGS_MAX])
{
	bool packed = VIRTIO_HAS(dev->state.features, F_RING_PACKED);
	unsigned n = 0;

	for (unsigned i = 0; i < dev->n_vrings; i++) {
		const struct vhost_vring_state *st = &dev->state.vring[i];
		struct vring_layout layout;

		if (!st->started || !st->have_addr || st->size == 0 || st->size > VRING_SIZE_MAX)
			continue; /* the ring cannot run with these values */
		layout = vring_layout(st->size, packed);
		pins[n++] = (struct iotlb_pin){st->desc, layout.desc};
		pins[n++] = (struct iotlb_pin){st->driver, layout.driver};
		pins[n++] = (struct iotlb_pin){st->device, layout.device};
	}
	return n;
}

/* If an answer does not give the permission that was asked for, deny the miss. */
static void deny_unpermitted(struct vhost_device *dev, uint64_t iova, uint64_t size)
{
	for (unsigned r = 0; r < dev->n_vrings; r++) {
		struct vhost_ring_iommu *ring = ring_side(dev, r);

		for (unsigned i = 0; ring && i < VRING_MISSES_MAX; i++) {
			uint64_t miss = atomic_load(&ring->misses.miss[i]);
			unsigned state = miss & VRING_MISS_STATE_MASK;

			if (state == VRING_MISS_ASKED && vring_miss_iova(miss) - iova < size)
				deny(dev, r, i, miss);
		}
	}
}

static int update(struct vhost_device *dev, const struct vhost_wire_iotlb *wire)
{
	struct iotlb_pin pins[AREAS * VHOST_RINGS_MAX];
	int error;

	if (!dev->memory || !guest_memory_from_uaddr(dev->memory, wire->uaddr, wire->size))
		return vhost_complain(dev, -EINVAL,
		    "I/O address 0x%llx is not inside one memory region: 0x%llx bytes at 0x%llx",
		    (unsigned long long)wire->iova, (unsigned long long)wire->size,
		    (unsigned long long)wire->uaddr);
	error = iotlb_update(dev->iommu->tlb, wire->iova, wire->size, wire->uaddr, wire->perm, pins,
	    collect_pins(dev, pins));
	if (error == -ENOSPC)
		return vhost_complain(dev, error, "there are too many translations of rings");
	if (error)
		return vhost_complain(dev, error,
		    "0x%llx bytes at I/O address 0x%llx with access %u cannot be translated",
		    (unsigned long long)wire->size, (unsigned long long)wire->iova, wire->perm);
	publish(dev);
	/* publish() has removed the misses that have a translation in the new view. */
	deny_unpermitted(dev, wire->iova, wire->size);
	return 0;
}

static int invalidate(struct vhost_device *dev, const struct vhost_wire_iotlb *wire)
{
	int error = iotlb_invalidate(dev->iommu->tlb, wire->iova, wire->size);

	if (error)
		return vhost_complain(dev, error,
		    "0x%llx bytes at I/O address 0x%llx cannot be invalidated",
		    (unsigned long long)wire->size, (unsigned long long)wire->iova);
	publish(dev);
	return 0;
}

int handle_iotlb_msg(struct vhost_device *dev, struct vhost_message *msg)
{
	const struct vhost_wire_iotlb *wire = &msg->payload.iotlb;
	int error;

	if (!dev->iommu)
		return vhost_complain(dev, -EOPNOTSUPP, "access_platform was not negotiated");
	switch (wire->type) {
	case MESSAGE_UPDATE:
		error = update(dev, wire);
		break;
	case MESSAGE_INVALIDATE:
		error = invalidate(dev, wire);
		break;
	default:
		return vhost_complain(
		    dev, -EINVAL, "type %u does not come from a front-end", wire->type);
	}
	/* The message may have stopped or started a ring, which then has new misses. */
	vhost_iommu_service(dev, dev->iommu->now_ms);
	return error;
}
