/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage 6: reserve, copy, complete and notify one destination queue.
 *
 * The worker that runs the burst calls these functions. A queue that several workers may write is
 * locked for the whole visit. Its driver is called after the unlock, because no system call on a
 * front-end's file is made under the lock. But a page fault in guest memory may wait under the
 * lock. This happens mostly if the guest arrives by postcopy migration and a page is missing. Then
 * other workers wait for the lock.
 */
#pragma once

#include "datapath/burst.h"

/*
 * Deliver the frames of the group that are not done yet, in order. A frame is done if it was
 * delivered, or if it was dropped for another reason than a full ring. For frames that are not done
 * afterwards the ring was full; deliver_group() may be called again for them.
 */
void deliver_group(struct burst *b, struct group *g);

/* Drop the frames of the group that are not done. The caller holds the queue's lock. */
void deliver_drop_rest(struct group *g);
