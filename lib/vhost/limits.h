/* SPDX-License-Identifier: BSD-3-Clause */
/* The limits of one port for resources that all ports share. */
#pragma once

#include <stdint.h>

/*
 * The bytes that one port may map. VHOST_MAPPED_MAX is more than any guest has. But if all ports
 * together have mapped more than VHOST_MAPPED_HALF, a port may map only VHOST_MAPPED_SURE. Then
 * 1,024 such ports, and the switch itself, fit into the address space of 128 TiB.
 */
#define VHOST_MAPPED_MAX  (UINT64_C(4) << 40)
#define VHOST_MAPPED_HALF (UINT64_C(48) << 40)
#define VHOST_MAPPED_SURE (UINT64_C(64) << 30)

/*
 * The number of mappings of one port. The guard (guard.h) has 65,536 slots. If half of them are in
 * use, a port may have only VHOST_REGIONS_SURE mappings, so that there is room for 1,024 ports.
 * This is enough for guest memory, a dirty log and an in-flight area.
 */
#define VHOST_REGIONS_HALF 32768
#define VHOST_REGIONS_SURE 32

/*
 * The number of descriptors of one port that are being closed. An honest front-end has at most
 * eight, those of one message, and only for a short time. If a port reaches the limit, its socket
 * is not read until fewer are being closed.
 */
#define VHOST_CLOSING_MAX 16
/* The number of mappings of one port that errands unmap, before its next mapping must wait. */
#define VHOST_UNMAPPING_MAX 4
