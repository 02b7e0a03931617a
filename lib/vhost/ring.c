/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * Front-ends tell the size, addresses, base, descriptors, features and memory of a ring in any
 * order. They also change these values while the ring runs. So handlers only store the values and
 * then call vhost_device_settle(). This function finds out for every ring whether the ring can run
 * with the values that are known now. The result is an *obstacle* or a complete vring_config. Only
 * changes are carried out. A ring that must be stopped or started anew is paused, and the other
 * rings go on. A message that changes nothing disturbs no worker.
 *
 * A ring runs ("active") while it is started (SET_VRING_KICK to GET_VRING_BASE), features, size and
 * addresses are known, and each of its areas lies wholly in one mapped region. A ring stops if its
 * memory is removed. When the memory comes back, the ring goes on at the same position.
 *
 * The order of the steps is fixed; test_settle.c checks it. For each ring that is to start:
 *
 *	pause		before anything changes that workers read of the ring
 *	position	check the position that was told, against the journal's record among others;
 *			so before the record is made this start's
 *	journal		make the record this start's
 *	in-flight area	may correct the position that was checked
 *	IOMMU		attach the ring
 *	vring_start	takes position, journal, in-flight tracking and IOMMU from the config
 *	look ahead	for untranslated buffers, in a started ring that no worker uses
 *
 * To stop a ring, it is only paused. Then, for the whole device:
 *
 *	dirty log	vring_start cleared what a ring logs; set it before workers write
 *	resume		workers use the rings
 *	announcement	goes out through the device, so its rings must run
 *	calls		that may have been lost; nothing depends on them
 *
 * Threads: control thread. A ring is started and stopped while no worker uses it (quiesce.h).
 */
#include "vhost/ring.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "vhost/call.h"
#include "vhost/descriptor.h"
#include "vhost/inflight.h"
#include "vhost/journal.h"
#include "vhost/iommu.h"
#include "vhost/log.h"
#include "vhost/notifier.h"
#include "vhost/position.h"
#include "vhost/quiesce.h"
#include "virtio/vring_inflight.h"

/* So many faults of a connection are logged as warnings. */
#define COMPLAINTS_MAX 32

/*
 * Why a ring does not run. With the first obstacles, up to TRANSLATION, the ring only waits for
 * another message.
 */
#define OBSTACLES(X) \
	X(NONE, "it can run") \
	X(STOPPED, "it is not started") \
	X(NO_FEATURES, "features are not set") \
	X(NO_SIZE, "its size is not set") \
	X(NO_ADDRESS, "its addresses are not set") \
	X(NO_MEMORY, "there is no guest memory") \
	X(TRANSLATION, "its addresses are not translated") \
	X(SIZE, "its size is not allowed in its format") \
	X(DESC, "its descriptors are not inside one region of guest memory") \
	X(DRIVER, "its driver area is not inside one region of guest memory") \
	X(DEVICE, "its device area is not inside one region of guest memory") \
	X(START, "its areas are misaligned or its base is outside the ring")

#define X(id, text) OBSTACLE_##id,
enum obstacle { OBSTACLES(X) };
#undef X

static const char *const obstacle_text[] = {
#define X(id, text) text,
    OBSTACLES(X)
#undef X
};

int vhost_complain(struct vhost_device *dev, int error, const char *fmt, ...)
{
	enum log_level level = dev->complaints < COMPLAINTS_MAX ? LOG_WARN : LOG_DEBUG;
	const char *handling = dev->handling;
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	vhost_tell(dev, level, "%s%s%s", handling ? handling : "", handling ? ": " : "", text);
	if (++dev->complaints == COMPLAINTS_MAX)
		vhost_tell(
		    dev, LOG_WARN, "too many faults, no more are logged until it reconnects");
	return error;
}

