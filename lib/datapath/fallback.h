/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames whose offload the receiving driver did not negotiate: finished in software. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct burst;
struct group;
struct fallback;

/* One worker's scratch memory; NULL when there is none. */
struct fallback *fallback_create(void);
void fallback_destroy(struct fallback *fb);

/*
 * Deliver the group's first frame that is not done with its checksum filled in, in as many segments
 * as it takes, or drop it. False: the ring has too few buffers, and the group knows how much of
 * the frame is left.
 *
 * What a burst's frames cost here, for all its destinations, is bounded by b->work; a frame that
 * comes later is dropped. The caller holds the queue's lock.
 */
bool deliver_fallback(struct burst *b, struct group *g);
