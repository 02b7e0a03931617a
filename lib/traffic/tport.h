/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A place where frames leave and arrive, whatever is behind it: what trials know of a port.
 *
 * The operations move bursts, so what is behind them is asked for once per burst, not per frame.
 * Before every frame lies its net header, VIRTIO_NET_HDR_LEN bytes, which says whether the frame
 * is to be segmented; a port that cannot segment ignores it. Before a frame that arrived it lies
 * as well, on ports that were asked to segment.
 *
 * Threads: one user at a time per pair.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "virtio/virtio.h"

#define TPORT_PAIRS_MAX 16
#define TPORT_BURST     64  /* the most frames any call moves */
#define TPORT_PIECES    192 /* the most pieces: a burst, and the rest of a last, long frame */

struct tport;

/* A piece of a frame that arrived: all of it, unless it lies in several buffers. */
struct tport_piece {
	const uint8_t *bytes;
	uint32_t len;
	uint16_t more; /* pieces that follow and belong to the same frame */
};

struct tport_ops {
	/* How many frames can be sent now, at most want; *frame: where each has to be written. */
	unsigned (*room)(
	    struct tport *tp, unsigned pair, unsigned want, uint8_t *frame[TPORT_BURST]);

	/* Send the first n of them, with these lengths. */
	void (*send)(struct tport *tp, unsigned pair, const uint32_t len[], unsigned n);

	/*
	 * Pieces of up to max frames that arrived. They stay readable until give_back(), which must
	 * come before the next call.
	 */
	unsigned (*receive)(
	    struct tport *tp, unsigned pair, struct tport_piece pieces[TPORT_PIECES], unsigned max);
	void (*give_back)(struct tport *tp, unsigned pair);

	/* How many of its queues are of no use any more, for the device broke the rules. */
	unsigned (*broken)(const struct tport *tp);
	void (*destroy)(struct tport *tp);
};

/* Part of what implements it. */
struct tport {
	const struct tport_ops *ops;
	unsigned n_pairs;
	uint32_t frame_max; /* the longest frame that can be sent */
};

static inline struct virtio_net_hdr *tport_header(uint8_t *frame)
{
	return (struct virtio_net_hdr *)(void *)(frame - VIRTIO_NET_HDR_LEN);
}

static inline void tport_destroy(struct tport *tp)
{
	if (tp)
		tp->ops->destroy(tp);
}
