/* SPDX-License-Identifier: BSD-3-Clause */
#include "traffic/search.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define LOAD_MIN   1000.0 /* frames per second: below this a search ends */
#define TRIALS_MAX 256
#define LATE_SHARE 0.001 /* of the frames: if more are late, the generator was the limit */

const struct search_goal search_ndr = {"NDR", 0, 0.5, 21, 0.005};
const struct search_goal search_pdr = {"PDR", 0.005, 0.5, 21, 0.005};

/* The share of frames lost; 1 if none was sent. */
static double loss_of(const struct trial_result *r)
{
	return r->sum.sent ? (double)r->lost / r->sum.sent : 1;
}

bool search_mrr(struct traffic *t, double seconds, unsigned n, double ret_rates[],
    struct trial_result *ret_last)
{
	const struct trial_config config = {.seconds = seconds};

	if (!trial_run(t, &config, ret_last)) /* to warm up */
		return false;
	for (unsigned i = 0; i < n; i++) {
		if (!trial_run(t, &config, ret_last))
			return false;
		ret_rates[i] = ret_last->sum.received / ret_last->seconds;
	}
	return true;
}

static int by_rate(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/*
 * Run trials at one load until it is clear whether the load meets the goal (*ret_holds). False:
 * stopped.
 */
static bool measure_load(struct traffic *t, const struct search_goal *goal, double seconds,
    double load, struct search_result *result, bool *ret_holds)
{
	struct trial_config config = {.seconds = seconds, .rate = load};
	double good = 0, bad = 0, received[TRIALS_MAX];
	struct trial_result *r = malloc(sizeof(*r));
	uint64_t late = 0, sent = 0;
	unsigned n = 0;

	*ret_holds = false;
	while (r && n < TRIALS_MAX && bad <= goal->exceed * goal->duration_sum &&
	    good < (1 - goal->exceed) * goal->duration_sum) {
		if (!trial_run(t, &config, r)) {
			free(r);
			return false;
		}
		result->trials++;
		late += r->late;
		sent += r->sum.sent;
		if (loss_of(r) > goal->loss) {
			bad += seconds;
			continue; /* the rate of a bad trial does not count */
		}
		good += seconds;
		received[n++] = r->sum.received / r->seconds;
	}
	free(r);
	if (bad > goal->exceed * goal->duration_sum || n == 0)
		return true;
	qsort(received, n, sizeof(*received), by_rate);
	*ret_holds = true;
	result->rate = load;
	result->conditional = received[0];
	result->generator_limit = late > LATE_SHARE * sent;
	return true;
}

bool search_mlr(struct traffic *t, const struct search_goal *goal, double trial_seconds,
    double max_rate, struct search_result *ret_result)
{
	double upper = max_rate, lower = max_rate, step = 2 * goal->width;
	bool holds;

	*ret_result = (struct search_result){0};
	if (!measure_load(t, goal, trial_seconds, lower, ret_result, &holds))
		return false;
	while (!holds && lower > LOAD_MIN) {
		upper = lower;
		lower *= 1 - MIN(step, 0.5);
		step *= 2;
		if (!measure_load(t, goal, trial_seconds, lower, ret_result, &holds))
			return false;
	}
	while (holds && upper - lower > goal->width * upper) {
		double middle = (lower + upper) / 2;
		bool middle_holds;

		if (!measure_load(t, goal, trial_seconds, middle, ret_result, &middle_holds))
			return false;
		*(middle_holds ? &lower : &upper) = middle;
	}
	return true;
}

bool search_rfc2544(
    struct traffic *t, double seconds, double max_rate, struct search_result *ret_result)
{
	const struct search_goal strict = {"throughput", 0, 0, seconds, 0.005};

	return search_mlr(t, &strict, seconds, max_rate, ret_result);
}

bool search_loss(struct traffic *t, double seconds, double max_rate,
    struct search_load ret_loads[SEARCH_LOADS], unsigned *ret_n)
{
	struct trial_result *r = malloc(sizeof(*r));
	unsigned n, clean = 0;
	bool go_on = r != NULL;

	for (n = 0; go_on && n < SEARCH_LOADS && clean < 2; n++) {
		double share = (SEARCH_LOADS - n) / (double)SEARCH_LOADS;
		const struct trial_config config = {.seconds = seconds, .rate = max_rate * share};

		go_on = trial_run(t, &config, r);
		ret_loads[n] = (struct search_load){
		    .share = share,
		    .rate = config.rate,
		    .sent = r->sum.sent,
		    .received = r->sum.received,
		    .lost = r->lost,
		    .generator_limit = r->late > LATE_SHARE * r->sum.sent,
		};
		clean = r->lost ? 0 : clean + 1;
	}
	free(r);
	*ret_n = n;
	return go_on;
}

bool search_back_to_back(struct traffic *t, uint64_t max_frames, uint64_t *ret_frames)
{
	struct trial_result *r = malloc(sizeof(*r));
	uint64_t good = 0, bad = max_frames + 1, frames = max_frames;
	bool go_on = r != NULL;

	while (go_on && bad - good > 1) {
		/*
		 * The time does not matter: the trial ends when all frames are sent and no more
		 * arrive.
		 */
		const struct trial_config config = {
		    .seconds = 0.2 + frames * 1e-6, .frames = frames};

		go_on = trial_run(t, &config, r);
		*(r->lost ? &bad : &good) = frames;
		frames = good + (bad - good) / 2;
	}
	free(r);
	*ret_frames = good;
	return go_on;
}
