/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage 3: learn who is behind the source port, and find where each frame goes.
 *
 * Addresses come from the snapshot only. Frames come in trains: of those that follow each other
 * with the same two addresses only the first is looked up. Frames that an earlier stage dropped
 * keep their reason.
 */
#include "datapath/burst.h"

#include <string.h>

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

/* Destination and source address as they lie in a frame. */
struct addresses {
	uint64_t low;
	uint32_t high;
};

static ALWAYS_INLINE struct addresses addresses_load(const uint8_t *frame)
{
	struct addresses a;

	memcpy(&a.low, frame, 8);
	memcpy(&a.high, frame + 8, 4);
	return a;
}

void burst_lookup(struct burst *b)
{
	uint64_t dst[BURST_FRAMES], src[BURST_FRAMES];
	uint16_t verdict[BURST_FRAMES];
	uint8_t run[BURST_FRAMES];
	struct addresses last = {0};
	unsigned n = 0;

	for (unsigned i = 0; i < b->n; i++) {
		struct addresses a = addresses_load(b->head[i].data);

		if (UNLIKELY(b->frame[i].dest == DEST_NONE))
			continue; /* dropped by an earlier stage, with its reason */
		if (UNLIKELY(a.low != last.low || a.high != last.high || n == 0)) {
			dst[n] = a.low & UINT64_C(0xffffffffffff);
			src[n] = a.low >> 48 | (uint64_t)a.high << 16;
			last = a;
			n++;
		}
		run[i] = n - 1;
	}
	forward_burst(b->fdb, b->source->port->index, b->now_s, n, dst, src, verdict);
	for (unsigned i = 0; i < b->n; i++) {
		if (UNLIKELY(b->frame[i].dest == DEST_NONE))
			continue; /* as above */
		take_verdict(b, i, verdict[run[i]]);
	}
}
