/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * These peers send messages as fast as the switch reads them. Most of these peers also have frames
 * in their rings, so that the messages change rings that are in use.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"
#include "guest.h"

#define MIB (UINT64_C(1) << 20)

static const uint8_t hostile[6] = {2, 0, 0, 9, 0, 1};

static struct guest *busy_guest(struct peer_world *w, unsigned n_pairs, uint64_t protocol)
{
	struct guest_config c = {
	    .n_pairs = n_pairs,
	    .size = 256,
	    .data = 2 * MIB,
	    .features = GUEST_FEATURES | VIRTIO_BIT(VHOST_F_LOG_ALL),
	    .protocol = protocol,
	};
	struct guest *g = guest_create(w, &c);

	guest_fill(g, 1, GUEST_DATA_GPA, guest_frame(g, 0, hostile, hostile, 60), 0);
	guest_fill(g, 0, GUEST_DATA_GPA + MIB, 2048, VRING_DESC_F_WRITE);
	c.features &= ~VIRTIO_BIT(VHOST_F_LOG_ALL);
	g->config.features = c.features;
	peer_must(w, guest_connect(g, w->path[PORT_HOSTILE]), "connecting");
	return g;
}

/*
 * Call this after each message: it counts a step, offers frames sometimes, and connects again if
 * the switch hung up.
 */
static void after(struct peer_world *w, struct guest *g, int err)
{
	if (err == -ECONNRESET) {
		usleep(1000);
		guest_again(g);
	}
	peer_step(w);
	if (w->state->steps % 64 == 0)
		guest_offer_all(g, 1);
}

void peer_enable_toggle(struct peer_world *w)
{
	struct guest *g = busy_guest(w, 1, 0);

	peer_attacks(w);
	for (unsigned i = 0;; i++)
		after(w, g, frontend_set_vring_enable(&g->fe, 0, i % 2));
}

void peer_call_swap(struct peer_world *w)
{
	struct guest *g = busy_guest(w, 1, 0);
	int fd[2] = {g->ring[0].call_fd, g->ring[1].call_fd};

	peer_attacks(w);
	for (unsigned i = 0;; i++)
		after(w, g, frontend_set_vring_fd(&g->fe, VHOST_USER_SET_VRING_CALL, 0, fd[i % 2]));
}

void peer_ring_restart(struct peer_world *w)
{
	struct guest *g = busy_guest(w, 8, 0);

	peer_attacks(w);
	for (unsigned i = 0;; i++) {
		unsigned ring = i % 16;
		uint32_t base;
		int err = frontend_get_vring_base(&g->fe, ring, &base);

		if (!err)
			err = frontend_set_vring_fd(
			    &g->fe, VHOST_USER_SET_VRING_KICK, ring, g->ring[ring].kick_fd);
		after(w, g, err);
	}
}

/* Create n memory regions of this size, each in a file of its own. */
static void add_regions(struct peer_world *w, struct guest *g, unsigned n, uint64_t size)
{
	for (unsigned i = 0; i < n; i++)
		if (frontend_region_create(&g->fe, (UINT64_C(1) << 40) + i * size, size, 0, false) <
		    0)
			peer_fail(w, "memory regions", -errno);
}

void peer_memory_toggle(struct peer_world *w)
{
	struct guest *g = busy_guest(w, 8, 0);

	add_regions(w, g, 6, 64 * MIB);
	peer_attacks(w);
	for (unsigned i = 0;; i++) {
		struct frontend_region *last = &g->fe.region[7];
		uint64_t size = 64 * MIB;

		last->size = i % 2 ? size : 0;
		after(w, g, frontend_set_mem_table(&g->fe));
	}
}

/* Add n regions of this size and remove them, all the time. */
static void toggle_slots(struct peer_world *w, struct guest *g, unsigned n, uint64_t size)
{
	add_regions(w, g, n, size);
	peer_attacks(w);
	for (;;) {
		for (unsigned i = 2; i < 2 + n; i++)
			after(w, g, frontend_add_mem_reg(&g->fe, i));
		for (unsigned i = 2 + n; i-- > 2;)
			after(w, g, frontend_rem_mem_reg(&g->fe, i));
	}
}

void peer_memory_slots(struct peer_world *w)
{
	struct guest *g = busy_guest(w, 8, VHOST_PROTOCOL_BIT(CONFIGURE_MEM_SLOTS));

	toggle_slots(w, g, 200, 2 * MIB);
}

/* No page of the regions is in use. */
void peer_sparse_slots(struct peer_world *w)
{
	struct guest *g = busy_guest(w, 1, VHOST_PROTOCOL_BIT(CONFIGURE_MEM_SLOTS));

	toggle_slots(w, g, 16, 64 * 1024 * MIB);
}

void peer_feature_toggle(struct peer_world *w)
{
	struct guest *g = busy_guest(w, 8, 0);
	uint64_t features = g->fe.features;

	peer_attacks(w);
	for (unsigned i = 0;; i++)
		after(w, g,
		    frontend_set_u64(&g->fe, VHOST_USER_SET_FEATURES,
			i % 2 ? features : features | VIRTIO_BIT(VHOST_F_LOG_ALL)));
}

