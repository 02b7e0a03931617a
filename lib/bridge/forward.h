/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bridge decides from the two addresses of a frame where the frame goes, by the rules of IEEE
 * 802.1Q. It gets the addresses of all frames of a burst at once, and returns a verdict for each.
 */
#pragma once

#include <stdint.h>

#include "bridge/fdb.h"

#define FORWARD_BURST 32

/*
 * A verdict is the number of a port, or one of these values. The port is the one on which the
 * frame's destination address was learned.
 */
enum forward_verdict {
	FORWARD_FLOOD = 0xffff,           /* send the frame to all ports but the one it came from */
	FORWARD_DROP_BAD_SOURCE = 0xfffd, /* the source address is a group address or zero */
	/*
	 * The destination address is 01:80:c2:00:00:00 to :0f. Bridges do not forward such frames
	 * (802.1Q, 8.6.3).
	 */
	FORWARD_DROP_LINK_LOCAL = 0xfffc,
	/* The destination address was learned on the port that the frame came from. */
	FORWARD_DROP_HAIRPIN = 0xfffb,
};

/*
 * Let forward_burst() flood link-local frames (see FORWARD_DROP_LINK_LOCAL), too. Pause frames, to
 * 01:80:c2:00:00:01, are still dropped. Call this before any thread calls forward_burst() for the
 * table.
 */
void forward_link_local_too(struct fdb *fdb);

/*
 * Learn that the source addresses of n frames (at most FORWARD_BURST) are on port in_port, and
 * store a verdict for each frame. The addresses dst[i] and src[i] are those of frame i, both in the
 * domain of the frame; see fdb_address(). now_s is the time in seconds.
 *
 * Any thread may call this at any time. The function writes to the table only for a source that is
 * new, has moved to in_port, or was not seen since the current tick began (see fdb.h).
 */
void forward_burst(struct fdb *fdb, uint16_t in_port, uint32_t now_s, unsigned n,
    const uint64_t dst[], const uint64_t src[], uint16_t ret_verdict[]);
