/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge/rarp.h"

#include <string.h>

void rarp_build(uint8_t frame[RARP_FRAME_LEN], const uint8_t mac[6])
{
	/* Ethertype RARP. Then Ethernet, IPv4, addresses of 6 and 4 bytes, "request reverse". */
	static const uint8_t what[] = {0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3};

	memset(frame, 0, RARP_FRAME_LEN);
	memset(frame, 0xff, 6);
	memcpy(frame + 6, mac, 6);
	memcpy(frame + 12, what, sizeof(what));
	memcpy(frame + 22, mac, 6); /* sender hardware address */
	memcpy(frame + 32, mac, 6); /* target hardware address */
}