static struct vhost_vring *ring_create(void)
{
	struct vhost_vring *ring;
	size_t size = (sizeof(*ring) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;

	/* It has cache lines of its own, because workers write to it. */
	ring = aligned_alloc(CACHE_LINE, size);
	if (!ring)
		return NULL;
	memset(ring, 0, size);
	ring->kick_fd = ring->call_fd = ring->err_fd = -1;
	return ring;
}

void vhost_ring_note(
    struct vhost_device *dev, unsigned index, enum vring_event_kind kind, uint32_t value)
{
	vring_event(dev->events[index], kind, &dev->state.vring[index].position, value);
}

int vhost_ring_find(struct vhost_device *dev, uint64_t index, struct vhost_vring **ret_ring)
{
	if (index >= dev->type->n_rings)
		return vhost_complain(dev, -EINVAL, "there is no ring %llu, only 0 to %u",
		    (unsigned long long)index, dev->type->n_rings - 1);
	if (!dev->vring[index]) {
		dev->vring[index] = ring_create();
		if (!dev->vring[index])
			return vhost_complain(dev, -ENOMEM, "no memory for a ring");
		dev->n_vrings = MAX(dev->n_vrings, (unsigned)index + 1);
		if (dev->record_events && !dev->events[index])
			dev->events[index] = vring_events_create();
	}
	*ret_ring = dev->vring[index];
	return 0;
}

void vhost_ring_change(struct vhost_device *dev, unsigned index)
{
	vhost_ring_pause(dev, index);
	dev->vring[index]->dirty = true;
}

void vhost_rings_change(struct vhost_device *dev)
{
	vhost_device_pause(dev);
	for (unsigned i = 0; i < dev->n_vrings; i++) {
		if (dev->vring[i])
			dev->vring[i]->dirty = true;
	}
}

bool vhost_rings_started(const struct vhost_device *dev)
{
	for (unsigned i = 0; i < dev->n_vrings; i++) {
		if (dev->state.vring[i].started)
			return true;
	}
	return false;
}

bool vhost_device_active(const struct vhost_device *dev)
{
	for (unsigned i = 0; i < dev->n_vrings; i++) {
		if (dev->vring[i] && dev->vring[i]->active)
			return true;
	}
	return false;
}

static void ring_destroy(const struct vhost_device *dev, struct vhost_vring *ring)
{
	vhost_notifiers_close(dev, ring);
	vring_inflight_destroy(ring->inflight);
	free(ring);
}

void vhost_rings_forget(struct vhost_device *dev)
{
	for (unsigned i = 0; i < dev->n_vrings; i++) {
		if (!dev->vring[i])
			continue; /* never mentioned */
		vhost_ring_note(dev, i, VRING_EVENT_GONE, 0);
		ring_destroy(dev, dev->vring[i]);
		dev->vring[i] = NULL;
	}
	dev->n_vrings = 0;
}

static bool is_packed(const struct vhost_device *dev)
{
	return VIRTIO_HAS(dev->state.features, F_RING_PACKED);
}

/*
 * Decode the base of a ring. Packed: each half of the base is a slot number with a wrap counter.
 * The lower half is the avail position, the upper half the used position. Some front-ends do not
 * fill in the upper half. Both positions are equal after a stop, so only the lower half is read.
 * Split: the base is the avail index. Chains before it were used before the stop, or were lost in a
 * crash.
 */
static struct vring_position base_decode(uint32_t base, bool packed)
{
	uint16_t slot = packed ? base & 0x7fff : base & 0xffff;
	bool wrap = packed && (base & 0x8000);

	return (struct vring_position){
	    .avail = slot, .used = slot, .avail_wrap = wrap, .used_wrap = wrap};
}

static uint32_t base_encode(const struct vring_position *position, bool packed)
{
	uint32_t avail = position->avail, used = position->used;

	if (!packed)
		return avail;
	avail |= position->avail_wrap ? 0x8000u : 0;
	used |= position->used_wrap ? 0x8000u : 0;
	return avail | used << 16;
}

/* The position of the ring. If the ring has not run yet: the position at which it would start. */
static struct vring_position ring_position(const struct vhost_device *dev, unsigned index)
{
	const struct vhost_vring_state *st = &dev->state.vring[index];

