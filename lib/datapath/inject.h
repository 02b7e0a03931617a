/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames that the switch itself sends, as if a port had sent them. */
#pragma once

#include <stdint.h>

#include "datapath/burst.h"

#define INJECT_FRAME_MAX 256

/*
 * Learn, forward and count a frame of len bytes (FRAME_MIN to INJECT_FRAME_MAX) as if the guest had
 * sent it on source. Call this in the worker that polls source, between two bursts. It does nothing
 * if the queue is not enabled.
 */
void burst_inject(struct burst *b, const struct forwarding *fwd, struct queue *source,
    uint32_t now_s, const uint8_t *frame, uint32_t len);
