/* SPDX-License-Identifier: BSD-3-Clause */
/* A port that frames leave by, within a trial; for trial.c only. */
#pragma once

#include "traffic/replay.h"
#include "traffic/trial.h"

struct sender {
	struct tport *port;
	unsigned index;           /* of the port */
	unsigned n_streams, turn; /* whose next */
	struct stream **stream;
	unsigned pair;        /* whose next */
	uint64_t sent, limit; /* in this trial */
	uint64_t late;        /* cycles after which a frame is */
	double interval, due; /* cycles between two frames; when the next one is due */
	uint64_t next;        /* of the frames of a replay */
	double pace;          /* cycles per nanosecond of a replay; 0: as the interval says */
};

/* Send what is due, at most a burst; returns how many frames. */
unsigned sender_send(struct sender *s, uint64_t now, struct trial_result *r);
unsigned sender_replay(struct sender *s, const struct replay *replay, uint64_t now,
    struct stream_counts *counts, struct trial_result *r);
