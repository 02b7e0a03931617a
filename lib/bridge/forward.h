/* SPDX-License-Identifier: BSD-3-Clause */
/* The bridge's decision: addresses of a burst in, verdicts out. IEEE 802.1Q's rules. */
#pragma once

#include <stdint.h>

#include "bridge/fdb.h"

/* A verdict is a port index or one of these. */
enum forward_verdict {
	FORWARD_FLOOD = 0xffff,           /* to every other port */
	FORWARD_DROP_BAD_SOURCE = 0xfffd, /* source is a group address or zero */
	FORWARD_DROP_LINK_LOCAL = 0xfffc, /* 01:80:c2:00:00:0x stays on its link (8.6.3) */
	FORWARD_DROP_HAIRPIN = 0xfffb,    /* destination is where it came from */
};

/*
 * From now on link-local frames are flooded like those to other groups, all but pause frames
 * (01:80:c2:00:00:01), which concern the link itself. Before anybody forwards by the table.
 */
void forward_link_local_too(struct fdb *fdb);

/*
 * Learn the sources of n frames received on in_port and decide where each goes. dst and src as
 * from mac_load(). Any thread; writes to the table only for sources that are new, have moved or
 * were not seen within this second.
 */
void forward_burst(struct fdb *fdb, uint16_t in_port, uint32_t now_s, unsigned n,
    const uint64_t dst[], const uint64_t src[], uint16_t ret_verdict[]);
