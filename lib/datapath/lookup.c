/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage 3: learn who is behind the source port, and find where each frame goes.
 *
 * Addresses come from the snapshot only. Frames that an earlier stage dropped keep their reason.
 */
#include "datapath/burst.h"

#include "bridge/forward.h"

/* What the bridge decided, as a destination or as a named drop. */
static void take_verdict(struct burst *b, unsigned i, uint16_t verdict)
{
	if (LIKELY(verdict < PORTS_MAX || verdict == FORWARD_FLOOD)) {
		b->frame[i].dest = verdict == FORWARD_FLOOD ? DEST_FLOOD : verdict;
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

void burst_lookup(struct burst *b)
{
	uint64_t dst[BURST_FRAMES], src[BURST_FRAMES];
	uint16_t verdict[BURST_FRAMES];
	uint8_t index[BURST_FRAMES];
	unsigned n = 0;

	for (unsigned i = 0; i < b->n; i++) {
		if (UNLIKELY(b->frame[i].dest == DEST_NONE))
			continue; /* dropped by an earlier stage, with its reason */
		index[n] = i;
		dst[n] = mac_load(b->head[i].data);
		src[n] = mac_load(b->head[i].data + 6);
		n++;
	}
	if (n == 0)
		return;
	forward_burst(b->fdb, b->source->port->index, b->now_s, n, dst, src, verdict);
	for (unsigned k = 0; k < n; k++)
		take_verdict(b, index[k], verdict[k]);
}
