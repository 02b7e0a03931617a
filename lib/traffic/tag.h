/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tag of a frame: what the receiver needs to count it.
 *
 * The full tag has 22 bytes behind the headers. A frame without room for it has a smaller tag, so
 * less is known about the frame; see TAG_FORMS. The length and the headers of a frame say which
 * form it has. The smaller forms do not name the stream: the MAC addresses contain both ports
 * instead. Frames that are too short for IPv4 and a tag have no IPv4 header.
 *
 * Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { ETH_LEN = 14, VLAN_LEN = 4, IP_LEN = 20, UDP_LEN = 8, TCP_LEN = 20 };

#define TAG_ETHERTYPE 0x88b5 /* of frames without IPv4: for local experiments (IEEE 802) */
#define TAG_HELLO     0xffff /* the stream of frames that only let addresses be learned */
#define TAG_PORT_BASE 0x2000 /* of the destination port; the source port is the flow's low half */
#define TAG_TICK      6      /* a short time counts units of 2^6 cycles */

/*
 * name, bytes, what the tag tells: order and copies, the frame's age, changed bits (a check sum).
 * TAG_TCP is in the TCP header: sequence and acknowledgement number and window.
 */
#define TAG_FORMS(X) \
	X(FULL, 22, true, true, true) \
	X(SHORT, 10, true, true, true) \
	X(TCP, 0, true, true, true) \
	X(NUMBER, 6, true, false, true) \
	X(ORDINAL, 2, true, false, false) \
	X(NONE, 0, false, false, false)

#define X(name, bytes, order, age, sum) TAG_##name,
enum tag_form { TAG_FORMS(X) TAG_FORM_COUNT };
#undef X

/* What a tag of a form tells. */
struct tag_tells {
	bool order, age, sum;
};
extern const struct tag_tells tag_tells[TAG_FORM_COUNT];

/* What follows the Ethernet header. */
enum tag_protocol { TAG_OVER_UDP, TAG_OVER_TCP, TAG_OVER_ETHERNET };

/* Where the tag of a frame is. */
struct tag_layout {
	uint8_t form;     /* enum tag_form */
	uint8_t protocol; /* enum tag_protocol */
	uint8_t l2;       /* the end of the Ethernet header and the VLAN tag */
	uint8_t at, end;  /* of the tag; end is also the end of all headers */
};

/* The layout of a frame with this protocol, or over Ethernet if the frame is too short for it. */
struct tag_layout tag_layout(bool vlan, bool tcp, uint32_t len);

/* The tag of a received frame. */
struct stream_tag {
	uint16_t stream; /* with TAG_FULL; otherwise the two ports are known: */
	uint16_t from, to;
	uint32_t flow, number;
	uint64_t time; /* with smaller forms: 32 bits of time >> TAG_TICK */
	uint8_t form;
	bool intact; /* false: the fields may be wrong */
};

/* Write the tag. number and time may have more bits than the form. */
void tag_put(const struct tag_layout *layout, uint8_t *frame, const struct stream_tag *tag);

/* As much of a number as a form has. */
static inline uint32_t tag_number(enum tag_form form, uint32_t number)
{
	return form == TAG_NONE ? 0 : form == TAG_ORDINAL ? (uint16_t)number : number;
}

/* The age of a frame in cycles; only if its form tells it. */
static inline uint64_t tag_age(const struct stream_tag *tag, uint64_t now)
{
	if (__builtin_expect(tag->form != TAG_FULL, 0))
		return (uint64_t)((uint32_t)(now >> TAG_TICK) - (uint32_t)tag->time) << TAG_TICK;
	return now > tag->time ? now - tag->time : 0;
}

/*
 * Is it a frame of a stream? A hello is not. If the tag was changed, the frame is recognised as
 * long as the mark or the check sum is right; smaller forms have the MAC addresses as their mark.
 */
bool stream_read_tag(const uint8_t *frame, uint32_t len, struct stream_tag *ret_tag);

/*
 * Locally administered MAC addresses: the port in the second and third byte, then the number of the
 * address, in memory order.
 */
static inline uint64_t tag_mac(uint16_t port, uint32_t mac)
{
	return UINT64_C(0x02) | (uint64_t)__builtin_bswap16(port) << 8 |
	    (uint64_t)__builtin_bswap32(mac & 0xffffff) << 16;
}

/* The full tag. It has the byte order of this machine, because it is only read here. */
struct tag {
	uint16_t magic, stream;
	uint32_t flow, number;
	uint64_t time;
	uint16_t check;
} __attribute__((packed));

#define TAG_MAGIC 0x7653u

/* Detects a change of any 16 bits, at any place. */
static inline uint16_t tag_check(uint16_t stream, uint32_t flow, uint32_t number, uint64_t time)
{
	uint64_t sum = time ^ ((uint64_t)flow << 32 | number) ^ stream;

	sum ^= sum >> 32;
	sum ^= sum >> 16;
	return ~sum;
}

/*
 * Write each field to its place: reading small stores as one large value would wait for the stores.
 */
static inline void tag_put_full(
    uint8_t *at, uint16_t stream, uint32_t flow, uint32_t number, uint64_t time)
{
	struct tag *tag = (struct tag *)at;

	tag->magic = TAG_MAGIC;
	tag->stream = stream;
	tag->flow = flow;
	tag->number = number;
	tag->time = time;
	tag->check = tag_check(stream, flow, number, time);
}
