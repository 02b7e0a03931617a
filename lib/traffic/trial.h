/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A trial: traffic on all streams for a time at a rate, and the result.
 *
 * One thread sends and receives on all ports, so clocks need not be synchronised. The load is open
 * loop: every frame is due at a fixed time. The frame contains this time, and its latency counts
 * from this time. So if the generator is late, the figures get worse, not better. If the ring is
 * full when a frame is due, the frame waits, in order; `late` counts frames that left more than
 * TRIAL_LATE_NS after they were due. Rate 0 means full speed; then latency counts from sending.
 *
 * Latency is recorded for the first frame of every received burst. If frames arrive one by one,
 * that is every frame; otherwise it is the frame of the burst that waited longest. Frames whose tag
 * has no time are left out. If more than TRIAL_LATE_SHARE of the frames were late, the latencies
 * tell about the generator, not about the path.
 *
 * A port whose stream answers another stream sends one frame for each frame that arrived. It has no
 * share of the rate, and its frames are never late.
 *
 * Every port that has streams can send a recording instead of the frames of its streams. Then only
 * totals are known, and no latency.
 *
 * After the time, or after all frames, no frame is sent. The trial ends when no frame of it has
 * arrived for TRIAL_DRAIN_NS, and the back-end has taken none for as long, or after 50 times that
 * time. If frames still wait in the rings, the back-end has got no CPU or has stopped: then the
 * trial waits for TRIAL_TAKE_NS instead.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "traffic/stream.h"
#include "traffic/tport.h"
#include "traffic/trial_result.h"

#define TRIAL_LATE_NS    100000
#define TRIAL_DRAIN_NS   100000000
#define TRIAL_TAKE_NS    2000000000
#define TRIAL_LATE_SHARE 0.01

struct replay;
struct sender;

/* All trials since traffic_create(), to compare with the switch's counters. */
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
	uint16_t *by_ports;             /* [from * n_ports + to]: a stream, or n_streams */
	const struct replay *replay;    /* NULL: streams make their frames */
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
	double rate; /* frames per second, all streams together; 0: full speed; without answers */
	uint64_t frames; /* per port; 0: only the time is a limit */
	double speed;    /* of a replay: how many times the recorded speed; 0: use the rate */
};

/* Group the streams by port. 0 or -ENOMEM. Takes 50 ms to measure tsc_hz. */
int traffic_create(struct tport *port[], unsigned n_ports, struct stream *stream[],
    unsigned n_streams, struct traffic **ret_traffic);
void traffic_destroy(struct traffic *t);

/* Let every MAC address of every port send one frame, twice. Only total.hellos counts them. */
void traffic_introduce(struct traffic *t);

/* Run a trial; the streams' counters begin at 0. False: progress() asked to stop. */
bool trial_run(
    struct traffic *t, const struct trial_config *config, struct trial_result *ret_result);