void peer_log_toggle(struct peer_world *w)
{
	struct guest *g = busy_guest(w, 8, VHOST_PROTOCOL_BIT(LOG_SHMFD));
	int fd = memfd_create("log", MFD_CLOEXEC);

	peer_must(w, ftruncate(fd, 64 * MIB), "a log");
	peer_attacks(w);
	for (unsigned i = 0;; i++)
		after(w, g, frontend_set_log_base(&g->fe, (1 + i % 64) * MIB, 0, fd));
}

void peer_announcements(struct peer_world *w)
{
	struct guest *g = busy_guest(w, 1, VHOST_PROTOCOL_BIT(RARP));
	uint32_t number = 0;

	peer_attacks(w);
	for (;; number++) {
		uint8_t mac[6] = {2, 0, 0, number >> 16, number >> 8, number};

		after(w, g, frontend_send_rarp(&g->fe, mac));
	}
}

void peer_questions(struct peer_world *w)
{
	struct guest *g = busy_guest(w, 1, 0);

	g->fe.timeout_ms = 100;
	peer_attacks(w);
	for (;;) {
		int err =
		    frontend_send(&g->fe, VHOST_USER_GET_FEATURES, VHOST_VERSION, NULL, 0, NULL, 0);

		if (err == -ETIMEDOUT) /* the switch waits until we read; connect again */
			err = -ECONNRESET;
		after(w, g, err);
	}
}

void peer_questions_read(struct peer_world *w)
{
	struct guest *g = busy_guest(w, 1, VHOST_PROTOCOL_BIT(CONFIG));
	struct vhost_wire_config config = {.size = 8};
	uint8_t answers[4096];

	peer_attacks(w);
	for (;;) {
		int err = frontend_send(&g->fe, VHOST_USER_GET_CONFIG, VHOST_VERSION, &config,
		    VHOST_WIRE_CONFIG_HEADER + 8, NULL, 0);

		while (recv(g->fe.fd, answers, sizeof(answers), MSG_DONTWAIT) > 0)
			; /* make room for further answers */
		after(w, g, err);
	}
}

void peer_unknown_messages(struct peer_world *w)
{
	struct guest *g = busy_guest(w, 1, 0);

	peer_attacks(w);
	for (unsigned i = 0;; i++)
		after(w, g, frontend_send(&g->fe, 45 + i % 1000, VHOST_VERSION, NULL, 0, NULL, 0));
}

void peer_refused_messages(struct peer_world *w)
{
	struct guest *g = busy_guest(w, 1, 0);

	peer_attacks(w);
	for (unsigned i = 0;; i++)
		after(w, g,
		    i % 2 ? frontend_set_vring_num(&g->fe, i % 256, 0)
			  : frontend_set_vring_enable(&g->fe, 1000 + i, 1));
}

void peer_device_state(struct peer_world *w)
{
	struct guest *g = busy_guest(w, 1, VHOST_PROTOCOL_BIT(DEVICE_STATE));
	int pipe_fd[2];

	for (unsigned i = 0; i < 2; i++)
		frontend_get_vring_base(&g->fe, i, &(uint32_t){0});
	peer_attacks(w);
	for (unsigned i = 0;; i++) {
		int err;

		if (pipe2(pipe_fd, O_CLOEXEC) < 0)
			peer_fail(w, "a pipe", -errno);
		err = frontend_set_device_state_fd(&g->fe, i % 2, pipe_fd[i % 2 ? 0 : 1]);
		after(w, g, err);
		if (i % 2 == 0)
			frontend_check_device_state(&g->fe);
		close(pipe_fd[0]);
		close(pipe_fd[1]);
	}
}

void peer_inband_kicks(struct peer_world *w)
{
	struct guest *g = busy_guest(w, 8,
	    VHOST_PROTOCOL_BIT(BACKEND_REQ) | VHOST_PROTOCOL_BIT(REPLY_ACK) |
		VHOST_PROTOCOL_BIT(INBAND_NOTIFICATIONS));
	struct vhost_wire_vring_state wire = {0};
	uint32_t base;

	for (unsigned i = 0; i < 16; i++)
		frontend_get_vring_base(&g->fe, i, &base);
	peer_attacks(w);
	for (unsigned i = 0;; i++) {
		wire.index = i % 16;
		after(w, g,
		    frontend_send(&g->fe, VHOST_USER_VRING_KICK, VHOST_VERSION, &wire, sizeof(wire),
			NULL, 0));
	}
}

void peer_channels(struct peer_world *w)
{
	struct guest *g = busy_guest(w, 1, VHOST_PROTOCOL_BIT(BACKEND_REQ));

	peer_attacks(w);
	for (;;) {
		int pair[2], err;

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
			peer_fail(w, "a socket pair", -errno);
		while (send(pair[1], "full", 4, MSG_DONTWAIT) > 0)
			; /* until the socket is full */
		err = frontend_send(
		    &g->fe, VHOST_USER_SET_BACKEND_REQ_FD, VHOST_VERSION, NULL, 0, &pair[1], 1);
		close(pair[0]);
		close(pair[1]);
		after(w, g, err);
	}
}

void peer_resets(struct peer_world *w)
{
	struct guest *g = busy_guest(w, 8, VHOST_PROTOCOL_BIT(RESET_DEVICE));

	peer_attacks(w);
	for (;;) {
		int err =
		    frontend_send(&g->fe, VHOST_USER_RESET_DEVICE, VHOST_VERSION, NULL, 0, NULL, 0);

		for (unsigned i = 0; !err && i < 16; i++)
			err = guest_start_ring(g, i);
		after(w, g, err);
	}
}
