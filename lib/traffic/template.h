/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a stream sends (its profile), and templates: all frames of a stream with the same size begin
 * alike, so their first line is made once, with lengths and checksums.
 *
 * Threads: any, as long as nobody writes.
 */
#pragma once

#include <string.h>

#include "traffic/tag.h"
#include "virtio/virtio.h"

#define STREAM_SIZES_MAX 64
#define STREAM_ORDER_MAX 4096
#define STREAM_FRAME_MIN 14
#define STREAM_FRAME_MAX 65535
#define STREAM_LINE      64 /* bytes of a frame that are always written; buffers must hold them */

struct stream_profile {
	unsigned flows;    /* per stream; at least 1 */
	unsigned lanes;    /* queue pairs that the flows are spread over, 1 to TPORT_PAIRS_MAX */
	unsigned macs;     /* per port; at least 1; flow f uses address f % macs of both ports */
	unsigned locality; /* frames in succession that use the same flow; 0: 1 */
	uint16_t vlan;     /* 0: untagged */
	uint16_t gso;      /* bytes of TCP payload per segment; 0: no segmentation */
	bool csum;         /* TCP with partial checksums */
	bool touch_all;
	unsigned n_sizes, n_order;
	uint32_t size[STREAM_SIZES_MAX]; /* Ethernet bytes without FCS */
	/* In which order sizes are used, again and again. n_order 0: in turn. */
	uint8_t order[STREAM_ORDER_MAX];
};

struct stream_template {
	uint8_t bytes[STREAM_LINE + 32];
	uint32_t len, tag_end; /* tag_end: behind the tag and the TCP options */
	struct tag_layout layout;
	struct virtio_net_hdr net; /* without num_buffers */
};

static inline bool profile_tcp(const struct stream_profile *p)
{
	return p->gso || p->csum;
}

/* What is wrong with a profile, as a part of a sentence; NULL: nothing. */
const char *profile_fault(const struct stream_profile *p);

/* The form of tag that tells least, of all sizes. */
enum tag_form profile_weakest_form(const struct stream_profile *p);

void template_make(struct stream_template *t, const struct stream_profile *p, uint16_t from,
    uint16_t to, uint32_t len);

static inline void template_put16(uint8_t *at, uint16_t value)
{
	value = __builtin_bswap16(value);
	memcpy(at, &value, 2);
}

static inline void template_put_mac(uint8_t *at, uint64_t mac)
{
	uint32_t low = mac;
	uint16_t high = mac >> 32;

	memcpy(at, &low, 4);
	memcpy(at + 4, &high, 2);
}

/* Write addresses and ports of a flow. */
static inline void template_put_flow(const struct stream_template *t, uint8_t *frame, uint16_t from,
    uint16_t to, uint32_t mac, uint32_t flow)
{
	uint8_t *ports = frame + t->layout.l2 + IP_LEN;

	template_put_mac(frame, tag_mac(to, mac));
	template_put_mac(frame + 6, tag_mac(from, mac));
	if (__builtin_expect(t->layout.protocol == TAG_OVER_ETHERNET, 0))
		return;
	template_put16(ports, flow);
	template_put16(ports + 2, TAG_PORT_BASE + (flow >> 16));
}
