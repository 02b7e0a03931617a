/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/handshake.h"

#include <stdio.h>

#include "vhost/message.h"
#include "virtio/vhost_user.h"

static struct vhost_awaited message(uint32_t request, unsigned ring)
{
	return (struct vhost_awaited){VHOST_AWAITS_MESSAGE, request, ring};
}

static bool any_enabled(const struct vhost_device *dev)
{
	for (unsigned i = 0; i < dev->n_vrings; i++) {
		if (dev->vring[i] && dev->vring[i]->active && dev->state.vring[i].enabled)
			return true;
	}
	return false;
}

/* No ring runs. What is missing for the first ring that the front-end has mentioned? */
static struct vhost_awaited ring_awaits(const struct vhost_device *dev)
{
	const struct vhost_vring_state *st;
	unsigned i = 0;

	while (i < dev->n_vrings && !dev->vring[i])
		i++;
	if (i == dev->n_vrings)
		return message(VHOST_USER_SET_VRING_NUM, 0);
	st = &dev->state.vring[i];
	if (st->size == 0)
		return message(VHOST_USER_SET_VRING_NUM, i);
	if (!st->have_addr)
		return message(VHOST_USER_SET_VRING_ADDR, i);
	if (!st->started)
		return message(VHOST_USER_SET_VRING_KICK, i);
	return (struct vhost_awaited){.what = VHOST_AWAITS_MEMORY, .ring = i};
}

struct vhost_awaited vhost_handshake_awaits(const struct vhost_device *dev)
{
	if (!dev->state.have_features)
		return message(VHOST_USER_SET_FEATURES, 0);
	if (!dev->memory)
		return message(VHOST_USER_SET_MEM_TABLE, 0);
	if (!vhost_device_active(dev))
		return ring_awaits(dev);
	if (!any_enabled(dev))
		return message(VHOST_USER_SET_VRING_ENABLE, 0);
	return (struct vhost_awaited){.what = VHOST_AWAITS_NOTHING};
}

bool vhost_awaited_equal(const struct vhost_awaited *a, const struct vhost_awaited *b)
{
	return a->what == b->what && a->request == b->request && a->ring == b->ring;
}

static bool is_of_a_ring(uint32_t request)
{
	return request == VHOST_USER_SET_VRING_NUM || request == VHOST_USER_SET_VRING_ADDR ||
	    request == VHOST_USER_SET_VRING_KICK;
}

const char *vhost_awaited_text(const struct vhost_awaited *a, char text[VHOST_AWAITED_TEXT])
{
	switch (a->what) {
	case VHOST_AWAITS_FIRST:
		return "waiting for its first message";
	case VHOST_AWAITS_MESSAGE:
		snprintf(
		    text, VHOST_AWAITED_TEXT, "waiting for %s", vhost_message_name(a->request));
		if (is_of_a_ring(a->request))
			snprintf(text, VHOST_AWAITED_TEXT, "waiting for %s of ring %u",
			    vhost_message_name(a->request), a->ring);
		return text;
	case VHOST_AWAITS_MEMORY:
		snprintf(
		    text, VHOST_AWAITED_TEXT, "ring %u cannot run with what it was told", a->ring);
		return text;
	case VHOST_AWAITS_NOTHING:
		return "running";
	}
	return "";
}
