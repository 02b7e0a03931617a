/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames that were recorded elsewhere, to be sent as they are. They have no tag, so all that can be
 * known of them is how many were sent and how many came.
 *
 * Made by one thread, then only read.
 */
#pragma once

#include <stdint.h>

#define REPLAY_FRAME_MIN 14 /* without a whole Ethernet header it is no frame */

struct replay_frame {
	uint64_t offset; /* in the bytes */
	uint64_t at;     /* nanoseconds after the first; never less than that of the one before */
	uint32_t len;
	uint32_t number; /* in what was recorded, from 1 */
};

/* Frames that cannot be sent: how many, and which was the first, counted from 1. */
struct replay_left_out {
	uint64_t n, first;
};

struct replay {
	uint64_t n, n_read; /* frames to send; and those left out, too */
	struct replay_frame *frame;
	uint8_t *bytes;
	uint64_t n_bytes, frame_room, byte_room;
	uint32_t longest;
	uint64_t span; /* nanoseconds from the first frame to the first of the next round */
	struct replay_left_out too_short, too_long, cut; /* cut: recorded in part */
};

/* Add one; len is what it had, captured what there is of it. 0 or -ENOMEM. */
int replay_add(
    struct replay *r, const uint8_t *bytes, uint32_t captured, uint32_t len, uint64_t at);

/* All are there: make times relative. */
void replay_finish(struct replay *r);

/* Leave out what is longer. */
void replay_limit(struct replay *r, uint32_t frame_max);

void replay_cleanup(struct replay *r);
