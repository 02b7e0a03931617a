/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rings are next to each other in one region, each with its three areas on pages of their own;
 * buffers and tables are in another region. Without REPLY_ACK no message waits for an answer, so a
 * peer sends as fast as the switch reads.
 */
#include "guest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../functional/packet.h"
#include "base/util.h"

#define PAGE          4096u
#define ROUND_PAGE(x) (((uint64_t)(x) + PAGE - 1) & ~(uint64_t)(PAGE - 1))
#define RINGS_GPA     UINT64_C(0x100000)
#define IOMMU_SHIFT   (UINT64_C(1) << 40)

struct areas {
	uint64_t avail, used, room;
};

static struct areas areas_of(uint16_t size)
{
	struct areas a;

	a.avail = ROUND_PAGE(size * sizeof(struct vring_split_desc));
	a.used = a.avail + ROUND_PAGE(6 + 2 * size);
	a.room = a.used + ROUND_PAGE(6 + 8 * size);
	return a;
}

static int make_memory(struct guest *g)
{
	struct areas a = areas_of(g->config.size);

	g->rings_region =
	    frontend_region_create(&g->fe, RINGS_GPA, 2 * g->config.n_pairs * a.room, 0, false);
	if (g->rings_region < 0)
		return g->rings_region;
	if (!g->config.data)
		return 0;
	g->data_region =
	    frontend_region_create(&g->fe, GUEST_DATA_GPA, ROUND_PAGE(g->config.data), 0, false);
	if (g->data_region < 0)
		return g->data_region;
	g->data = g->fe.region[g->data_region].host;
	return 0;
}

static int make_rings(struct guest *g)
{
	struct areas a = areas_of(g->config.size);
	uint8_t *host = g->fe.region[g->rings_region].host;

	for (unsigned i = 0; i < 2 * g->config.n_pairs; i++) {
		struct guest_ring *r = &g->ring[i];

		r->gpa = RINGS_GPA + i * a.room;
		r->desc = (void *)(host + i * a.room);
		r->avail = (void *)(host + i * a.room + a.avail);
		r->used = (void *)(host + i * a.room + a.used);
		r->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		r->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (r->kick_fd < 0 || r->call_fd < 0)
			return -errno;
		r->avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	}
	return 0;
}

struct guest *guest_create(struct peer_world *w, const struct guest_config *config)
{
	struct guest *g = calloc(1, sizeof(*g));

	if (!g)
		peer_fail(w, "no memory", 0);
	frontend_init(&g->fe);
	g->config = *config;
	g->fe.iommu_shift = config->iommu ? IOMMU_SHIFT : 0;
	peer_must(w, make_memory(g), "guest memory");
	peer_must(w, make_rings(g), "eventfds");
	return g;
}

int guest_negotiate(struct guest *g, const char *path)
{
	uint64_t features = g->config.features | VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	int err;

	g->path = path;
	err = frontend_connect(&g->fe, path);
	if (!err)
		err = frontend_negotiate(
		    &g->fe, features, g->config.protocol | VHOST_PROTOCOL_BIT(MQ));
	if (!err && (g->fe.protocol_features & VHOST_PROTOCOL_BIT(BACKEND_REQ)))
		err = frontend_open_channel(&g->fe);
	return err;
}

int guest_start_ring(struct guest *g, unsigned index)
{
	struct guest_ring *r = &g->ring[index];
	struct areas a = areas_of(g->config.size);
	uint64_t at = g->config.iommu ? r->gpa : frontend_uaddr(&g->fe, r->gpa);
	int err = frontend_set_vring_num(&g->fe, index, g->config.size);

	if (!err)
		err = frontend_set_vring_base(&g->fe, index, READ_ONCE(r->used->idx));
	if (!err)
		err = frontend_set_vring_addr(&g->fe, index, at, at + a.avail, at + a.used);
	if (!err)
		err = frontend_set_vring_fd(&g->fe, VHOST_USER_SET_VRING_CALL, index, r->call_fd);
	if (!err)
		err = frontend_set_vring_fd(&g->fe, VHOST_USER_SET_VRING_KICK, index, r->kick_fd);
	return err ? err : frontend_set_vring_enable(&g->fe, index, true);
}

