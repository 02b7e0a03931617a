/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage 4: learn which addresses are behind the source port, and find where each frame goes.
 *
 * Addresses are read from the snapshot only. A train is a sequence of frames with the same source
 * and the same destination address. Only the first frame of a train is looked up. Frames that an
 * earlier stage dropped keep their drop reason.
 */
#include "datapath/lookup.h"

#include <string.h>

#include "base/bytes16.h"

_Static_assert(BURST_FRAMES <= FORWARD_BURST, "a burst is looked up at once");
_Static_assert(FORWARD_FLOOD == DEST_FLOOD, "a verdict to flood is a destination");

/* The verdict is to drop frame i. */
static void take_drop(struct burst *b, unsigned i, uint16_t verdict)
{
	switch (verdict) {
	case FORWARD_DROP_HAIRPIN:
		burst_drop(b, i, DROP_HAIRPIN);
		return;
	case FORWARD_DROP_LINK_LOCAL:
		burst_drop(b, i, DROP_LINK_LOCAL);
		return;
	default:
		burst_drop(b, i, DROP_BAD_SOURCE);
		return;
	}
}

static ALWAYS_INLINE void take_verdict(struct burst *b, unsigned i, uint16_t verdict)
{
	if (LIKELY(verdict < DESTS_MAX || verdict == FORWARD_FLOOD))
		b->frame[i].dest = verdict;
	else
		take_drop(b, i, verdict);
}

void lookup_take_verdict(struct burst *b, unsigned i, uint16_t verdict)
{
	take_verdict(b, i, verdict);
}

/* Do two frames' first 12 bytes, destination and source address, differ? */
static ALWAYS_INLINE bool addresses_differ(bytes16 a, bytes16 b)
{
	return bytes16_meet(a ^ b, (bytes16){UINT64_MAX, UINT32_MAX});
}

bool lookup_one_train(const struct burst *b)
{
	const bytes16 first = bytes16_load(b->head[0].data);
	bytes16 last = bytes16_load(b->head[b->n - 1].data);
	bytes16 differ = {0};

	if (addresses_differ(first, last))
		return false;
	for (unsigned i = 1; i < b->n; i++)
		differ |= first ^ bytes16_load(b->head[i].data);
	return !addresses_differ(differ, (bytes16){0});
}

/* If all frames of a plain burst are one train, look them up at once. False: they are not. */
static bool lookup_together(struct burst *b)
{
	const uint8_t *data = b->head[0].data;
	uint64_t dst = mac_load(data), src = mac_load(data + 6);
	uint16_t verdict;

	if (!lookup_one_train(b))
		return false;
	forward_burst(b->bridge->fdb, b->source->port->index, b->now_s, 1, &dst, &src, &verdict);
	if (LIKELY(verdict < DESTS_MAX)) {
		b->only_dest = verdict;
		return true;
	}
	for (unsigned i = 0; i < b->n; i++)
		take_verdict(b, i, verdict);
	return true;
}

/* mac_load() of the first two addresses with one load each. Every head has room for 12 bytes. */
static ALWAYS_INLINE uint64_t addresses_dst(const uint8_t *data)
{
	uint64_t word;

	memcpy(&word, data, sizeof(word));
	return word & FDB_MAC;
}

static ALWAYS_INLINE uint64_t addresses_src(const uint8_t *data)
{
	uint64_t word;

	memcpy(&word, data + 4, sizeof(word));
	return word >> 16;
}

/* Find the addresses of each train, and the train of each frame (run[]). Returns how many. */
static ALWAYS_INLINE unsigned find_trains(
    const struct burst *b, bool plain, uint64_t dst[], uint64_t src[], uint8_t run[])
{
	bytes16 last = {0};
	/* Indices of 64 bits, which cost fewer instructions. */
	size_t train = SIZE_MAX, n_frames = b->n;

	for (size_t i = 0; i < n_frames; i++) {
		bytes16 first = bytes16_load(b->head[i].data);

		if (!plain && UNLIKELY(b->frame[i].dest == DEST_NONE))
			continue; /* dropped by an earlier stage, with its reason */
		if (UNLIKELY(addresses_differ(first, last) || train == SIZE_MAX)) {
			train++;
			dst[train] = addresses_dst(b->head[i].data);
			src[train] = addresses_src(b->head[i].data);
			last = first;
		}
		run[i] = train;
	}
	return train + 1;
}

static bool all_to_one_dest(const uint16_t verdict[], unsigned n)
{
	uint16_t differ = 0;

	for (unsigned i = 1; i < n; i++)
		differ |= verdict[i] ^ verdict[0];
	return !differ && verdict[0] < DESTS_MAX;
}

void burst_lookup(struct burst *b)
{
	uint64_t dst[BURST_FRAMES], src[BURST_FRAMES];
	uint16_t verdict[BURST_FRAMES];
	uint8_t run[BURST_FRAMES];
	bool plain = b->plain;
	unsigned n;

	b->only_dest = DEST_NONE;
	if (UNLIKELY(b->policy->features)) {
		lookup_with_policy(b);
		return;
	}
	if (plain && lookup_together(b))
		return;
	n = plain ? find_trains(b, true, dst, src, run) : find_trains(b, false, dst, src, run);
	if (n == 0)
		return;
	forward_burst(b->bridge->fdb, b->source->port->index, b->now_s, n, dst, src, verdict);
	if (plain && all_to_one_dest(verdict, n)) {
		b->only_dest = verdict[0];
		return;
	}
	for (unsigned i = 0; i < b->n; i++) {
		if (!plain && UNLIKELY(b->frame[i].dest == DEST_NONE))
			continue; /* dropped by an earlier stage, with its reason */
		take_verdict(b, i, verdict[run[i]]);
	}
}
