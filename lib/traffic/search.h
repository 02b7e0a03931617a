/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Searches made of trials: how much traffic goes through.
 *
 * MRR: what arrives when as much is offered as the generator can, in trials of one length.
 *
 * NDR and PDR by MLRsearch (draft-ietf-bmwg-mlrsearch), with its parameters: a load is measured in
 * short trials until it is clear whether more than half (the exceed ratio) of the goal's duration
 * sum would be bad, that is, lose more than the goal allows; so one hiccup does not end the search.
 * The bounds start at what MRR saw, go down in growing steps to a load that holds, and then halve
 * the interval to the width.
 *
 * RFC 2544: throughput (26.1), the highest rate without a single frame lost, by halving; frame loss
 * rate (26.3), what is lost at all of the highest rate, at 90 %, at 80 %, until two loads in
 * succession lose nothing; and back-to-back (26.4), the longest burst at full speed without loss.
 */
#pragma once

#include "traffic/trial.h"

struct search_goal {
	const char *name;
	double loss;         /* ratio of frames that may be lost in a good trial */
	double exceed;       /* ratio of time that trials may be bad */
	double duration_sum; /* seconds at one load that decide */
	double width;        /* relative, of the final interval */
};

/* Loss 0 and 0.5 %; exceed 50 %, 21 trials of 1 s, width 0.5 %. */
extern const struct search_goal search_ndr, search_pdr;

struct search_result {
	double rate;        /* the highest that holds, frames per second offered; 0: none did */
	double conditional; /* what arrived there: the worst of the good half of trials */
	unsigned trials;
	bool generator_limit; /* frames left late or were refused where it ended: the load was not
				 there */
};

/* After one that is ignored, n trials as fast as it goes; rates received. False: stopped. */
bool search_mrr(struct traffic *t, double seconds, unsigned n, double ret_rates[],
    struct trial_result *ret_last);

bool search_mlr(struct traffic *t, const struct search_goal *goal, double trial_seconds,
    double max_rate, struct search_result *ret_result);

bool search_rfc2544(
    struct traffic *t, double seconds, double max_rate, struct search_result *ret_result);

#define SEARCH_LOADS 10 /* of a curve: 100 % to 10 % */

struct search_load {
	double share, rate; /* of the highest, and in frames per second */
	uint64_t sent, received, lost;
	bool generator_limit;
};

/* *ret_n: how many loads were tried, at most SEARCH_LOADS. */
bool search_loss(struct traffic *t, double seconds, double max_rate,
    struct search_load ret_loads[SEARCH_LOADS], unsigned *ret_n);

/* *ret_frames: per sender, the longest burst without loss, up to max_frames. */
bool search_back_to_back(struct traffic *t, uint64_t max_frames, uint64_t *ret_frames);
