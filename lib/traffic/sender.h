/* SPDX-License-Identifier: BSD-3-Clause */
/* A port that sends frames in a trial; for trial.c only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "traffic/replay.h"
#include "traffic/stream.h"
#include "traffic/tport.h"

struct trial_result;

struct sender {
	struct tport *port;
	unsigned index;           /* of the port */
	unsigned n_streams, turn; /* turn: the stream that sends next */
	unsigned train;           /* frames in succession that it has sent */
	struct stream **stream;
	unsigned pair;        /* that sends next */
	uint64_t sent, limit; /* frames in this trial */
	uint64_t late;        /* a frame that leaves more cycles after it was due is late */
	double interval, due; /* cycles between two frames; when the next frame is due */
	uint64_t next;        /* the next frame of a replay */
	double pace;          /* cycles per nanosecond of a replay; 0: use interval */
};

/* Does it only send as many frames as arrived? */
static inline bool sender_answers(const struct sender *s)
{
	return s->stream[0]->answers != NULL;
}

/* Send the frames that are due, at most a burst; returns their number. */
unsigned sender_send(struct sender *s, uint64_t now, struct trial_result *r);
unsigned sender_replay(struct sender *s, const struct replay *replay, uint64_t now,
    struct stream_counts *counts, struct trial_result *r);
