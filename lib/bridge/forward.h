/* SPDX-License-Identifier: BSD-3-Clause */
/* Decide where frames go, by the rules of IEEE 802.1Q: addresses of a burst in, verdicts out. */
#pragma once

#include <stdint.h>

#include "bridge/fdb.h"

/* A verdict is what was learned for the destination (a port), or one of these. */
enum forward_verdict {
	FORWARD_FLOOD = 0xffff,           /* to every other port */
	FORWARD_DROP_BAD_SOURCE = 0xfffd, /* the source is a group address or zero */
	FORWARD_DROP_LINK_LOCAL = 0xfffc, /* 01:80:c2:00:00:0x stays on its link (8.6.3) */
	FORWARD_DROP_HAIRPIN = 0xfffb,    /* the destination is on the port the frame came from */
};

/*
 * From now on flood link-local frames like frames to other groups, except pause frames
 * (01:80:c2:00:00:01), which concern the link itself. Call this before any thread forwards by the
 * table.
 */
void forward_link_local_too(struct fdb *fdb);

/*
 * Learn the sources of n frames from in_port and decide where each frame goes. dst and src are from
 * mac_load(). Any thread. It writes to the table only for sources that are new, have moved or were
 * not confirmed in the current tick (see fdb.h).
 */
void forward_burst(struct fdb *fdb, uint16_t in_port, uint32_t now_s, unsigned n,
    const uint64_t dst[], const uint64_t src[], uint16_t ret_verdict[]);
