/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hundreds of ports belong to one owner. A single port may cost other ports only little. All ports
 * of the owner together may not cost others more than that.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"
#include "guest.h"

#define CROWD_DATA   UINT64_C(8192)
#define LARGE        65536
#define FIRST_ROUNDS 15000

static const uint8_t all[6] = {255, 255, 255, 255, 255, 255}, hostile[6] = {2, 0, 0, 9, 0, 1};

static struct guest *crowd[CROWD];
static char crowd_path[CROWD][128];

/* Create guests, each for a port of its own, with rings that have nothing to do. */
static void create_crowd(struct peer_world *w, uint16_t size, uint64_t data)
{
	struct guest_config c = {
	    .n_pairs = 1, .size = size, .data = data, .features = GUEST_FEATURES};

	for (unsigned i = 0; i < CROWD; i++) {
		crowd[i] = guest_create(w, &c);
		snprintf(crowd_path[i], sizeof(crowd_path[i]), "%s/%u.sock", w->dir, PORTS + i);
	}
}

static void connect_crowd(struct peer_world *w)
{
	create_crowd(w, 64, CROWD_DATA);
	for (unsigned i = 0; i < CROWD; i++)
		peer_must(w, guest_connect(crowd[i], crowd_path[i]), "connecting");
}

/*
 * Every guest of the crowd fills its ring with receive buffers. All of them are the same memory,
 * which holds a large frame.
 */
void peer_crowd_large(struct peer_world *w)
{
	struct guest_config c = {
	    .n_pairs = 1, .size = 256, .data = 2 * LARGE, .features = GUEST_FEATURES};
	struct guest *g = guest_create(w, &c);

	create_crowd(w, 256, LARGE);
	for (unsigned i = 0; i < CROWD; i++) {
		guest_fill(crowd[i], 0, GUEST_DATA_GPA, LARGE, VRING_DESC_F_WRITE);
		peer_must(w, guest_connect(crowd[i], crowd_path[i]), "connecting");
	}
	guest_fill(g, 1, GUEST_DATA_GPA, guest_frame(g, 0, all, hostile, 65000), 0);
	peer_must(w, guest_connect(g, w->path[PORT_HOSTILE]), "connecting");
	for (unsigned round = 0;; round++) {
		/*
		 * Begin to measure when the kernel has allocated all pages, which takes a while,
		 * once.
		 */
		if (round == FIRST_ROUNDS)
			peer_attacks(w);
		for (unsigned i = 0; i < CROWD; i++)
			guest_offer(crowd[i], 0);
		guest_offer_all(g, 1);
		peer_nap(w);
	}
}

void peer_crowd_enable(struct peer_world *w)
{
	connect_crowd(w);
	peer_enable_toggle(w);
}

void peer_crowd_kicks(struct peer_world *w)
{
	const uint64_t one = 1;

	connect_crowd(w);
	peer_attacks(w);
	for (unsigned i = 0;; i = (i + 1) % CROWD) {
		if (write(crowd[i]->ring[1].kick_fd, &one, sizeof(one)) < 0)
			usleep(1); /* the eventfd is full */
		peer_step(w);
	}
}

/* Send many requests, without reading the answers. */
static int ask_often(struct guest *g)
{
	int err = 0;

	for (unsigned i = 0; i < 20 && !err; i++)
		err =
		    frontend_send(&g->fe, VHOST_USER_GET_FEATURES, VHOST_VERSION, NULL, 0, NULL, 0);
	return err;
}

static int change_memory(struct guest *g)
{
	uint64_t *size = &g->fe.region[g->data_region].size;

	*size ^= CROWD_DATA ^ CROWD_DATA / 2;
	return frontend_set_mem_table(&g->fe);
}

static void all_at_once(struct peer_world *w, int (*speak)(struct guest *g))
{
	char answers[4096];

	connect_crowd(w);
	for (unsigned i = 0; i < CROWD; i++)
		crowd[i]->fe.timeout_ms = 0;
	peer_attacks(w);
	for (unsigned i = 0;; i = (i + 1) % CROWD) {
		int err = speak(crowd[i]);

		while (recv(crowd[i]->fe.fd, answers, sizeof(answers), MSG_DONTWAIT) > 0)
			;
		if (err == -ECONNRESET)
			guest_again(crowd[i]);
		peer_step(w);
	}
}

void peer_crowd_questions(struct peer_world *w)
{
	all_at_once(w, ask_often);
}

void peer_crowd_memory(struct peer_world *w)
{
	all_at_once(w, change_memory);
}

void peer_crowd_blocking(struct peer_world *w)
{
	const uint64_t most = UINT64_MAX - 1;

	create_crowd(w, 64, CROWD_DATA);
	for (unsigned i = 0; i < CROWD; i++) {
		struct guest_ring *r = &crowd[i]->ring[1];

		crowd[i]->fe.timeout_ms = 20;
		fcntl(r->call_fd, F_SETFL, O_RDWR);
		if (write(r->call_fd, &most, sizeof(most)) < 0)
			peer_fail(w, "an eventfd", -errno);
		r->avail->flags = 0;
		guest_connect(crowd[i], crowd_path[i]);
		fcntl(r->call_fd, F_SETFL, O_RDWR);
	}
	peer_attacks(w);
	for (unsigned i = 0;; i = (i + 1) % CROWD) {
		if (frontend_sync(&crowd[i]->fe) == -ECONNRESET)
			guest_again(crowd[i]);
		fcntl(crowd[i]->ring[1].call_fd, F_SETFL, O_RDWR);
		guest_offer(crowd[i], 1);
		peer_step(w);
	}
}
