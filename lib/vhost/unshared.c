/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/unshared.h"

#include <sys/epoll.h>
#include <unistd.h>

#include "vhost/ring.h"

#define DOUBT_MS 1000

/*
 * No thread reads a kick eventfd, and those of QEMU are readable from the beginning. So readability
 * shows nothing. But an edge-triggered epoll set reports each write.
 */
static void watch_kicks(struct vhost_device *dev, unsigned n_active)
{
	struct vhost_unshared *u = &dev->unshared;
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};

	/* syscalls: epoll_create1 epoll_ctl epoll_wait close */
	vhost_unshared_forget(dev);
	u->n_active = n_active;
	u->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	u->watching = u->epoll_fd >= 0;
	for (unsigned i = 0; u->watching && i < dev->n_vrings; i++) {
		const struct vhost_vring *ring = dev->vring[i];

		if (ring && ring->active && ring->kick_fd >= 0)
			epoll_ctl(u->epoll_fd, EPOLL_CTL_ADD, ring->kick_fd, &event);
	}
}

/* Did kicks come since the last call? The first call also reports kicks that came earlier. */
static bool kicks_came(const struct vhost_unshared *u)
{
	struct epoll_event event[64];
	bool any = false;
	int n;

	for (unsigned i = 0; i <= VHOST_RINGS_MAX / ARRAY_SIZE(event); i++) {
		n = epoll_wait(u->epoll_fd, event, ARRAY_SIZE(event), 0);
		any |= n > 0;
		if (n < (int)ARRAY_SIZE(event))
			break;
	}
	return any;
}

/* Does the ring look as if no driver has ever written to it? */
static bool is_blank(const struct vhost_vring *ring)
{
	const struct vring_config *config = &ring->config;
	const struct vring_packed_desc *desc = config->desc;
	const struct vring_split_avail *avail = config->driver;
	const struct vring_split_used *used = config->device;

	if (VIRTIO_HAS(config->features, F_RING_PACKED))
		return READ_ONCE(desc->addr) == 0 && READ_ONCE(desc->len) == 0 &&
		    READ_ONCE(desc->flags) == 0;
	return READ_ONCE(avail->idx) == 0 && READ_ONCE(used->idx) == 0;
}

/* Returns how many rings run. *ret_blank: true if no driver has written to any of them. */
static unsigned count_active(const struct vhost_device *dev, bool *ret_blank)
{
	unsigned n = 0;

	*ret_blank = true;
	for (unsigned i = 0; i < dev->n_vrings; i++) {
		const struct vhost_vring *ring = dev->vring[i];

		if (!ring || !ring->active)
			continue;
		n++;
		*ret_blank &= is_blank(ring);
	}
	return n;
}

static void settle(struct vhost_device *dev, const char *fault)
{
	if (fault)
		vhost_complain(dev, 0,
		    "%s: the guest's memory must be shared, in QEMU by share=on of its memory "
		    "backend",
		    fault);
	vhost_unshared_forget(dev);
	dev->unshared.settled = true;
}

/* Has the doubt whether memory is shared lasted for DOUBT_MS? */
static bool doubt_lasts(struct vhost_unshared *u, bool doubt, uint64_t now)
{
	if (!doubt)
		u->since = 0;
	else if (!u->since)
		u->since = now;
	return doubt && now - u->since >= DOUBT_MS;
}

void vhost_unshared_service(struct vhost_device *dev, uint64_t now)
{
	struct vhost_unshared *u = &dev->unshared;
	unsigned n_active;
	bool blank;

	if (u->settled || dev->postcopy.registered || !vhost_rings_started(dev))
		return;
	if (!dev->memory) {
		if (doubt_lasts(u, true, now))
			settle(dev, "rings are started, but there is no guest memory");
		return;
	}
	n_active = count_active(dev, &blank);
	if (n_active != u->n_active) {
		watch_kicks(dev, n_active);
		if (u->watching)
			kicks_came(u);
		return;
	}
	if (u->watching && kicks_came(u))
		u->kicked = true;
	/*
	 * Look at the rings after the kick, because the driver writes to the ring before it kicks.
	 */
	count_active(dev, &blank);
	if (n_active && !blank)
		settle(dev, NULL);
	else if (doubt_lasts(u, u->kicked && n_active, now))
		settle(dev, "the driver kicks, but its rings stay empty");
}

void vhost_unshared_forget(struct vhost_device *dev)
{
	if (dev->unshared.watching)
		close(dev->unshared.epoll_fd);
	dev->unshared = (struct vhost_unshared){.settled = dev->unshared.settled};
}
