/* SPDX-License-Identifier: BSD-3-Clause */
/* One number for all frames of a flow. */
#pragma once

#include <stdint.h>

/*
 * Hash what identifies the flow of an Ethernet frame, of which the first len bytes are given:
 * IP addresses and, for TCP, UDP and SCTP, ports. All fragments of a datagram hash alike. Other
 * frames: MAC addresses and ethertype. The high bits are as good as the low ones.
 */
uint32_t flow_hash(const uint8_t *frame, uint32_t len);
