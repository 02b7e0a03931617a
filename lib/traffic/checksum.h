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
 * Judge a frame of len bytes without its net header. The first piece contains all headers of the
 * frame, and the net header is in memory before it. If the frame was sent with a request for
 * segmentation, only the net header is compared with what was sent. The checksum field is not
 * compared, because its value depends on the length of a segment, and some back-ends change it.
 */
enum checksum_state checksum_state(
    const struct stream_template *t, const struct tport_piece pieces[], uint32_t len);
