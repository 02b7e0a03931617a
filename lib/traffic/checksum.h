/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The TCP checksum of a received frame that was sent with a partial one.
 *
 * Threads: any.
 */
#pragma once

#include "traffic/template.h"
#include "traffic/tport.h"

enum checksum_state {
	CHECKSUM_PARTIAL,  /* as it was sent, and the net header still has the request */
	CHECKSUM_COMPLETE, /* completed on the way, and right */
	CHECKSUM_LOST,     /* partial, but the request is lost or changed */
	CHECKSUM_WRONG,
};

/*
 * len is the frame's length. The first piece contains the headers, with a net header before them.
 * With a request for segmentation only the request is looked at: the sum of the pseudo header
 * depends on the segment, and some back-ends write it anew.
 */
enum checksum_state checksum_state(
    const struct stream_template *t, const struct tport_piece pieces[], uint32_t len);
