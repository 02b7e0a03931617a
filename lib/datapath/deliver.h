/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage 6: reserve, copy, complete and notify one destination queue.
 *
 * Called by the worker that runs the burst. A queue that several workers may write is locked for
 * the whole visit, and its driver is called after that. No call into a file of a front-end is made
 * under the lock. But a page fault in guest memory may wait there, above all for a page of a guest
 * that arrives by postcopy migration; then other workers wait for the lock.
 */
#pragma once

#include "datapath/burst.h"

/*
 * Put the frames of the group that are not done yet into its queue, in order. A frame is done if it
 * was delivered, or dropped and counted for another reason than a full ring. The frames that are
 * not done found the ring full; deliver_group() may be called again for them.
 */
void deliver_group(struct burst *b, struct group *g);

/* Drop the frames of the group that are not done. The caller holds the queue's lock. */
void deliver_drop_rest(struct group *g);

/* Count a frame that is dropped because vring_reserve() decided neither OK nor NONE for it. */
void deliver_drop_unreserved(struct queue *q, enum vring_reserve_status status);
