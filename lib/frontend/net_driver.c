/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a network driver: its memory, its rings, its messages to the back-end. */
#include "frontend/net_driver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/util.h"
#include "virtio/vring.h"

#define PAGE          4096u
#define ROUND_PAGE(x) (((uint64_t)(x) + PAGE - 1) & ~(uint64_t)(PAGE - 1))
/* Behind an IOMMU the real addresses are far from the driver's addresses. */
#define IOMMU_SHIFT (UINT64_C(1) << 40)
#define HUGE_PAGE   (UINT64_C(2) << 20)

#define PROTOCOL_FEATURES \
	(VHOST_PROTOCOL_BIT(MQ) | VHOST_PROTOCOL_BIT(REPLY_ACK) | \
	    VHOST_PROTOCOL_BIT(CONFIGURE_MEM_SLOTS) | VHOST_PROTOCOL_BIT(STATUS) | \
	    VHOST_PROTOCOL_BIT(LOG_SHMFD) | VHOST_PROTOCOL_BIT(RARP) | \
	    VHOST_PROTOCOL_BIT(DEVICE_STATE))

/* Bytes for the ring of one queue in either format. */
static uint64_t ring_room(uint16_t size)
{
	struct vring_layout split = vring_layout(size, false), packed = vring_layout(size, true);

	return ROUND_PAGE(MAX(split.desc, packed.desc)) +
	    ROUND_PAGE(MAX(split.driver, packed.driver)) +
	    ROUND_PAGE(MAX(split.device, packed.device));
}

static int make_memory(struct net_driver *nd)
{
	uint64_t page = nd->config.huge ? HUGE_PAGE : PAGE;
	uint64_t rings = nd->n_queues * ring_room(nd->config.ring_size);
	uint64_t buffers = (uint64_t)nd->n_queues * nd->config.ring_size * NET_SLOT_BYTES;

	rings = (rings + page - 1) & ~(page - 1);
	buffers = (buffers + page - 1) & ~(page - 1);
	nd->rings_region =
	    frontend_region_create(&nd->fe, NET_RINGS_GPA, rings, 0, nd->config.huge);
	if (nd->rings_region < 0)
		return nd->rings_region;
	nd->buffers_region =
	    frontend_region_create(&nd->fe, NET_BUFFERS_GPA, buffers, 0, nd->config.huge);
	return MIN(nd->buffers_region, 0);
}

static int make_queues(struct net_driver *nd)
{
	for (unsigned i = 0; i < nd->n_queues; i++) {
		struct net_queue *q = &nd->queue[i];

		q->index = i;
		q->frame = malloc(NET_FRAME_MAX + VIRTIO_NET_HDR_LEN);
		q->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		q->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (!q->frame || q->kick_fd < 0 || q->call_fd < 0)
			return -ENOMEM;
	}
	return 0;
}

int net_driver_create(const struct net_config *config, struct net_driver **ret_driver)
{
	struct net_driver *nd;
	int err;

	if (config->n_pairs == 0 || config->n_pairs > NET_PAIRS_MAX ||
	    !vring_size_valid(config->ring_size, true))
		return -EINVAL;
	nd = calloc(1, sizeof(*nd));
	if (!nd)
		return -ENOMEM;
	frontend_init(&nd->fe);
	nd->config = *config;
	nd->fe.iommu_shift = config->iommu ? IOMMU_SHIFT : 0;
	nd->n_queues = 2 * config->n_pairs;
	for (unsigned i = 0; i < nd->n_queues; i++)
		nd->queue[i].kick_fd = nd->queue[i].call_fd = -1;
	err = make_memory(nd);
	if (!err)
		err = make_queues(nd);
	if (err) {
		net_driver_destroy(nd);
		return err;
	}
	*ret_driver = nd;
	return 0;
}

void net_driver_destroy(struct net_driver *nd)
{
	if (!nd)
		return;
	for (unsigned i = 0; i < nd->n_queues; i++) {
		struct net_queue *q = &nd->queue[i];

		if (q->ready)
			driver_ring_cleanup(&q->ring);
		if (q->kick_fd >= 0)
			close(q->kick_fd);
		if (q->call_fd >= 0)
			close(q->call_fd);
		free(q->slot);
		free(q->frame);
	}
	frontend_cleanup(&nd->fe);
	free(nd);
}

