/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames that the switch itself sends in the name of a port. */
#pragma once

#include <stdint.h>

#include "datapath/burst.h"

#define INJECT_FRAME_MAX 256

/*
 * Have a frame of len bytes (FRAME_MIN to INJECT_FRAME_MAX) learned, forwarded and accounted for as
 * if the guest had sent it on source. By the worker that polls source, between two bursts. Nothing
 * happens on a queue that is not enabled.
 */
void burst_inject(struct burst *b, const struct forwarding *fwd, struct queue *source,
    uint32_t now_s, const uint8_t *frame, uint32_t len);
