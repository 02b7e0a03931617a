/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A stream: the frames that one port sends to another port, and counters of how they arrived.
 *
 * A stream has flows, and each flow numbers its frames from 0. A flow is an IPv4 5-tuple (UDP; TCP
 * if frames ask for segmentation) between a MAC address of the source and one of the destination. A
 * tag follows the headers of every frame: stream, flow, number, time, and a check sum of them. With
 * `touch_all` the rest of the frame is a pattern made from these, and every byte, headers included,
 * is written and checked. Without it the rest is what the buffer contained, and only the first
 * cache line is touched.
 *
 * Counting: sent = received + lost when no frame is under way. A frame is received once; a second
 * copy is a duplicate. If a frame arrives after a later frame of its flow, it is reordered. For the
 * last 64 numbers of a flow it is known whether such a frame is new or a copy; an older one counts
 * as a copy. If a frame arrives without the GSO request that was in its net header, it counts as
 * received and also as a lost GSO request: the receiver could not segment the frame or complete its
 * checksum.
 *
 * Threads: one user at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "traffic/tport.h"

#define STREAM_SIZES_MAX 16
#define STREAM_FRAME_MIN 64
#define STREAM_FRAME_MAX 65535

struct stream_profile {
	uint32_t size[STREAM_SIZES_MAX]; /* Ethernet bytes without FCS, used in turn */
	unsigned n_sizes;
	unsigned flows; /* per stream; at least 1 */
	unsigned lanes; /* queue pairs that the flows are spread over, 1 to TPORT_PAIRS_MAX */
	unsigned macs;  /* per port; at least 1; flow f uses address f % macs of both ports */
	uint16_t vlan;  /* 0: untagged */
	uint16_t gso;   /* bytes of TCP payload per segment; 0: no segmentation */
	bool touch_all;
};

struct stream_counts {
	uint64_t sent, received, duplicates, reordered, corrupt, lost_gso_requests;
	uint64_t sent_bytes, received_bytes;
};

struct stream_template {
	uint8_t bytes[STREAM_FRAME_MIN + 32];
	uint32_t len;
};

struct stream_flow {
	uint32_t next_sent;
	uint32_t next; /* expected */
	uint64_t seen; /* bit i: frame number next - 1 - i has arrived */
};

struct stream {
	uint16_t id, from, to; /* ports */
	struct stream_profile profile;
	struct stream_counts counts;
	unsigned tag_end; /* up to the end of the tag */
	unsigned next_size;
	uint32_t next_flow[TPORT_PAIRS_MAX]; /* of each lane: lane, lane + lanes, ... */
	struct virtio_net_hdr net;           /* of every frame */
	struct stream_template template[STREAM_SIZES_MAX];
	struct stream_flow *flow;
	const struct pattern_ops *pattern;
};

/* 0; -EINVAL: sizes, flows, lanes (more than flows) or MACs out of range; -ENOMEM. */
int stream_create(uint16_t id, uint16_t from, uint16_t to, const struct stream_profile *profile,
    struct stream **ret_stream);
void stream_destroy(struct stream *s);

/* Set counters and numbers to 0. */
void stream_reset(struct stream *s);

/* The length of the frame that stream_make() makes next. */
static inline uint32_t stream_next_len(const struct stream *s)
{
	return s->template[s->next_size].len;
}

/* Prefetch the lines of a frame that will be written, except the first line. */
static inline void stream_prefetch(const struct stream *s, uint8_t *frame)
{
	for (uint32_t at = 64; at < stream_next_len(s); at += 64)
		__builtin_prefetch(frame + at, 1);
}

/*
 * Make the next frame of a lane (a queue pair), with this time in its tag, and its net header.
 * Returns the frame's length; the buffer must be large enough. The frame counts as sent. All frames
 * of a flow use one lane, as in a guest, because the order between queues is not defined.
 */
uint32_t stream_make(
    struct stream *s, unsigned lane, uint8_t *frame, struct virtio_net_hdr *hdr, uint64_t time);

/* Make a frame with this MAC address as its source, so that a switch learns the address. */
uint32_t stream_make_hello(
    struct stream *s, uint32_t mac, uint8_t *frame, struct virtio_net_hdr *hdr);

/* The tag of a received frame. */
struct stream_tag {
	uint16_t stream;
	uint32_t flow, number;
	uint64_t time;
	bool intact; /* false: the fields may be wrong */
};

/*
 * Is it a frame of a stream? A hello is not, and neither is a frame that is too short. If the tag
 * was changed, the frame is recognised as long as the mark or the check sum is right.
 */
bool stream_read_tag(const uint8_t *frame, uint32_t len, struct stream_tag *ret_tag);

/*
 * Count a frame of this stream; the tag is intact. pieces are as the port returned them, len is the
 * frame's length. Counts the frame as corrupt if it differs from what was sent.
 */
void stream_take(struct stream *s, const struct stream_tag *tag, const struct tport_piece pieces[],
    uint32_t len);
