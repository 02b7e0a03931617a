/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage 3: learn who is behind the source port, and find where each frame goes.
 *
 * Addresses come from the snapshot only. Frames come in trains: of those that follow each other
 * with the same two addresses only the first is looked up. Frames that an earlier stage dropped
 * keep their reason.
 */
#include "datapath/burst.h"

#include <immintrin.h>

#include "bridge/forward.h"

_Static_assert(FORWARD_FLOOD == DEST_FLOOD, "a verdict to flood is a destination");

/* What the bridge decided, as a destination or as a named drop. */
static void take_verdict(struct burst *b, unsigned i, uint16_t verdict)
{
	if (LIKELY(verdict < PORTS_MAX || verdict == FORWARD_FLOOD)) {
		b->frame[i].dest = verdict;
		return;
	}
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

/* Do two frames' first 12 bytes, destination and source address, differ? */
static ALWAYS_INLINE bool addresses_differ(__m128i a, __m128i b)
{
	return !_mm_testz_si128(_mm_xor_si128(a, b), _mm_set_epi32(0, -1, -1, -1));
}

/* The addresses of each train, and in run[] which train each frame is of. How many trains. */
static ALWAYS_INLINE unsigned find_trains(
    const struct burst *b, bool plain, uint64_t dst[], uint64_t src[], uint8_t run[])
{
	__m128i last = _mm_setzero_si128();
	unsigned n = 0, n_frames = b->n;

	for (unsigned i = 0; i < n_frames; i++) {
		__m128i first = _mm_loadu_si128((const __m128i *)b->head[i].data);

		if (!plain && UNLIKELY(b->frame[i].dest == DEST_NONE))
			continue; /* dropped by an earlier stage, with its reason */
		if (UNLIKELY(addresses_differ(first, last) || n == 0)) {
			dst[n] = mac_load(b->head[i].data);
			src[n] = mac_load(b->head[i].data + 6);
			last = first;
			n++;
		}
		run[i] = n - 1;
	}
	return n;
}

void burst_lookup(struct burst *b)
{
	uint64_t dst[BURST_FRAMES], src[BURST_FRAMES];
	uint16_t verdict[BURST_FRAMES];
	uint8_t run[BURST_FRAMES];
	bool plain = b->plain;
	unsigned n =
	    plain ? find_trains(b, true, dst, src, run) : find_trains(b, false, dst, src, run);

	b->only_dest = DEST_NONE;
	if (n == 0)
		return;
	forward_burst(b->fdb, b->source->port->index, b->now_s, n, dst, src, verdict);
	if (LIKELY(plain && n == 1 && verdict[0] < PORTS_MAX)) {
		b->only_dest = verdict[0];
		return;
	}
	for (unsigned i = 0; i < b->n; i++) {
		if (!plain && UNLIKELY(b->frame[i].dest == DEST_NONE))
			continue; /* as above */
		take_verdict(b, i, verdict[run[i]]);
	}
}