static int reset_ring(struct net_driver *nd, struct net_queue *q)
{
	bool packed = VIRTIO_HAS(nd->fe.features, F_RING_PACKED);
	uint16_t size = nd->config.ring_size;
	struct vring_layout layout = vring_layout(size, packed);
	uint64_t room = ring_room(size);
	uint8_t *host;
	int err;

	q->desc = nd->fe.region[nd->rings_region].gpa + q->index * room;
	q->driver = q->desc + ROUND_PAGE(layout.desc);
	q->device = q->driver + ROUND_PAGE(layout.driver);
	host = frontend_memory(&nd->fe, q->desc, room);
	memset(host, 0, room);
	if (q->ready)
		driver_ring_cleanup(&q->ring);
	err = driver_ring_init(&q->ring, nd->fe.features, size, host, host + (q->driver - q->desc),
	    host + (q->device - q->desc));
	q->ready = !err;
	if (err)
		return err;
	q->buffers_left = 0;
	q->frame_len = 0;
	q->base = packed ? 0x80008000 : 0;
	driver_ring_call_disable(&q->ring);
	return net_slots_create(nd, q);
}

int net_driver_reset_rings(struct net_driver *nd)
{
	unsigned n_filled = nd->config.n_filled ? nd->config.n_filled : nd->config.n_pairs;

	for (unsigned i = 0; i < nd->n_queues; i++) {
		int err = reset_ring(nd, &nd->queue[i]);

		if (!err && i % 2 == 0 && i / 2 < n_filled)
			err = net_refill(nd, i / 2);
		if (err < 0)
			return err;
	}
	return 0;
}

/* The address of a ring's area in messages. */
static uint64_t area_address(const struct net_driver *nd, uint64_t gpa)
{
	return nd->config.iommu ? gpa : frontend_uaddr(&nd->fe, gpa);
}

void net_serve(struct net_driver *nd)
{
	if (nd->config.iommu)
		frontend_iommu_serve(&nd->fe);
}

int net_driver_start_ring(struct net_driver *nd, unsigned index, uint32_t base)
{
	struct frontend *fe = &nd->fe;
	struct net_queue *q = &nd->queue[index];
	int err = frontend_set_vring_num(fe, index, nd->config.ring_size);

	if (!err)
		err = frontend_set_vring_base(fe, index, base);
	if (!err)
		err = frontend_set_vring_addr(fe, index, area_address(nd, q->desc),
		    area_address(nd, q->driver), area_address(nd, q->device));
	if (!err)
		err = frontend_set_vring_fd(fe, VHOST_USER_SET_VRING_CALL, index, q->call_fd);
	if (!err)
		err = frontend_set_vring_fd(fe, VHOST_USER_SET_VRING_KICK, index, q->kick_fd);
	return err;
}

int net_driver_reset_ring(struct net_driver *nd, unsigned index)
{
	struct net_queue *q = &nd->queue[index];
	uint32_t base;
	int err = frontend_get_vring_base(&nd->fe, index, &base);

	if (!err)
		err = reset_ring(nd, q);
	if (!err && index % 2 == 0)
		err = net_refill(nd, index / 2);
	if (err >= 0)
		err = net_driver_start_ring(nd, index, q->base);
	return err ? err : frontend_sync(&nd->fe);
}

int net_driver_enable(struct net_driver *nd, unsigned pair, bool enable)
{
	int err = frontend_set_vring_enable(&nd->fe, 2 * pair, enable);

	return err ? err : frontend_set_vring_enable(&nd->fe, 2 * pair + 1, enable);
}

int net_driver_resume(struct net_driver *nd)
{
	int err = 0;

	for (unsigned i = 0; !err && i < nd->n_queues; i++)
		err = net_driver_start_ring(nd, i, nd->queue[i].base);
	if (!VIRTIO_HAS(nd->fe.features, VHOST_USER_F_PROTOCOL_FEATURES))
		return err; /* rings start enabled */
	for (unsigned i = 0; !err && i < nd->config.n_pairs; i++)
		err = net_driver_enable(nd, i, true);
	return err ? err : frontend_sync(&nd->fe);
}

int net_driver_start(struct net_driver *nd)
{
	uint64_t protocol = PROTOCOL_FEATURES | nd->config.protocol_features;
	uint64_t features = nd->config.features;
	int err;

	if (nd->config.iommu)
		protocol |= VHOST_PROTOCOL_BIT(BACKEND_REQ);

	if (!nd->config.no_protocol_features)
		features |= VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	err = frontend_negotiate(&nd->fe, features, protocol);
	if (!err && (nd->fe.protocol_features & VHOST_PROTOCOL_BIT(BACKEND_REQ)))
		err = frontend_open_channel(&nd->fe);
	nd->hdr_len = virtio_net_hdr_len(nd->fe.features);
	if (!err)
		err = frontend_set_mem_table(&nd->fe);
	if (!err)
		err = net_driver_reset_rings(nd);
	return err ? err : net_driver_resume(nd);
}

int net_driver_connect(struct net_driver *nd, const char *path)
{
	int err = frontend_connect(&nd->fe, path);

	return err ? err : net_driver_start(nd);
}

int net_driver_stop(struct net_driver *nd)
{
	int err = 0;

	for (unsigned i = 0; !err && i < nd->n_queues; i++)
		err = frontend_get_vring_base(&nd->fe, i, &nd->queue[i].base);
	return err;
}
