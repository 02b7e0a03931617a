/* SPDX-License-Identifier: BSD-3-Clause */
/* Front-ends that connect and disconnect, and what they can make the switch keep for them. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"
#include "guest.h"

#define PAIRS 128
#define MIB   (UINT64_C(1) << 20)
#define TIB   (UINT64_C(1) << 40)

static const uint8_t hostile[6] = {2, 0, 0, 9, 0, 1};

static void storm(struct peer_world *w, const void *bytes, size_t size)
{
	struct frontend fe;

	frontend_init(&fe);
	peer_attacks(w);
	for (;;) {
		if (frontend_connect(&fe, w->path[PORT_HOSTILE]) == 0 && size)
			frontend_send_bytes(&fe, bytes, size);
		frontend_disconnect(&fe);
		peer_step(w);
	}
}

void peer_connect_storm(struct peer_world *w)
{
	storm(w, NULL, 0);
}

void peer_full_stderr(struct peer_world *w)
{
	storm(w, NULL, 0);
}

void peer_garbage_storm(struct peer_world *w)
{
	static const uint8_t garbage[200] = {1, 0, 0, 0, 2, 3, 4, 5};

	storm(w, garbage, sizeof(garbage));
}

static void attach(struct peer_world *w, unsigned n_pairs)
{
	struct guest_config c = {
	    .n_pairs = n_pairs, .size = 256, .data = MIB, .features = GUEST_FEATURES};
	struct guest *g = guest_create(w, &c);

	guest_fill(g, 1, GUEST_DATA_GPA, guest_frame(g, 0, hostile, hostile, 60), 0);
	g->path = w->path[PORT_HOSTILE];
	peer_attacks(w);
	for (;;) {
		if (guest_again(g) == 0)
			guest_offer_all(g, 1);
		peer_step(w);
	}
}

void peer_attach_storm(struct peer_world *w)
{
	attach(w, 1);
}

void peer_attach_128(struct peer_world *w)
{
	attach(w, PAIRS);
}

void peer_half_messages(struct peer_world *w)
{
	struct vhost_header header = {
	    .request = VHOST_USER_SET_MEM_TABLE, .flags = VHOST_VERSION, .size = 264};
	struct frontend fe;

	frontend_init(&fe);
	peer_attacks(w);
	for (unsigned i = 0;; i++) {
		if (fe.fd < 0)
			frontend_connect(&fe, w->path[PORT_HOSTILE]);
		if (frontend_send_bytes(&fe, (char *)&header + i % 12, 1) < 0)
			frontend_disconnect(&fe);
		peer_step(w);
	}
}

void peer_waiting_line(struct peer_world *w)
{
	static struct frontend line[200];

	for (unsigned i = 0; i < ARRAY_SIZE(line); i++) {
		frontend_init(&line[i]);
		line[i].timeout_ms = 1;
		frontend_connect(&line[i], w->path[PORT_HOSTILE]);
	}
	peer_attacks(w);
	for (unsigned i = 0;; i = (i + 1) % ARRAY_SIZE(line)) {
		frontend_disconnect(&line[i]);
		frontend_connect(&line[i], w->path[PORT_HOSTILE]);
		peer_step(w);
	}
}

/* Add regions of 8 TiB, then smaller ones, as many as the switch accepts. */
void peer_address_space(struct peer_world *w)
{
	static struct frontend fe[2];
	int fd = memfd_create("sparse", MFD_CLOEXEC);

	peer_must(w, fd < 0 || ftruncate(fd, 64 * TIB) < 0 ? -errno : 0, "a sparse file");
	for (unsigned port = 0; port < 2; port++) {
		frontend_init(&fe[port]);
		peer_must(
		    w, frontend_connect(&fe[port], w->path[PORT_HOSTILE + port]), "connecting");
		peer_must(w,
		    frontend_negotiate(&fe[port],
			GUEST_FEATURES | VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES),
			VHOST_PROTOCOL_BIT(CONFIGURE_MEM_SLOTS) | VHOST_PROTOCOL_BIT(REPLY_ACK)),
		    "negotiating");
	}
	for (uint64_t size = 8 * TIB; size >= MIB; size /= 4) {
		for (unsigned i = 0; i < 20; i++) {
			struct vhost_wire_mem_region m = {
			    .region = {
				.gpa = size + i * size, .size = size, .uaddr = size + i * size}};

			for (unsigned port = 0; port < 2; port++)
				if (frontend_call(&fe[port], VHOST_USER_ADD_MEM_REG, &m, sizeof(m),
					&fd, 1) == 0)
					peer_step(w);
		}
		peer_attacks(w);
	}
	for (;;) {
		struct vhost_wire_mem_region m = {
		    .region = {.gpa = 0, .size = 4096 * MIB, .uaddr = 4096 * MIB}};

		frontend_call(&fe[0], VHOST_USER_ADD_MEM_REG, &m, sizeof(m), &fd, 1);
		usleep(1000);
		peer_step(w);
	}
}

