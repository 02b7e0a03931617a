/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A port for trials. It sends and receives frames, through a device of any kind.
 *
 * The operations move bursts, so there is one indirect call per burst, not per frame. The net
 * header, VIRTIO_NET_HDR_LEN bytes, lies before each frame to be sent. It says whether the frame
 * asks for segmentation; a port that cannot segment ignores it. On ports that were asked to
 * segment, a net header also lies before each received frame.
 *
 * Threads: one user at a time per pair.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "virtio/virtio.h"

#define TPORT_PAIRS_MAX 16
#define TPORT_BURST     64  /* most frames of a call */
#define TPORT_PIECES    192 /* most pieces of a call: a burst, and the rest of a long last frame */

struct tport;

/* A piece of a received frame: the whole frame, unless it lies in several buffers. */
struct tport_piece {
	const uint8_t *bytes;
	uint32_t len;
	uint16_t more; /* pieces that follow and belong to the same frame */
};

/* What was negotiated with a back-end, and what happened besides frames; of all queues together. */
struct tport_facts {
	uint64_t features;
	unsigned send_chain, receive_chain; /* descriptors of a frame or a buffer */
	unsigned send_room;                 /* frames that a ring holds */
	bool send_indirect, receive_indirect;
	uint64_t kicks, calls_asked, calls;
};

struct tport_ops {
	/*
	 * The number of frames that can be sent now, at most want; *frame: where to write each of
	 * them.
	 */
	unsigned (*room)(
	    struct tport *tp, unsigned pair, unsigned want, uint8_t *frame[TPORT_BURST]);

	/* Send the first n of these frames, with these lengths. */
	void (*send)(struct tport *tp, unsigned pair, const uint32_t len[], unsigned n);

	/*
	 * Pieces of up to max received frames. They stay readable until give_back(), which must
	 * come before the next call.
	 */
	unsigned (*receive)(
	    struct tport *tp, unsigned pair, struct tport_piece pieces[TPORT_PIECES], unsigned max);
	void (*give_back)(struct tport *tp, unsigned pair);

	/* The number of queues that cannot be used any more because the device broke the rules. */
	unsigned (*broken)(const struct tport *tp);
	void (*destroy)(struct tport *tp);

	/* Frames sent that the device has not taken. NULL: not known. */
	unsigned (*untaken)(struct tport *tp);

	/* NULL: there is nothing to tell. */
	void (*facts)(struct tport *tp, struct tport_facts *ret_facts);
};

/* Embedded in the structure that implements a port. */
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
