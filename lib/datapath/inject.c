/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/inject.h"

#include <string.h>

#include "datapath/notify.h"

void burst_inject(struct burst *b, const struct forwarding *fwd, struct queue *source,
    uint32_t now_s, const uint8_t *frame, uint32_t len)
{
	uint8_t bytes[VIRTIO_NET_HDR_LEN + INJECT_FRAME_MAX] = {0};
	unsigned hdr_len = source->port->hdr_len;

	if (!source->enabled || len < FRAME_MIN || len > INJECT_FRAME_MAX)
		return;
	memcpy(bytes + hdr_len, frame, len);
	burst_begin(b, fwd, source);
	b->now_s = now_s;
	b->retries = BURST_RETRIES;
	b->work = BURST_WORK;
	/*
	 * Flood the frame to all ports at once, even if another flood of the queue is not finished.
	 */
	b->flood = UINT32_MAX;
	b->flood_next = 0;
	b->n = 1;
	/* This chain is not from the ring, so it is never completed. */
	b->in.n = 1;
	b->in.n_segments = 1;
	b->in.single_segment = true;
	b->in.chain[0] = (struct vring_chain){.len = hdr_len + len, .n_segments = 1};
	b->in.segment[0] = (struct vring_segment){.addr = bytes, .len = hdr_len + len};
	burst_snapshot(b);
	if (UNLIKELY(b->policy->features))
		burst_classify(b);
	burst_lookup(b);
	burst_forward(b);
	source->stats.frames++;
	source->stats.bytes += b->bytes;
	burst_notify(b);
}