int guest_start(struct guest *g)
{
	int err = frontend_set_mem_table(&g->fe);

	for (unsigned i = 0; !err && i < 2 * g->config.n_pairs; i++)
		err = guest_start_ring(g, i);
	return err ? err : frontend_sync(&g->fe);
}

int guest_connect(struct guest *g, const char *path)
{
	int err = guest_negotiate(g, path);

	return err ? err : guest_start(g);
}

int guest_again(struct guest *g)
{
	frontend_disconnect(&g->fe);
	return guest_connect(g, g->path);
}

void guest_desc(struct guest *g, unsigned ring, unsigned i, uint64_t gpa, uint32_t len,
    uint16_t flags, uint16_t next)
{
	g->ring[ring].desc[i] =
	    (struct vring_split_desc){.addr = gpa, .len = len, .flags = flags, .next = next};
}

void guest_chain_heads(struct guest *g, unsigned ring, unsigned n, unsigned step)
{
	for (unsigned i = 0; i < g->config.size; i++)
		g->ring[ring].avail->ring[i] = i % n * step;
}

void guest_fill(struct guest *g, unsigned direction, uint64_t gpa, uint32_t len, uint16_t flags)
{
	for (unsigned ring = direction; ring < 2 * g->config.n_pairs; ring += 2) {
		for (unsigned i = 0; i < g->config.size; i++)
			guest_desc(g, ring, i, gpa, len, flags, 0);
		guest_chain_heads(g, ring, g->config.size, 1);
	}
}

void guest_kick(struct guest *g, unsigned ring)
{
	const uint64_t one = 1;

	if (READ_ONCE(g->ring[ring].used->flags) & VRING_USED_F_NO_NOTIFY)
		return;
	if (write(g->ring[ring].kick_fd, &one, sizeof(one)) < 0)
		return; /* an earlier kick has not been read */
}

void guest_offer(struct guest *g, unsigned ring)
{
	struct guest_ring *r = &g->ring[ring];
	uint16_t idx = READ_ONCE(r->used->idx) + g->config.size;

	if (READ_ONCE(r->avail->idx) == idx)
		return;
	__atomic_store_n(&r->avail->idx, idx, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	guest_kick(g, ring);
}

void guest_offer_all(struct guest *g, unsigned direction)
{
	for (unsigned ring = direction; ring < 2 * g->config.n_pairs; ring += 2)
		guest_offer(g, ring);
}

uint32_t guest_frame(
    struct guest *g, uint64_t offset, const uint8_t dst[6], const uint8_t src[6], uint32_t len)
{
	uint8_t *at = g->data + offset;

	memset(at, 0, VIRTIO_NET_HDR_LEN + len);
	at += VIRTIO_NET_HDR_LEN;
	memcpy(at, dst, 6);
	memcpy(at + 6, src, 6);
	at[12] = 0x88;
	at[13] = 0xb6;
	return VIRTIO_NET_HDR_LEN + len;
}

uint32_t guest_tcp(struct guest *g, uint64_t offset, const uint8_t dst[6], const uint8_t src[6],
    uint32_t payload, uint16_t gso_size)
{
	struct packet p = {
	    .tcp = true,
	    .payload = payload,
	    .gso_type = gso_size ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_NONE,
	    .gso_size = gso_size,
	};
	uint8_t *at = g->data + offset;
	uint64_t random = 1;
	uint32_t len = packet_build(&p, dst, src, &random, at + VIRTIO_NET_HDR_LEN, (void *)at);

	return VIRTIO_NET_HDR_LEN + len;
}
