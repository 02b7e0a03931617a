/* SPDX-License-Identifier: BSD-3-Clause */
/* What one port may take of what all share. */
#pragma once

#include <stdint.h>

/*
 * Bytes mapped by one port: more than any guest has; and by all ports together: of the 128 TiB of
 * address space the rest is for the switch, and for guests that come when hostile ones have taken
 * all they can get. Beyond half of it a port gets VHOST_MAPPED_SURE only, which 1,024 ports find
 * room for.
 */
#define VHOST_MAPPED_MAX  (UINT64_C(4) << 40)
#define VHOST_MAPPED_HALF (UINT64_C(48) << 40)
#define VHOST_MAPPED_SURE (UINT64_C(64) << 30)

/*
 * Slots of the guard (guard.h) in all are 65,536. Beyond half of them a port gets so many only,
 * which 1,024 ports find room for: a guest, its log and its in-flight area.
 */
#define VHOST_REGIONS_HALF 32768
#define VHOST_REGIONS_SURE 32

/*
 * Descriptors that are being closed. An honest front-end has a message's eight at most for some
 * microseconds; a port that has so many is not read from until they are fewer.
 */
#define VHOST_CLOSING_MAX 16
