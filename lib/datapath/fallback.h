/* SPDX-License-Identifier: BSD-3-Clause */
/* Finish frames in software if the destination's driver did not negotiate their offload. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct burst;
struct group;
struct fallback;

/* Create the scratch memory of one worker. NULL: no memory. */
struct fallback *fallback_create(void);
void fallback_destroy(struct fallback *fb);

/*
 * Deliver or drop the first frame of the group that is not done. Before it is delivered, its
 * checksum is filled in, or it is segmented. False: the ring has too few buffers; g->part and
 * g->rest say how much of the frame is left.
 *
 * b->work limits the software work of a burst, for all its destinations together. If it is used up,
 * further frames are dropped. The caller holds the queue's lock.
 */
bool deliver_fallback(struct burst *b, struct group *g);
