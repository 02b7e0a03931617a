/* SPDX-License-Identifier: BSD-3-Clause */
/* What a trial counted. */
#pragma once

#include <stdint.h>

#include "traffic/histogram.h"
#include "traffic/stream.h"

struct trial_result {
	double seconds;   /* of sending */
	uint64_t offered; /* frames due in that time; with rate 0: sent */
	struct stream_counts sum;
	uint64_t lost;
	uint64_t extra;   /* of a replay: received but not sent, so flooded or from others */
	uint64_t foreign; /* received at the wrong port, or from an unknown sender */
	uint64_t corrupt_unknown; /* corrupt frames of unknown streams; part of the sum */
	uint64_t late, refused;   /* late frames; how often a ring had less room than wanted */
	uint64_t broken;          /* queues with a device that broke the rules */
	/* The generator's time in cycles: with frames, and looking for frames. */
	uint64_t busy_cycles, idle_cycles;
	struct histogram latency; /* nanoseconds */
};