	if (st->base_pending)
		return base_decode(st->base, is_packed(dev));
	return st->have_base ? st->position : vring_position_initial(is_packed(dev));
}

uint32_t vhost_ring_base(const struct vhost_device *dev, unsigned index)
{
	struct vring_position position = ring_position(dev, index);

	return base_encode(&position, is_packed(dev));
}

void vhost_rings_forget_positions(struct vhost_device *dev)
{
	for (unsigned i = 0; i < dev->type->n_rings; i++)
		dev->state.vring[i].have_base = dev->state.vring[i].base_pending;
}

/* Find the host addresses of the ring's areas. Returns an obstacle if one of them is not mapped. */
static enum obstacle ring_locate(
    struct vhost_device *dev, unsigned index, struct vring_config *ret_config)
{
	const struct vhost_vring_state *st = &dev->state.vring[index];
	bool packed = is_packed(dev), waits = false;
	struct vring_layout layout = vring_layout(st->size, packed);
	/* Only in a packed ring does the device write descriptors. */
	const unsigned perm[] = {
	    packed ? IOTLB_READ | IOTLB_WRITE : IOTLB_READ, IOTLB_READ, IOTLB_WRITE};
	const uint64_t address[] = {st->desc, st->driver, st->device};
	const uint32_t len[] = {layout.desc, layout.driver, layout.device};
	void *host[3];

	for (unsigned i = 0; i < ARRAY_SIZE(host); i++)
		host[i] = dev->iommu
		    ? vhost_iommu_area(dev, index, i, address[i], len[i], perm[i], &waits)
		    : guest_memory_from_uaddr(dev->memory, address[i], len[i]);
	if (waits)
		return OBSTACLE_TRANSLATION;
	ret_config->desc = host[0];
	ret_config->driver = host[1];
	ret_config->device = host[2];
	if (!host[0])
		return OBSTACLE_DESC;
	if (!host[1])
		return OBSTACLE_DRIVER;
	return host[2] ? OBSTACLE_NONE : OBSTACLE_DEVICE;
}

/*
 * Find the obstacle that keeps the ring from running. If there is none, *ret_config is filled in,
 * with which the ring can be started.
 */
static enum obstacle ring_examine(
    struct vhost_device *dev, unsigned index, struct vring_config *ret_config)
{
	struct vhost_vring_state *st = &dev->state.vring[index];

	if (!st->started)
		return OBSTACLE_STOPPED;
	if (!dev->state.have_features)
		return OBSTACLE_NO_FEATURES;
	if (st->size == 0)
		return OBSTACLE_NO_SIZE;
	if (!st->have_addr)
		return OBSTACLE_NO_ADDRESS;
	if (!dev->memory)
		return OBSTACLE_NO_MEMORY;
	if (st->size > VRING_SIZE_MAX || !vring_size_valid(st->size, is_packed(dev)))
		return OBSTACLE_SIZE;
	*ret_config = (struct vring_config){
	    .direction = dev->type->ring_direction(dev, index),
	    .features = dev->state.features,
	    .size = st->size,
	    .position = &st->position,
	    .memory = dev->memory,
	};
	return ring_locate(dev, index, ret_config);
}

/*
 * Start the ring at the position that the front-end told, or where it stopped. No worker uses it.
 */
static enum obstacle ring_start(
    struct vhost_device *dev, unsigned index, const struct vring_config *config)
{
	struct vhost_vring_state *st = &dev->state.vring[index];
	struct vhost_vring *ring = dev->vring[index];
	bool told = st->base_pending || !st->have_base;

