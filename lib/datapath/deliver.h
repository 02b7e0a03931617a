/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage 5: reserve, copy, complete and notify one destination queue.
 *
 * Called by the worker that runs the burst. A queue that several workers may write is locked
 * for the whole visit; nothing inside waits for a guest, and its driver is called afterwards.
 */
#pragma once

#include "datapath/burst.h"

/*
 * Put the frames of the group that are not done yet into its queue, in order. Those are done that
 * were delivered, or dropped and counted for another reason than want of buffers. The rest
 * found the ring full and may be offered again.
 */
void deliver_group(struct burst *b, struct group *g);

/* Give up on what is left of the group. The caller holds the queue's lock. */
void deliver_drop_rest(struct group *g);

/* Count a request for room that vring_reserve refused for another reason than want of buffers. */
void deliver_drop_room(struct queue *q, enum vring_room_status status);
