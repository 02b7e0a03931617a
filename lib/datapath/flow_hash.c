/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/flow_hash.h"

#include <stdbool.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/ethernet.h"

#define IPV4_LEN  20
#define IPV6_LEN  40
#define PORTS_LEN 4

static uint64_t mix_bytes(uint64_t hash, const uint8_t *p, uint32_t len)
{
	for (; len >= 8; p += 8, len -= 8) {
		uint64_t word;

		memcpy(&word, p, 8);
		hash = crc32c_u64(hash, word);
	}
	for (; len >= 2; p += 2, len -= 2)
		hash = crc32c_u16(hash, load16(p));
	return hash;
}

static bool has_ports(uint8_t proto)
{
	return proto == 6 || proto == 17 || proto == 132;
}

static uint64_t mix_ports(
    uint64_t hash, const uint8_t *frame, uint32_t at, uint32_t len, uint8_t proto)
{
	hash = crc32c_u8(hash, proto);
	if (!has_ports(proto))
		return hash;
	if (at + PORTS_LEN <= len)
		return mix_bytes(hash, frame + at, PORTS_LEN);
	/* Behind a tag that stays when another one is removed, only the source port is left. */
	return at + 2 <= len ? mix_bytes(hash, frame + at, 2) : hash;
}

static uint64_t mix_ipv4(uint64_t hash, const uint8_t *frame, uint32_t at, uint32_t len)
{
	const uint8_t *ip = frame + at;

	if (at + IPV4_LEN > len)
		return hash;
	hash = mix_bytes(hash, ip + 12, 8);
	/*
	 * Only the first fragment of a packet has ports. So ports are not hashed for any fragment.
	 */
	if (load16(ip + 6) & 0x3fff)
		return hash;
	return mix_ports(hash, frame, at + (ip[0] & 15) * 4u, len, ip[9]);
}

static uint64_t mix_ipv6(uint64_t hash, const uint8_t *frame, uint32_t at, uint32_t len)
{
	const uint8_t *ip = frame + at;

	if (at + IPV6_LEN > len)
		return hash;
	hash = mix_bytes(hash, ip + 8, 32);
	/*
	 * Ports are hashed only if they follow the IPv6 header directly. A fragment has another
	 * header in between.
	 */
	return has_ports(ip[6]) ? mix_ports(hash, frame, at + IPV6_LEN, len, ip[6]) : hash;
}

/* crc32 is linear. A multiplication spreads it into the high bits, which choose the queue. */
static uint32_t finish(uint64_t hash)
{
	uint64_t product = (hash & 0xffffffff) * UINT64_C(0x9e3779b97f4a7c15);

	return product >> 32;
}

uint32_t flow_hash(const uint8_t *frame, uint32_t len)
{
	uint64_t hash;
	uint32_t l3;
	uint16_t type;

	if (len < ETH_LEN)
		return 0;
	type = ethernet_skip_tags(frame, len, &l3);
	if (type == ETHERTYPE_IPV4 && l3 + IPV4_LEN <= len)
		hash = mix_ipv4(1, frame, l3, len);
	else if (type == ETHERTYPE_IPV6 && l3 + IPV6_LEN <= len)
		hash = mix_ipv6(1, frame, l3, len);
	else
		hash = crc32c_u16(mix_bytes(1, frame, 12), type);
	return finish(hash);
}
