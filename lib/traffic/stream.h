/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A stream: the frames that one port sends to another port, and counters of how they arrived.
 *
 * A stream has flows, and each flow numbers its frames from 0. A flow is an IPv4 5-tuple (UDP; TCP
 * if frames ask for segmentation or for their checksum) between a MAC address of the source and one
 * of the destination. A tag follows the headers of every frame: stream, flow, number, time, and a
 * check sum of them. Short frames have smaller tags, see tag.h. With `touch_all` the rest of the
 * frame is a pattern made from these, and every byte, headers included, is written and checked.
 * Without it the rest is what the buffer contained, and only the first cache line is touched. Of a
 * frame with a smaller tag the headers are always checked.
 *
 * Counting: sent = received + lost when no frame is under way. A frame is received once; a second
 * copy is a duplicate. If a frame arrives after a later frame of its flow, it is reordered. For the
 * last 64 numbers of a flow it is known whether such a frame is new or a copy; an older one counts
 * as a copy. Frames without a number are only counted; those that exceed the number sent are
 * duplicates. If a frame arrives without the request of its net header, it counts as received and
 * also as a lost request: the receiver could not segment it or complete its checksum. A partial
 * checksum may also arrive complete; then it is checked, and it counts as completed if it is right.
 *
 * Threads: one user at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "traffic/template.h"
#include "traffic/tport.h"

struct stream_counts {
	uint64_t sent, received, duplicates, reordered, corrupt, lost_requests, completed;
	uint64_t sent_bytes, received_bytes;
	/*
	 * Bytes on a wire beside received_bytes and one STREAM_WIRE_OVERHEAD per frame: padding of
	 * short frames and, if a frame asks for segmentation, headers and overhead of each segment
	 * after the first.
	 */
	uint64_t received_more;
};

#define STREAM_WIRE_OVERHEAD 24 /* preamble, FCS, gap between frames */
#define STREAM_WIRE_MIN      60 /* shorter frames are padded */

/* The bytes of the received frames on a wire. */
static inline uint64_t stream_wire_bytes(const struct stream_counts *c)
{
	return c->received_bytes + STREAM_WIRE_OVERHEAD * c->received + c->received_more;
}

struct stream_flow {
	uint32_t next_sent;
	uint32_t next; /* expected */
	uint64_t seen; /* bit i: frame number next - 1 - i has arrived */
};

/* What every frame needs comes first, next to each other. */
struct stream {
	uint16_t id, from, to; /* ports */
	bool take_any;         /* more than the tag of a received frame counts */
	struct stream_flow *flow;
	const struct stream_template *next; /* of the next frame */
	unsigned next_size, n_order;        /* its place in order */
	const struct pattern_ops *pattern;
	const struct stream *answers; /* NULL, or one frame is sent for each that this received */
	struct stream_counts counts;
	uint32_t next_flow[TPORT_PAIRS_MAX];  /* of each lane: lane, lane + lanes, ... */
	unsigned train[TPORT_PAIRS_MAX];      /* frames in succession of that flow */
	uint64_t unnumbered_sent, unnumbered; /* frames with TAG_NONE */
	struct stream_profile profile;        /* its order is not used */
	uint8_t order[STREAM_ORDER_MAX];
	struct stream_template templates[STREAM_SIZES_MAX];
};

/* 0; -EINVAL: profile_fault() says why; -ENOMEM. */
int stream_create(uint16_t id, uint16_t from, uint16_t to, const struct stream_profile *profile,
    struct stream **ret_stream);
void stream_destroy(struct stream *s);

/* Set counters and numbers to 0. */
void stream_reset(struct stream *s);

/* The length of the frame that stream_make() makes next. */
static inline uint32_t stream_next_len(const struct stream *s)
{
	return s->next->len;
}

/* Prefetch the lines of a frame that will be written, except the first line. */
static inline void stream_prefetch(const struct stream *s, uint8_t *frame)
{
	for (uint32_t at = 64; at < stream_next_len(s); at += 64)
		__builtin_prefetch(frame + at, 1);
}

/*
 * Make the next frame of a lane (a queue pair), with this time in its tag, and its net header.
 * Returns the frame's length; the buffer must be large enough, and have at least STREAM_LINE bytes.
 * The frame counts as sent. All frames of a flow use one lane, as in a guest, because the order
 * between queues is not defined.
 */
uint32_t stream_make(
    struct stream *s, unsigned lane, uint8_t *frame, struct virtio_net_hdr *hdr, uint64_t time);

/* Make a frame with this MAC address as its source, so that a switch learns the address. */
uint32_t stream_make_hello(
    struct stream *s, uint32_t mac, uint8_t *frame, struct virtio_net_hdr *hdr);

/*
 * Count a frame of this stream; the tag is intact. pieces are as the port returned them, len is the
 * frame's length. Counts the frame as corrupt if it differs from what was sent.
 */
void stream_take(struct stream *s, const struct stream_tag *tag, const struct tport_piece pieces[],
    uint32_t len);
