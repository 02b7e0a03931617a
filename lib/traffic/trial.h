/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A trial: traffic on all streams for a time at a rate, and what came of it.
 *
 * One thread sends and receives on all ports, so times need no synchronising. The load is open
 * loop: every frame has a time at which it is due, carries that time, and its latency counts from
 * there, so a generator that falls behind makes the figures worse, not better. A frame that is due
 * while the ring is full waits, in order; `late` counts frames that left more than TRIAL_LATE_NS
 * after they were due. Rate 0: as fast as it goes; then latency counts from the moment of sending.
 *
 * Latency is recorded of the first frame of every burst that is received: of all frames when they
 * come one by one, and of the one that has waited longest when they do not.
 *
 * In place of frames that streams make, every port that has streams can send what was recorded:
 * then only totals are known, and no latency.
 *
 * After the time, or all frames, nothing more is sent, and the trial ends when nothing of it has
 * come for TRIAL_DRAIN_NS, or after 50 times that.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "traffic/histogram.h"
#include "traffic/stream.h"
#include "traffic/tport.h"

#define TRIAL_LATE_NS  100000
#define TRIAL_DRAIN_NS 100000000

/* Where streams begin and end. */
struct replay;
struct trial_result;
struct sender;

/* Of all trials since traffic_create(), for whoever compares with the switch's books. */
struct trial_total {
	uint64_t trials;
	uint64_t hellos; /* sent by traffic_introduce() */
	uint64_t broken; /* queues, as in a result */
	struct stream_counts counts;
};

struct traffic {
	unsigned n_ports;
	struct tport **port;
	unsigned n_streams;
	struct stream **stream;
	const struct replay *replay; /* if any: what streams send in place of frames of their own */
	struct stream_counts *replayed; /* by port */
	unsigned n_senders; /* one for each port that has streams; see traffic_create() */
	struct sender *sender;
	double tsc_hz;
	struct trial_total total;
	bool (*progress)(void *arg, const struct trial_result *so_far);
	void *progress_arg;
};

struct trial_config {
	double seconds;
	double rate;     /* frames per second, all streams together; 0: as fast as it goes */
	uint64_t frames; /* per port; 0: no limit but the time */
	double speed;    /* of a replay, in times of how it was recorded; 0: as the rate says */
};

struct trial_result {
	double seconds;   /* of sending */
	uint64_t offered; /* frames due in that time; with rate 0: sent */
	struct stream_counts sum;
	uint64_t lost;
	uint64_t extra;         /* of a replay: received and not sent, so flooded or from others */
	uint64_t foreign;       /* received where it was not meant to go, or by nobody we know */
	uint64_t spoilt;        /* corrupt so that it is not clear of which stream; in the sum */
	uint64_t late, refused; /* frames late; times that a ring had less room than wanted */
	uint64_t broken;        /* queues whose device broke the rules */
	/* How the generator spent its time, in cycles: with frames, and looking for some. */
	uint64_t busy_cycles, idle_cycles;
	struct histogram latency; /* nanoseconds */
};

/* Group the streams by port. 0 or -ENOMEM. tsc_hz is measured (50 ms). */
int traffic_create(struct tport *port[], unsigned n_ports, struct stream *stream[],
    unsigned n_streams, struct traffic **ret_traffic);
void traffic_destroy(struct traffic *t);

/* Let every MAC of every port send one frame, twice; only total.hellos counts them. */
void traffic_introduce(struct traffic *t);

/* Run a trial; the streams' counters begin at 0. False: progress() said stop. */
bool trial_run(
    struct traffic *t, const struct trial_config *config, struct trial_result *ret_result);
