/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/inflight.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "vhost/area.h"
#include "vhost/ring.h"
#include "virtio/vhost_user.h"
#include "virtio/vring_inflight.h"

static int check_wire(struct vhost_device *dev, const struct vhost_wire_inflight *wire)
{
	if (wire->n_queues == 0 || wire->n_queues > dev->type->n_rings)
		return vhost_complain(
		    dev, -EINVAL, "%u rings, not 1 to %u", wire->n_queues, dev->type->n_rings);
	if (wire->queue_size == 0 || wire->queue_size > VRING_SIZE_MAX)
		return vhost_complain(dev, -EINVAL, "rings of %u entries, not 1 to %u",
		    wire->queue_size, VRING_SIZE_MAX);
	return 0;
}

static uint64_t area_size(const struct vhost_wire_inflight *wire, bool packed)
{
	return (uint64_t)wire->n_queues * vring_inflight_region_size(wire->queue_size, packed);
}

/*
 * The ring format is not known before SET_FEATURES. The packed format needs more room in the area.
 */
static bool may_be_packed(const struct vhost_device *dev)
{
	return !dev->state.have_features || VIRTIO_HAS(dev->state.features, F_RING_PACKED);
}

int vhost_inflight_make(struct vhost_device *dev, struct vhost_wire_inflight *wire)
{
	int fd, error = check_wire(dev, wire);

	if (error)
		return error;
	/* syscalls: memfd_create ftruncate fcntl */
	wire->mmap_size = area_size(wire, may_be_packed(dev));
	wire->mmap_offset = 0;
	fd = memfd_create("vhost-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return vhost_complain(
		    dev, -errno, "cannot make an in-flight area: %s", error_text(errno));
	if (ftruncate(fd, wire->mmap_size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		error =
		    vhost_complain(dev, -errno, "cannot make an in-flight area of %llu bytes: %s",
			(unsigned long long)wire->mmap_size, error_text(errno));
		close(fd);
		return error;
	}
	return fd;
}

static void forget_rings(struct vhost_device *dev)
{
	for (unsigned i = 0; i < dev->n_vrings; i++) {
		if (!dev->vring[i])
			continue; /* never mentioned */
		vring_inflight_destroy(dev->vring[i]->inflight);
		dev->vring[i]->inflight = NULL;
	}
}

int vhost_inflight_set(struct vhost_device *dev, const struct vhost_wire_inflight *wire, int fd)
{
	uint64_t size = MIN(wire->mmap_size, area_size(wire, true));
	struct vhost_area fresh;
	int error = check_wire(dev, wire);

	if (error)
		return error;
	if (size < area_size(wire, false) || wire->mmap_offset % sizeof(uint64_t))
		return vhost_complain(dev, -EINVAL,
		    "%llu bytes at %llu are no area for %u rings of %u entries",
		    (unsigned long long)wire->mmap_size, (unsigned long long)wire->mmap_offset,
		    wire->n_queues, wire->queue_size);
	error = vhost_area_map(dev, "an in-flight area", size, wire->mmap_offset, fd, &fresh);
	if (error)
		return error;
	vhost_rings_change(dev);
	forget_rings(dev);
	vhost_area_unmap(dev, &dev->inflight.area);
	dev->inflight = (struct vhost_inflight){
	    .area = fresh, .n_queues = wire->n_queues, .queue_size = wire->queue_size};
	vhost_device_settle(dev);
	return 0;
}

/*
 * The region of ring index. NULL: there is no area, or the area has no region for the ring; the
 * second case is logged.
 */
static void *find_region(struct vhost_device *dev, unsigned index, uint16_t size, bool packed)
{
	const struct vhost_inflight *inflight = &dev->inflight;
	uint64_t region = vring_inflight_region_size(inflight->queue_size, packed);

	if (!inflight->area.map)
		return NULL;
	if (index >= inflight->n_queues || size > inflight->queue_size ||
	    (index + 1) * region > inflight->area.size) {
		vhost_complain(dev, 0,
		    "ring %u of %u entries is not tracked: the in-flight area is for %u rings of "
		    "%u",
		    index, size, inflight->n_queues, inflight->queue_size);
		return NULL;
	}
	return inflight->area.map + index * region;
}

static void recover(struct vhost_device *dev, unsigned index, struct vring_config *config)
{
	int n = vring_inflight_recover(config->inflight, config);

	if (n < 0)
		vhost_complain(dev, 0, "ring %u: its in-flight region %s, and was reset", index,
		    n == -ENOMEM ? "cannot be read: no memory" : "contradicts itself or the ring");
	else if (n > 0)
		vhost_tell(
		    dev, LOG_INFO, "ring %u: %d chains in flight are taken up again", index, n);
}

void vhost_inflight_start(
    struct vhost_device *dev, unsigned index, struct vring_config *config, bool told)
{
	bool packed = VIRTIO_HAS(config->features, F_RING_PACKED);
	void *region = find_region(dev, index, config->size, packed);
	struct vhost_vring *ring = dev->vring[index];

	config->inflight = NULL;
	/* A ring of another size is another ring. */
	if (ring->inflight && vring_inflight_size(ring->inflight) != config->size)
		told = true;
	if (told || !region) {
		vring_inflight_destroy(ring->inflight);
		ring->inflight = NULL;
	}
	if (!region)
		return;
	if (!ring->inflight) {
		ring->inflight = vring_inflight_create(
		    region, dev->inflight.queue_size, config->size, packed, dev->type->defers);
		if (!ring->inflight) {
			vhost_complain(dev, 0, "no memory to track ring %u", index);
			return;
		}
		config->inflight = ring->inflight;
		/*
		 * In a postcopy migration guest memory may be missing. But then nothing was in
		 * flight.
		 */
		if (told && !dev->postcopy.registered)
			recover(dev, index, config);
		else
			vring_inflight_reset(ring->inflight, config->position);
	}
	config->inflight = ring->inflight;
}

void vhost_inflight_forget(struct vhost_device *dev)
{
	vhost_area_unmap(dev, &dev->inflight.area);
	dev->inflight = (struct vhost_inflight){0};
}