static struct guest *tracked_guest(struct peer_world *w, unsigned n_pairs, uint16_t size)
{
	struct guest_config c = {.n_pairs = n_pairs,
	    .size = size,
	    .data = MIB,
	    .features = GUEST_FEATURES,
	    .protocol = VHOST_PROTOCOL_BIT(INFLIGHT_SHMFD)};
	struct guest *g = guest_create(w, &c);

	guest_fill(g, 1, GUEST_DATA_GPA, guest_frame(g, 0, hostile, hostile, 60), 0);
	peer_must(w, guest_negotiate(g, w->path[PORT_HOSTILE]), "connecting");
	return g;
}

/* Ask the switch for an in-flight area, and pass it back. 0 or -errno. */
static int track(struct guest *g, uint16_t n_queues, uint16_t queue_size)
{
	struct vhost_wire_inflight wire = {.n_queues = n_queues, .queue_size = queue_size};
	int fd = -1;
	int err = frontend_send(
	    &g->fe, VHOST_USER_GET_INFLIGHT_FD, VHOST_VERSION, &wire, sizeof(wire), NULL, 0);

	if (!err)
		err = frontend_receive_reply(
		    &g->fe, VHOST_USER_GET_INFLIGHT_FD, &wire, sizeof(wire), &fd);
	if (err >= 0 && fd >= 0)
		err = frontend_send(
		    &g->fe, VHOST_USER_SET_INFLIGHT_FD, VHOST_VERSION, &wire, sizeof(wire), &fd, 1);
	if (fd >= 0)
		close(fd);
	return err < 0 ? err : 0;
}

void peer_inflight_area(struct peer_world *w)
{
	struct guest *g = tracked_guest(w, PAIRS, 256);

	track(g, 256, 32768);
	guest_start(g);
	peer_attacks(w);
	for (;;) {
		if (frontend_sync(&g->fe) == -ECONNRESET)
			guest_again(g);
		guest_offer_all(g, 1);
		peer_nap(w);
	}
}

void peer_inflight_churn(struct peer_world *w)
{
	struct guest *g = tracked_guest(w, 1, 256);

	guest_start(g);
	peer_attacks(w);
	for (;;) {
		if (track(g, 256, 32768) == -ECONNRESET) {
			usleep(1000);
			guest_again(g);
		}
		peer_step(w);
	}
}

void peer_descriptors(struct peer_world *w)
{
	static struct guest *g[2];

	for (unsigned port = 0; port < 2; port++) {
		struct guest_config c = {
		    .n_pairs = PAIRS, .size = 256, .data = MIB, .features = GUEST_FEATURES};

		g[port] = guest_create(w, &c);
		peer_must(w, guest_connect(g[port], w->path[PORT_HOSTILE + port]), "connecting");
		for (unsigned ring = 0; ring < 2 * PAIRS; ring++)
			frontend_set_vring_fd(&g[port]->fe, VHOST_USER_SET_VRING_ERR, ring,
			    g[port]->ring[ring].call_fd);
	}
	peer_attacks(w);
	for (unsigned i = 0;; i++) {
		struct guest *one = g[i % 2];
		unsigned ring = i / 2 % (2 * PAIRS);

		if (frontend_set_vring_fd(&one->fe, VHOST_USER_SET_VRING_ERR, ring,
			one->ring[ring].kick_fd) == -ECONNRESET)
			guest_again(one);
		peer_step(w);
	}
}

void peer_big_rings(struct peer_world *w)
{
	struct guest_config c = {
	    .n_pairs = PAIRS, .size = 32768, .data = MIB, .features = GUEST_FEATURES};
	struct guest *g = guest_create(w, &c);

	guest_fill(g, 1, GUEST_DATA_GPA, guest_frame(g, 0, hostile, hostile, 60), 0);
	peer_must(w, guest_connect(g, w->path[PORT_HOSTILE]), "connecting");
	peer_attacks(w);
	for (;;) {
		guest_offer_all(g, 1);
		peer_nap(w);
	}
}
