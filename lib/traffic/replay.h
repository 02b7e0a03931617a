/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recorded frames that are sent unchanged. They have no tag, so only the numbers of sent and
 * received frames are known.
 *
 * One thread makes a replay; then it is only read.
 */
#pragma once

#include <stdint.h>

#define REPLAY_FRAME_MIN 14 /* shorter frames have no whole Ethernet header */

struct replay_frame {
	uint64_t offset; /* in `bytes` */
	uint64_t at;     /* nanoseconds after the first frame; never decreases */
	uint32_t len;
	uint32_t number; /* number in the recording, from 1 */
};

/* Frames that cannot be sent: their number, and the first of them, counted from 1. */
struct replay_left_out {
	uint64_t n, first;
};

struct replay {
	uint64_t n, n_read; /* frames to send; frames read */
	struct replay_frame *frame;
	uint8_t *bytes;
	uint64_t n_bytes, frame_room, byte_room;
	uint32_t longest;
	uint64_t span; /* nanoseconds from the first frame to the first frame of the next round */
	struct replay_left_out too_short, too_long, cut; /* cut: recorded only in part */
};

/* Add a frame; len is its length, captured how much of it was recorded. 0 or -ENOMEM. */
int replay_add(
    struct replay *r, const uint8_t *bytes, uint32_t captured, uint32_t len, uint64_t at);

/* All frames have been added: make times relative. */
void replay_finish(struct replay *r);

/* Leave out longer frames. */
void replay_limit(struct replay *r, uint32_t frame_max);

void replay_cleanup(struct replay *r);
