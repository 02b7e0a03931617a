/* SPDX-License-Identifier: BSD-3-Clause */
/* The limits of what one port may use of things that all ports share. */
#pragma once

#include <stdint.h>

/*
 * Bytes that one port may map: VHOST_MAPPED_MAX is more than any guest has. But if all ports
 * together have mapped more than VHOST_MAPPED_HALF, a port may map only VHOST_MAPPED_SURE. Of the
 * 128 TiB of address space there is then room for 1,024 such ports, and for the switch itself.
 */
#define VHOST_MAPPED_MAX  (UINT64_C(4) << 40)
#define VHOST_MAPPED_HALF (UINT64_C(48) << 40)
#define VHOST_MAPPED_SURE (UINT64_C(64) << 30)

/*
 * Mappings of one port: the guard (guard.h) has 65,536 slots. If half of them are in use, a port
 * may have only VHOST_REGIONS_SURE mappings, so that there is room for 1,024 ports. This is enough
 * for guest memory, a dirty log and an in-flight area.
 */
#define VHOST_REGIONS_HALF 32768
#define VHOST_REGIONS_SURE 32

/*
 * Descriptors of one port that are being closed. An honest front-end has at most the eight of one
 * message, and only for a short time. If a port has this many, its socket is not read until it has
 * fewer.
 */
#define VHOST_CLOSING_MAX 16
