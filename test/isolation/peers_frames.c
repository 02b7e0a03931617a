/* SPDX-License-Identifier: BSD-3-Clause */
/* Correct frames that cost more work than they seem to. */
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "guest.h"

#define PAIRS 128
#define MIB   (UINT64_C(1) << 20)
#define SLOT  128 /* bytes of a small frame's buffer */

static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};
static const uint8_t nobody[6] = {2, 0, 0, 8, 0, 1};
static const uint8_t hostile[6] = {2, 0, 0, 9, 0, 1}, accomplice[6] = {2, 0, 0, 9, 0, 2};
static const uint8_t neighbour[6] = {2, 0, 0, 0, 0, 0};

static struct guest *guest_of(struct peer_world *w, unsigned n_pairs, uint64_t features)
{
	struct guest_config c = {
	    .n_pairs = n_pairs, .size = 256, .data = 4 * MIB, .features = features};

	return guest_create(w, &c);
}

static void keep_offering(struct peer_world *w, struct guest *g)
{
	peer_must(w, guest_connect(g, w->path[PORT_HOSTILE]), "connecting");
	peer_attacks(w);
	for (;;) {
		guest_offer_all(g, 1);
		peer_nap(w);
	}
}

static void flood(struct peer_world *w, unsigned n_pairs, const uint8_t dst[6])
{
	struct guest *g = guest_of(w, n_pairs, GUEST_FEATURES);

	guest_fill(g, 1, GUEST_DATA_GPA, guest_frame(g, 0, dst, hostile, 60), 0);
	keep_offering(w, g);
}

void peer_unicast_flood(struct peer_world *w)
{
	flood(w, 1, nobody);
}

void peer_broadcast_flood(struct peer_world *w)
{
	flood(w, 1, all);
}

void peer_broadcast_128(struct peer_world *w)
{
	flood(w, PAIRS, all);
}

void peer_self_addressed(struct peer_world *w)
{
	flood(w, PAIRS, hostile);
}

/* Change source and destination of all frames before each round. */
void peer_address_churn(struct peer_world *w)
{
	struct guest *g = guest_of(w, 8, GUEST_FEATURES);
	uint32_t number = 0;

	for (unsigned ring = 1; ring < 16; ring += 2) {
		for (unsigned i = 0; i < 256; i++) {
			uint64_t at = (ring / 2 * 256 + i) * SLOT;
			uint32_t len = guest_frame(g, at, nobody, hostile, 60);

			guest_desc(g, ring, i, GUEST_DATA_GPA + at, len, 0, 0);
		}
		guest_chain_heads(g, ring, 256, 1);
	}
	peer_must(w, guest_connect(g, w->path[PORT_HOSTILE]), "connecting");
	peer_attacks(w);
	for (;;) {
		for (unsigned i = 0; i < 8 * 256; i++, number += 2654435761u) {
			uint8_t *at = g->data + i * SLOT + VIRTIO_NET_HDR_LEN;

			memcpy(at + 2, &number, 4);
			memcpy(at + 8, &number, 4);
		}
		guest_offer_all(g, 1);
		peer_step(w);
	}
}

/*
 * Frames with different source ports to a neighbour: the switch computes a flow hash for each
 * frame.
 */
void peer_flow_churn(struct peer_world *w)
{
	struct guest *g = guest_of(w, PAIRS, GUEST_FEATURES);

	for (unsigned i = 0; i < 256; i++) {
		uint32_t len = guest_tcp(g, i * SLOT, neighbour, hostile, 6, 0);
		uint8_t *header = g->data + i * SLOT;

		memset(header, 0, VIRTIO_NET_HDR_LEN);
		header[VIRTIO_NET_HDR_LEN + 34] = i; /* TCP source port */
		for (unsigned pair = 0; pair < PAIRS; pair++)
			guest_desc(g, TX(pair), i, GUEST_DATA_GPA + i * SLOT, len, 0, 0);
	}
	for (unsigned pair = 0; pair < PAIRS; pair++)
		guest_chain_heads(g, TX(pair), 256, 1);
	keep_offering(w, g);
}

/*
 * Connect the accomplice. It sends one frame, so that its address is learned, and it offers no
 * receive buffers.
 */
static struct guest *deaf_receiver(struct peer_world *w, unsigned n_pairs)
{
	struct guest *g = guest_of(w, n_pairs, GUEST_FEATURES);

	guest_fill(g, 1, GUEST_DATA_GPA, guest_frame(g, 0, all, accomplice, 60), 0);
	peer_must(w, guest_connect(g, w->path[PORT_ACCOMPLICE]), "connecting");
	g->ring[TX(0)].avail->idx++;
	guest_kick(g, TX(0));
	usleep(20000);
	return g;
}

static void tso(struct peer_world *w, unsigned n_pairs, const uint8_t dst[6], uint16_t gso_size)
{
	struct guest *g = guest_of(w, n_pairs, GUEST_FEATURES | GUEST_OFFLOADS);

	deaf_receiver(w, 1);
	guest_fill(g, 1, GUEST_DATA_GPA, guest_tcp(g, 0, dst, hostile, 65000, gso_size), 0);
	keep_offering(w, g);
}

void peer_tso_unicast(struct peer_world *w)
{
	tso(w, 1, accomplice, 44);
}

void peer_tso_broadcast(struct peer_world *w)
{
	tso(w, 1, all, 44);
}

void peer_tso_one_byte(struct peer_world *w)
{
	tso(w, 1, accomplice, 1);
}

void peer_tso_128(struct peer_world *w)
{
	tso(w, PAIRS, accomplice, 44);
}

void peer_checksum_flood(struct peer_world *w)
{
	struct guest *receiver = guest_of(w, 1, GUEST_FEATURES);
	struct guest *g = guest_of(w, PAIRS, GUEST_FEATURES | GUEST_OFFLOADS);

	guest_fill(receiver, 0, GUEST_DATA_GPA + MIB, 70000, VRING_DESC_F_WRITE);
	guest_fill(receiver, 1, GUEST_DATA_GPA, guest_frame(receiver, 0, all, accomplice, 60), 0);
	peer_must(w, guest_connect(receiver, w->path[PORT_ACCOMPLICE]), "connecting");
	receiver->ring[TX(0)].avail->idx++;
	guest_kick(receiver, TX(0));
	guest_fill(g, 1, GUEST_DATA_GPA, guest_tcp(g, 0, accomplice, hostile, 65000, 0), 0);
	peer_must(w, guest_connect(g, w->path[PORT_HOSTILE]), "connecting");
	peer_attacks(w);
	for (;;) {
		guest_offer(receiver, RX(0));
		guest_offer_all(g, 1);
		peer_nap(w);
	}
}

void peer_sleeping_receiver(struct peer_world *w)
{
	deaf_receiver(w, PAIRS);
	flood(w, 1, all);
}
