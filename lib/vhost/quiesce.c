/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/quiesce.h"

#include "base/clock.h"
#include "vhost/call.h"

/* The time of these calls counts as time of waiting for workers, not as time of the front-end. */
#define WAIT(dev, call) \
	do { \
		uint64_t start = clock_ns(); \
		call; \
		(dev)->waited_ns += clock_ns() - start; \
	} while (0)

static bool any_in_use(const struct vhost_device *dev)
{
	for (unsigned i = 0; i < dev->n_vrings; i++) {
		if (dev->vring[i] && dev->vring[i]->in_use)
			return true;
	}
	return false;
}

void vhost_device_pause(struct vhost_device *dev)
{
	if (dev->paused)
		return;
	WAIT(dev, dev->type->pause(dev));
	dev->disturbances++;
	for (unsigned i = 0; i < dev->n_vrings; i++) {
		if (dev->vring[i])
			dev->vring[i]->in_use = false;
	}
	dev->paused = true;
}

void vhost_ring_pause(struct vhost_device *dev, unsigned index)
{
	struct vhost_vring *ring = dev->vring[index];

	if (!ring->in_use)
		return;
	if (!dev->type->pause_ring) {
		vhost_device_pause(dev);
		return;
	}
	WAIT(dev, dev->type->pause_ring(dev, index));
	dev->disturbances++;
	ring->in_use = false;
	dev->paused = !any_in_use(dev);
}

void vhost_ring_tell(struct vhost_device *dev, unsigned index)
{
	if (!dev->vring[index]->in_use)
		return;
	if (!dev->type->pause_ring)
		vhost_device_pause(dev);
	else
		dev->untold = true;
}

void vhost_ring_prepare(struct vhost_device *dev)
{
	if (!dev->type->pause_ring)
		vhost_device_pause(dev);
}

void vhost_device_resume(struct vhost_device *dev)
{
	bool news = dev->untold;

	for (unsigned i = 0; i < dev->n_vrings; i++) {
		struct vhost_vring *ring = dev->vring[i];

		if (!ring || !ring->active || ring->in_use)
			continue; /* no worker may begin to use it */
		ring->in_use = news = true;
		dev->paused = false;
	}
	dev->untold = false;
	if (!news || dev->paused)
		return;
	WAIT(dev, dev->type->resume(dev));
	dev->disturbances++;
}

void vhost_device_commit(struct vhost_device *dev)
{
	if (dev->type->commit)
		WAIT(dev, dev->type->commit(dev));
}

void vhost_device_synchronize(struct vhost_device *dev)
{
	if (dev->paused)
		return;
	if (dev->type->synchronize) {
		WAIT(dev, dev->type->synchronize(dev));
		return;
	}
	WAIT(dev, dev->type->pause(dev));
	WAIT(dev, dev->type->resume(dev));
}

void vhost_ring_set_call(struct vhost_device *dev, unsigned index, int fd)
{
	struct vhost_vring *ring = dev->vring[index];

	if (!dev->type->set_call)
		vhost_ring_pause(dev, index);
	vhost_call_replaced(dev, index);
	ring->call_fd = fd;
	if (ring->in_use)
		WAIT(dev, dev->type->set_call(dev, index));
}
