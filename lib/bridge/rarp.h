/* SPDX-License-Identifier: BSD-3-Clause */
/* A frame from which a network learns that a station has moved (RFC 903). */
#pragma once

#include <stdint.h>

#define RARP_FRAME_LEN 60

/* Build a reverse ARP request for mac, from mac, to the broadcast address. */
void rarp_build(uint8_t frame[RARP_FRAME_LEN], const uint8_t mac[6]);
