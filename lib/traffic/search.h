/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Searches for the load that a path can carry. A search runs trials.
 *
 * MRR: the rate that arrives if the generator sends as fast as it can, in trials of one length.
 *
 * NDR and PDR by MLRsearch (draft-ietf-bmwg-mlrsearch), with its parameters. A trial is bad if it
 * loses more than the goal allows. A load is measured in short trials. They end when it is clear
 * whether bad trials take more than half (the exceed ratio) of the goal's duration sum. So one
 * short disturbance does not decide. The search starts at the MRR and lowers the load in growing
 * steps, until a load meets the goal. Then it halves the interval until this is as narrow as
 * `width`.
 *
 * Three tests of RFC 2544. Throughput (26.1) is the highest rate without a lost frame; the interval
 * is halved until it is found. Frame loss rate (26.3) is the loss at 100 %, 90 %, 80 % and so on of
 * the highest rate; it ends when two loads in succession lose no frame. Back-to-back (26.4) is the
 * longest burst at full speed without loss.
 */
#pragma once

#include "traffic/trial.h"

struct search_goal {
	const char *name;
	double loss;         /* share of frames that a good trial may lose */
	double exceed;       /* share of the time that bad trials may take */
	double duration_sum; /* seconds of trials that decide a load */
	double width;        /* relative width of the final interval */
};

/* Loss 0 and 0.5 %; exceed 50 %, 21 trials of 1 s, width 0.5 %. */
extern const struct search_goal search_ndr, search_pdr;

struct search_result {
	double rate;        /* the highest load that meets the goal, frames per second; 0: none */
	double conditional; /* the lowest rate received in a good trial at that load */
	unsigned trials;
	bool generator_limit; /* frames were late at that load: it was not fully offered */
};

/* After one trial that is ignored, n trials at full speed; rates received. False: stopped. */
bool search_mrr(struct traffic *t, double seconds, unsigned n, double ret_rates[],
    struct trial_result *ret_last);

bool search_mlr(struct traffic *t, const struct search_goal *goal, double trial_seconds,
    double max_rate, struct search_result *ret_result);

bool search_rfc2544(
    struct traffic *t, double seconds, double max_rate, struct search_result *ret_result);

#define SEARCH_LOADS 10 /* of a curve: 100 % to 10 % */

struct search_load {
	double share, rate; /* of the highest load, and in frames per second */
	uint64_t sent, received, lost;
	bool generator_limit;
};

/* *ret_n: the number of loads tried, at most SEARCH_LOADS. */
bool search_loss(struct traffic *t, double seconds, double max_rate,
    struct search_load ret_loads[SEARCH_LOADS], unsigned *ret_n);

/* *ret_frames: the longest burst per sender without loss, up to max_frames. */
bool search_back_to_back(struct traffic *t, uint64_t max_frames, uint64_t *ret_frames);
