/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage 5: reserve, copy, complete and notify one destination queue.
 *
 * Called by the worker that runs the burst. A queue that several workers may write is locked
 * for the whole visit; nothing inside waits for a guest.
 */
#pragma once

#include "datapath/burst.h"

/*
 * Put n frames of the burst into q, in order. Returns how many are settled: delivered, or
 * dropped and counted for another reason than want of buffers. The rest found the ring full
 * and may be offered again. needs: the offloads that any of them needs.
 */
unsigned deliver_frames(
    struct burst *b, struct queue *q, uint32_t needs, const uint8_t frames[], unsigned n);

/* Give up on n frames for q. */
void deliver_drop_full(struct queue *q, unsigned n);

/* Count a request for room that vring_reserve refused for another reason than want of buffers. */
void deliver_drop_room(struct queue *q, enum vring_room_status status);