	ring->config = *config;
	st->position = ring_position(dev, index);
	if (told)
		vhost_position_check(dev, index, &ring->config);
	if (is_packed(dev))
		ring->config.journal = vhost_journal_start(dev, index, st->desc, st->size);
	vhost_inflight_start(dev, index, &ring->config, told);
	st->have_base = true;
	st->base_pending = false;
	vhost_iommu_attach(dev, index, &ring->config);
	if (vring_start(&ring->ring, &ring->config) < 0)
		return OBSTACLE_START;
	vhost_iommu_ring_started(dev, index);
	ring->call_pending |= !ring->active;
	ring->active = true;
	ring->dirty = false;
	vhost_ring_note(dev, index, VRING_EVENT_START, st->size);
	return OBSTACLE_NONE;
}

static void ring_stop(struct vhost_device *dev, unsigned index, enum obstacle obstacle)
{
	vhost_ring_pause(dev, index);
	if (dev->vring[index]->active)
		vhost_ring_note(dev, index, VRING_EVENT_STOP, obstacle);
	dev->vring[index]->active = false;
}

static void ring_note_obstacle(struct vhost_device *dev, unsigned index, enum obstacle obstacle)
{
	struct vhost_vring *ring = dev->vring[index];

	if (ring->obstacle == obstacle)
		return;
	ring->obstacle = obstacle;
	if (obstacle > OBSTACLE_TRANSLATION)
		vhost_complain(dev, 0, "ring %u cannot run: %s", index, obstacle_text[obstacle]);
	else
		log_debug("%s: ring %u: %s", dev->name, index, obstacle_text[obstacle]);
}

/*
 * Do the ring's areas lie elsewhere now, or has its direction changed? This may happen although no
 * message named the ring: the IOMMU or the memory table may map its areas to other addresses.
 */
static bool ring_moved(const struct vhost_vring *ring, const struct vring_config *config)
{
	return ring->config.direction != config->direction || ring->config.desc != config->desc ||
	    ring->config.driver != config->driver || ring->config.device != config->device;
}

static void ring_settle(struct vhost_device *dev, unsigned index)
{
	struct vhost_vring *ring = dev->vring[index];
	bool enabled = dev->state.vring[index].enabled;
	struct vring_config config;
	enum obstacle obstacle = ring_examine(dev, index, &config);

	if (obstacle == OBSTACLE_NONE &&
	    (!ring->active || ring->dirty || ring_moved(ring, &config))) {
		vhost_ring_pause(dev, index);
		vhost_ring_prepare(dev);
		obstacle = ring_start(dev, index, &config);
	}
	if (obstacle != OBSTACLE_NONE)
		ring_stop(dev, index, obstacle);
	ring_note_obstacle(dev, index, obstacle);
	if (ring->enabled != enabled) {
		vhost_ring_tell(dev, index);
		ring->enabled = enabled;
		vhost_ring_note(dev, index, VRING_EVENT_ENABLE, enabled);
	}
}

/*
 * Call the driver once. Calls may have been lost before the ring was active, or when its call
 * eventfd was replaced.
 */
static void ring_call_again(struct vhost_device *dev, unsigned index)
{
	struct vhost_vring *ring = dev->vring[index];

	if (!ring->active || !ring->call_pending || ring->call_fd < 0)
		return;
	ring->call_pending = vhost_call(dev, index, VHOST_CALL_USED, ring->call_fd) < 0;
}

/* "NET_F_MRG_RXBUF" -> "mrg_rxbuf" */
static void append_feature(char *text, size_t size, const char *name)
{
	size_t n = strlen(text);

	name = strstr(name, "F_") + 2;
	if (n + strlen(name) + 2 > size)
		return;
	text[n++] = ' ';
	while (*name)
		text[n++] = tolower((unsigned char)*name++);
	text[n] = '\0';
}

/* Is it a feature of every device, or of this type? */
static bool feature_known(const struct vhost_device *dev, const char *name)
{
	const char *own = dev->type->feature_prefix;

	return strncmp(name, "F_", 2) == 0 || strncmp(name, "VHOST_", 6) == 0 ||
	    (own && strncmp(name, own, strlen(own)) == 0);
}

static void tell_start(struct vhost_device *dev)
{
	char text[640] = "";

#define X(name, bit) \
	if (VIRTIO_HAS(dev->state.features, name) && feature_known(dev, #name)) \
		append_feature(text, sizeof(text), #name);
	VIRTIO_FEATURES(X)
#undef X
	for (unsigned i = 0; i < dev->n_vrings; i++) {
		if (!dev->vring[i] || !dev->vring[i]->active)
			continue;
		vhost_tell(dev, LOG_INFO, "running with %s rings of %u, features%s",
		    is_packed(dev) ? "packed" : "split", dev->state.vring[i].size,
		    text[0] ? text : " none");
		return;
	}
}

static void send_announcement(struct vhost_device *dev)
{
	struct vhost_device_state *st = &dev->state;
	int error;

	if (!st->announce_pending || !vhost_device_active(dev))
		return;
	error = dev->type->announce(dev, st->announce_mac);
	st->announce_pending = error == -ENETDOWN || error == -EAGAIN;
}

void vhost_device_settle(struct vhost_device *dev)
{
	bool was_active = vhost_device_active(dev);

	for (unsigned i = 0; i < dev->n_vrings; i++) {
		if (dev->vring[i])
			ring_settle(dev, i);
	}
	vhost_log_settle(dev);
	if (!was_active && vhost_device_active(dev))
		tell_start(dev);
	vhost_device_resume(dev);
	send_announcement(dev);
	for (unsigned i = 0; i < dev->n_vrings; i++) {
		if (dev->vring[i])
			ring_call_again(dev, i);
	}
}
