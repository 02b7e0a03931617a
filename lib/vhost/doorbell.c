/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/doorbell.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "vhost/channel.h"
#include "vhost/quiesce.h"
#include "vhost/ring.h"
#include "virtio/vhost_user.h"

static int open_pages(struct vhost_device *dev)
{
	/* syscalls: memfd_create ftruncate close */
	int fd = memfd_create("vhost-doorbells", MFD_CLOEXEC);

	if (fd >= 0 && ftruncate(fd, (off_t)dev->type->n_rings * getpagesize()) < 0) {
		close(fd);
		fd = -1;
	}
	if (fd < 0)
		vhost_complain(dev, 0, "no memory for doorbells: %s", error_text(errno));
	return fd;
}

/* Workers must know whether they may wait for a kick. */
static void ring_set(struct vhost_device *dev, unsigned index, bool doorbell)
{
	struct vhost_vring *ring = dev->vring[index];

	if (ring->doorbell == doorbell)
		return;
	vhost_ring_tell(dev, index);
	ring->doorbell = doorbell;
	vhost_device_settle(dev);
	vhost_device_commit(dev);
}

static void offer(struct vhost_device *dev, unsigned index)
{
	struct vhost_wire_vring_area area = {
	    .index = index,
	    .size = getpagesize(),
	    .offset = (uint64_t)index * getpagesize(),
	};
	struct vhost_vring *ring = dev->vring[index];
	bool before = ring->doorbell;
	int error;

	ring_set(dev, index, true);
	error = vhost_channel_send(dev, VHOST_USER_BACKEND_VRING_HOST_NOTIFIER_MSG, &area,
	    sizeof(area), dev->doorbell.fd, true);
	if (error) {
		ring_set(dev, index, before);
		dev->doorbell.refused = error != -EBUSY && error != -ESHUTDOWN;
		return;
	}
	ring->doorbell_offered = true;
	dev->doorbell.asked = index + 1;
	log_debug("%s: a doorbell of ring %u is offered", dev->name, index);
}

/*
 * Read the answer to the last offer. Only a refusal shows that the guest does not have the page. If
 * no answer comes, for example because the channel was closed, the guest may have the page.
 */
static void hear(struct vhost_device *dev)
{
	unsigned index = dev->doorbell.asked - 1;
	uint64_t value = 0;
	int got = dev->channel.asked ? vhost_channel_answer(dev, &value) : -EIO;

	if (got == 0)
		return;
	dev->doorbell.asked = 0;
	if (got < 0 || value == 0)
		return;
	vhost_tell(dev, LOG_INFO,
	    "the front-end takes no doorbell for ring %u; no more are offered", index);
	dev->doorbell.refused = true;
	ring_set(dev, index, false);
}

static bool wanted(const struct vhost_device *dev)
{
	return dev->offer_doorbells && !dev->doorbell.refused && dev->channel.fd >= 0 &&
	    VHOST_PROTOCOL_HAS(dev->state.protocol_features, HOST_NOTIFIER);
}

void vhost_doorbell_service(struct vhost_device *dev)
{
	if (dev->doorbell.asked)
		hear(dev);
	if (!wanted(dev) || dev->doorbell.asked)
		return;
	for (unsigned i = 0; i < dev->n_vrings; i++) {
		struct vhost_vring *ring = dev->vring[i];

		if (!ring || !ring->active || ring->doorbell_offered || ring->kick_fd < 0)
			continue; /* it has one, or needs none */
		if (dev->doorbell.fd < 0)
			dev->doorbell.fd = open_pages(dev);
		if (dev->doorbell.fd < 0)
			dev->doorbell.refused = true;
		else
			offer(dev, i);
		return;
	}
}

void vhost_doorbell_stop(struct vhost_device *dev, unsigned index)
{
	dev->vring[index]->doorbell_offered = false;
}

void vhost_doorbell_forget(struct vhost_device *dev)
{
	if (dev->doorbell.fd >= 0)
		close(dev->doorbell.fd);
	dev->doorbell = (struct vhost_doorbell){.fd = -1};
}
