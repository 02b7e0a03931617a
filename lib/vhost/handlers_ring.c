/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * Messages about one ring. They come in any order, before or after features and memory, and the
 * ring may be stopped or running. Each handler checks the values as far as possible, stores them,
 * and calls vhost_device_settle(). That function stops and starts rings as needed.
 *
 * To start a ring and to enable it are two different things. SET_VRING_KICK starts a ring at once,
 * without waiting for a kick: if the driver has kicked before a reconnect, it might never kick
 * again. GET_VRING_BASE stops the ring and closes its kick and call eventfds. All other values of
 * the ring stay. SET_VRING_CALL is not needed: without it the driver polls.
 *
 * In-band notifications replace descriptors that were not passed. If the front-end says that it has
 * no descriptor for kicks, the ring is polled, with or without in-band notifications. If it says
 * that it has no descriptor for calls, the switch does not know whether it polls or wants messages.
 * So the switch sends messages, which the front-end may ignore.
 *
 * Descriptors for kick and call must be eventfds, because workers write to them and sleep on them.
 * A pipe or a file could block a worker or raise SIGPIPE.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/util.h"
#include "vhost/descriptor.h"
#include "vhost/doorbell.h"
#include "vhost/handlers.h"
#include "vhost/inband.h"
#include "vhost/journal.h"
#include "vhost/notifier.h"
#include "vhost/quiesce.h"
#include "vhost/ring.h"

/* The log area of a ring is never longer than this. */
#define LOG_AREA_MAX (1 << 20)

static const struct vhost_eventfd no_eventfd = {.fd = -1};

int handle_set_vring_num(struct vhost_device *dev, struct vhost_message *msg)
{
	const struct vhost_wire_vring_state *wire = &msg->payload.state;
	struct vhost_vring *ring;
	int error = vhost_ring_find(dev, wire->index, &ring);

	if (error)
		return error;
	if (wire->num == 0 || wire->num > VRING_SIZE_MAX)
		return vhost_complain(
		    dev, -EINVAL, "ring %u cannot have %u entries", wire->index, wire->num);
	if (dev->state.vring[wire->index].size != wire->num)
		vhost_ring_change(dev, wire->index);
	dev->state.vring[wire->index].size = wire->num;
	vhost_device_settle(dev);
	return 0;
}

/* This message also switches the dirty log of a running ring on and off. */
int handle_set_vring_addr(struct vhost_device *dev, struct vhost_message *msg)
{
	const struct vhost_wire_vring_addr *wire = &msg->payload.addr;
	struct vhost_vring_state *st;
	struct vhost_vring *ring;
	int error = vhost_ring_find(dev, wire->index, &ring);

	if (error)
		return error;
	if ((wire->flags & VHOST_WIRE_VRING_LOG) && wire->log > UINT64_MAX - LOG_AREA_MAX)
		return vhost_complain(dev, -EINVAL, "ring %u: its log address wraps", wire->index);
	st = &dev->state.vring[wire->index];
	if (st->desc != wire->desc || st->driver != wire->avail || st->device != wire->used)
		vhost_ring_change(dev, wire->index);
	st->addr_flags = wire->flags;
	st->desc = wire->desc;
	st->driver = wire->avail;
	st->device = wire->used;
	st->log = wire->log;
	st->have_addr = true;
	vhost_device_settle(dev);
	return 0;
}

int handle_set_vring_base(struct vhost_device *dev, struct vhost_message *msg)
{
	const struct vhost_wire_vring_state *wire = &msg->payload.state;
	struct vhost_vring_state *st;
	struct vhost_vring *ring;
	int error = vhost_ring_find(dev, wire->index, &ring);

	if (error)
		return error;
	vhost_ring_change(dev, wire->index);
	st = &dev->state.vring[wire->index];
	st->base = wire->num;
	vhost_ring_note(dev, wire->index, VRING_EVENT_BASE_TOLD, wire->num);
	st->base_pending = true;
	st->have_base = true;
	vhost_device_settle(dev);
	return 0;
}

int handle_get_vring_base(struct vhost_device *dev, struct vhost_message *msg)
{
	struct vhost_wire_vring_state *wire = &msg->payload.state;
	struct vhost_vring *ring;
	int error = vhost_ring_find(dev, wire->index, &ring);

	if (error)
		return error;
	vhost_ring_pause(dev, wire->index);
	dev->state.vring[wire->index].started = false;
	wire->num = vhost_ring_base(dev, wire->index);
	vhost_ring_note(dev, wire->index, VRING_EVENT_BASE_ASKED, wire->num);
	vhost_journal_stop(dev, wire->index);
	vhost_notifier_replace(dev, wire->index, VHOST_NOTIFIER_KICK, no_eventfd);
	vhost_notifier_replace(dev, wire->index, VHOST_NOTIFIER_CALL, no_eventfd);
	ring->kick_inband = false;
	vhost_doorbell_stop(dev, wire->index);
	vhost_device_settle(dev);
	return 0;
}

