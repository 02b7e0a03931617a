/* SPDX-License-Identifier: BSD-3-Clause */
/* A hash that is the same for all frames of a flow. */
#pragma once

#include <stdint.h>

/*
 * Hash the fields that identify the flow of an Ethernet frame. `frame` is the first len bytes of
 * the frame. For IP the fields are the addresses and, for TCP, UDP and SCTP, the ports. All
 * fragments of a datagram have the same hash. For other protocols the fields are the MAC addresses
 * and the ethertype. High and low bits of the hash are equally good.
 */
uint32_t flow_hash(const uint8_t *frame, uint32_t len);
