/* SPDX-License-Identifier: BSD-3-Clause */
/* The Ethernet header, and numbers in network byte order at any address. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define ETH_LEN        14
#define ETHERTYPE_VLAN 0x8100
#define ETHERTYPE_QINQ 0x88a8
#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd

static inline uint16_t load16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline void store16(uint8_t *p, uint16_t v)
{
	p[0] = v >> 8;
	p[1] = v;
}

static inline uint32_t load32(const uint8_t *p)
{
	return (uint32_t)load16(p) << 16 | load16(p + 2);
}

static inline void store32(uint8_t *p, uint32_t v)
{
	store16(p, v >> 16);
	store16(p + 2, v);
}

static inline bool ethertype_is_tag(uint16_t type)
{
	return type == ETHERTYPE_VLAN || type == ETHERTYPE_QINQ;
}

/*
 * Skip up to two VLAN tags. frame is the first len bytes of a frame. Returns the ethertype behind
 * the tags. *ret_l3 is the offset behind this ethertype. If there are more tags, or if the bytes
 * end inside the tags, the function returns the type of a tag. If the bytes end before the first
 * ethertype, it returns 0.
 */
static inline uint16_t ethernet_skip_tags(const uint8_t *frame, uint32_t len, uint32_t *ret_l3)
{
	uint32_t at = ETH_LEN - 2;
	uint16_t type;

	*ret_l3 = ETH_LEN;
	if (len < ETH_LEN)
		return 0;
	type = load16(frame + at);
	for (unsigned tags = 0; tags < 2 && ethertype_is_tag(type) && at + 6 <= len; tags++) {
		at += 4;
		type = load16(frame + at);
	}
	*ret_l3 = at + 2;
	return type;
}