static int find_notified(struct vhost_device *dev, struct vhost_message *msg, unsigned *ret_index,
    struct vhost_vring **ring)
{
	*ret_index = msg->payload.u64 & VHOST_VRING_INDEX_MASK;
	return vhost_ring_find(dev, *ret_index, ring);
}

/* Kicks come as messages. The switch makes an eventfd, through which workers get the kicks. */
static void open_inband_kick(struct vhost_device *dev, unsigned index)
{
	struct vhost_vring *ring = dev->vring[index];

	/* syscalls: eventfd2 write */
	vhost_notifier_replace(dev, index, VHOST_NOTIFIER_KICK,
	    (struct vhost_eventfd){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)});
	ring->kick_inband = ring->kick_fd >= 0;
	if (!ring->kick_inband)
		vhost_complain(dev, 0, "ring %u is polled: %s", index, error_text(errno));
}

/* Make eventfds for calls and errors if the front-end passed none. No worker uses the ring now. */
static void open_inband_calls(struct vhost_device *dev, unsigned index)
{
	struct vhost_vring *ring = dev->vring[index];

	if (!vhost_inband(dev))
		return;
	if (ring->call_fd < 0)
		ring->call_fd = vhost_inband_open(dev, index, VHOST_INBAND_CALL);
	if (ring->err_fd < 0)
		ring->err_fd = vhost_inband_open(dev, index, VHOST_INBAND_ERR);
}

int handle_set_vring_kick(struct vhost_device *dev, struct vhost_message *msg)
{
	struct vhost_vring *ring;
	struct vhost_eventfd fresh;
	unsigned index;
	int error = find_notified(dev, msg, &index, &ring);

	if (!error)
		error = vhost_notifier_take(dev, msg, &fresh);
	if (error)
		return error;
	vhost_ring_change(dev, index);
	vhost_notifier_replace(dev, index, VHOST_NOTIFIER_KICK, fresh);
	ring->kick_inband = false;
	open_inband_calls(dev, index);
	ring->call_pending = true;
	dev->state.vring[index].started = true;
	vhost_device_settle(dev);
	return 0;
}

int handle_set_vring_call(struct vhost_device *dev, struct vhost_message *msg)
{
	struct vhost_vring *ring;
	struct vhost_eventfd fresh;
	unsigned index;
	int error = find_notified(dev, msg, &index, &ring);

	if (!error)
		error = vhost_notifier_take(dev, msg, &fresh);
	if (error)
		return error;
	if (fresh.fd < 0 && vhost_inband(dev))
		fresh.fd = vhost_inband_open(dev, index, VHOST_INBAND_CALL);
	vhost_notifier_replace(dev, index, VHOST_NOTIFIER_CALL, fresh);
	ring->call_pending = true;
	vhost_device_settle(dev);
	return 0;
}

/* No worker uses this eventfd, so no ring is paused. */
int handle_set_vring_err(struct vhost_device *dev, struct vhost_message *msg)
{
	struct vhost_vring *ring;
	struct vhost_eventfd fresh;
	unsigned index;
	int error = find_notified(dev, msg, &index, &ring);

	if (!error)
		error = vhost_notifier_take(dev, msg, &fresh);
	if (error)
		return error;
	if (fresh.fd < 0 && vhost_inband(dev))
		fresh.fd = vhost_inband_open(dev, index, VHOST_INBAND_ERR);
	vhost_notifier_replace(dev, index, VHOST_NOTIFIER_ERR, fresh);
	return 0;
}

int handle_set_vring_enable(struct vhost_device *dev, struct vhost_message *msg)
{
	const struct vhost_wire_vring_state *wire = &msg->payload.state;
	struct vhost_vring *ring;
	int error = vhost_ring_find(dev, wire->index, &ring);

	if (error)
		return error;
	if (wire->num > 1)
		return vhost_complain(
		    dev, -EINVAL, "ring %u: %u is neither 0 nor 1", wire->index, wire->num);
	dev->state.vring[wire->index].enabled = wire->num;
	vhost_device_settle(dev);
	return 0;
}

/*
 * The first kick starts the ring: a front-end that notifies in-band need not send SET_VRING_KICK or
 * SET_VRING_CALL.
 */
int handle_vring_kick(struct vhost_device *dev, struct vhost_message *msg)
{
	const struct vhost_wire_vring_state *wire = &msg->payload.state;
	struct vhost_vring_state *st;
	struct vhost_vring *ring;
	int error = vhost_ring_find(dev, wire->index, &ring);

	if (error)
		return error;
	st = &dev->state.vring[wire->index];
	if (st->started) {
		if (ring->kick_inband)
			eventfd_write(ring->kick_fd, 1);
		return 0;
	}
	vhost_ring_change(dev, wire->index);
	open_inband_kick(dev, wire->index);
	open_inband_calls(dev, wire->index);
	ring->call_pending = true;
	st->started = true;
	vhost_device_settle(dev);
	return 0;
}
