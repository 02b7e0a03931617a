/* SPDX-License-Identifier: BSD-3-Clause */
/* The frame by which a network learns that a station has moved (RFC 903). */
#pragma once

#include <stdint.h>

#define RARP_FRAME_LEN 60

/* A reverse ARP request about mac, from mac, to everyone. */
void rarp_build(uint8_t frame[RARP_FRAME_LEN], const uint8_t mac[6]);
