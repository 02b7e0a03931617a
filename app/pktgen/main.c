/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vswitch-pktgen: a traffic generator for switches.
 *
 * One thread calls lib/traffic. It is pinned to no core: use taskset.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/util.h"
#include "capture.h"
#include "device.h"
#include "facts.h"
#include "options.h"
#include "ports.h"
#include "report.h"
#include "traffic/mix.h"
#include "traffic/search.h"

#define MRR_TRIALS     10
#define B2B_FRAMES_MAX 1000000

struct pktgen {
	struct options options;
	struct tport *port[PKTGEN_PORTS_MAX];
	struct stream *stream[PKTGEN_PORTS_MAX * PKTGEN_PORTS_MAX];
	unsigned n_streams;
	bool devices; /* DPDK's run time has started */
	struct traffic *traffic;
	struct replay replay;
	struct trial_result result;
	bool latency_invalid;
};

static uint32_t frame_max(const struct pktgen *g)
{
	const struct stream_profile *p = &g->options.profile;
	uint32_t longest = STREAM_LINE;

	if (g->options.pcap)
		return MAX(longest, g->replay.longest);
	for (unsigned k = 0; k < p->n_sizes; k++)
		longest = MAX(longest, p->size[k]);
	return longest;
}

static int start_devices(struct pktgen *g, uint32_t longest)
{
	const struct options *o = &g->options;
	const struct device_config config = {
	    .n_pairs = o->pairs, .ring_size = o->ring_size, .frame_max = longest};
	const char *specs[PKTGEN_PORTS_MAX];
	unsigned n = 0;
	int err;

	for (unsigned i = 0; i < o->n_ports; i++) {
		if (device_is_named(o->port[i]))
			specs[n++] = o->port[i];
	}
	if (n == 0)
		return 0;
	err = devices_start(specs, n, &config, o->no_huge);
	g->devices = !err;
	return err;
}

/* Do all ports accept frames of this length? *longest becomes the longest frame that all accept. */
static int check_frame_max(const struct pktgen *g, uint32_t *longest)
{
	const struct options *o = &g->options;

	for (unsigned i = 0; i < o->n_ports; i++) {
		uint32_t max = g->port[i]->frame_max;

		if (max < *longest && !o->pcap) {
			fprintf(stderr, "vswitch-pktgen: %s takes frames up to %u bytes\n",
			    o->port[i], max);
			return -EMSGSIZE;
		}
		*longest = MIN(*longest, max);
	}
	return 0;
}

static int open_ports(struct pktgen *g)
{
	const struct options *o = &g->options;
	uint32_t longest = frame_max(g);
	int err = start_devices(g, longest);

	for (unsigned i = 0; !err && i < o->n_ports; i++)
		err = port_open(o, o->port[i], longest, &g->port[i]);
	if (!err)
		err = check_frame_max(g, &longest);
	if (err || !o->pcap)
		return err;
	replay_limit(&g->replay, longest);
	capture_name_left_out(o->pcap, &g->replay);
	if (g->replay.n == 0) {
		fprintf(stderr, "vswitch-pktgen: %s has no frames to send\n", o->pcap);
		return -ENODATA;
	}
	return 0;
}

/* Is there a stream from port a to port b? */
static bool joined(enum pattern pattern, unsigned a, unsigned b)
{
	switch (pattern) {
	case PATTERN_UNIDIRECTIONAL:
		return a % 2 == 0 && b == a + 1;
	case PATTERN_BIDIRECTIONAL:
		return (a ^ 1) == b;
	case PATTERN_LOOP:
		return a == b;
	default:
		return a != b;
	}
}

static const struct stream *stream_between(const struct pktgen *g, unsigned from, unsigned to)
{
	for (unsigned i = 0; i < g->n_streams; i++) {
		if (g->stream[i]->from == from && g->stream[i]->to == to)
			return g->stream[i];
	}
	return NULL;
}

/* With a mix that has answers, every second port only acknowledges. */
static int make_stream(struct pktgen *g, unsigned from, unsigned to)
{
	const struct options *o = &g->options;
	struct stream_profile answer = o->profile;
	bool answers = o->acknowledge && from % 2;
	int err;

	mix_acknowledge(&answer);
	err = stream_create(
	    g->n_streams, from, to, answers ? &answer : &o->profile, &g->stream[g->n_streams]);
	if (err) {
		fprintf(
		    stderr, "vswitch-pktgen: these frames cannot be made: %s\n", error_text(-err));
		return err;
	}
	if (answers)
		g->stream[g->n_streams]->answers = stream_between(g, to, from);
	g->n_streams++;
	return 0;
}

static int make_streams(struct pktgen *g)
{
	const struct options *o = &g->options;

	for (unsigned a = 0; a < o->n_ports; a++) {
		for (unsigned b = 0; b < o->n_ports; b++) {
			int err = joined(o->pattern, a, b) ? make_stream(g, a, b) : 0;

			if (err)
				return err;
		}
	}
	return traffic_create(g->port, o->n_ports, g->stream, g->n_streams, &g->traffic);
}

static int set_up(struct pktgen *g)
{
	int err = g->options.pcap ? capture_read(g->options.pcap, &g->replay) : 0;

	if (!err)
		err = open_ports(g);
	if (!err)
		err = make_streams(g);
	if (!err && g->options.pcap)
		g->traffic->replay = &g->replay;
	return err;
}

static void tear_down(struct pktgen *g)
{
	traffic_destroy(g->traffic);
	for (unsigned i = 0; i < g->n_streams; i++)
		stream_destroy(g->stream[i]);
	for (unsigned i = 0; i < g->options.n_ports; i++)
		tport_destroy(g->port[i]);
	if (g->devices)
		devices_stop();
	replay_cleanup(&g->replay);
}

/* How often this thread lost its CPU so far. */
static uint64_t switches(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nivcsw : 0;
}

static json_t *run_trial(struct pktgen *g)
{
	const struct options *o = &g->options;
	uint64_t once = o->pcap_once ? g->replay.n : UINT64_MAX;
	uint64_t frames = MIN(o->frames ? o->frames : UINT64_MAX, once);
	const struct trial_config config = {
	    .seconds = o->seconds,
	    .rate = o->rate,
	    .frames = frames == UINT64_MAX ? 0 : frames,
	    .speed = o->pcap_speed,
	};
	uint64_t before = switches();
	const char *invalid;

	trial_run(g->traffic, &config, &g->result);
	invalid = facts_invalid(&g->result, switches() - before);
	g->latency_invalid = invalid && g->result.latency.n;
	report_progress_end(o);
	report_trial(o, g->traffic, &g->result, invalid);
	return report_trial_json(o, g->traffic, &g->result, invalid);
}

/* Returns the highest rate of all trials. */
static double run_mrr(struct pktgen *g, unsigned n, json_t *root)
{
	double rates[MRR_TRIALS] = {0}, sum = 0, least = 0, most = 0;
	json_t *list = json_array();

	search_mrr(g->traffic, g->options.seconds, n, rates, &g->result);
	report_progress_end(&g->options);
	for (unsigned i = 0; i < n; i++) {
		sum += rates[i];
		least = i ? MIN(least, rates[i]) : rates[i];
		most = MAX(most, rates[i]);
		json_array_append_new(list, json_real(rates[i]));
	}
	json_object_set_new(root, "mrr_rates", list);
	json_object_set_new(root, "mrr", json_real(sum / n));
	if (!g->options.quiet)
		printf("MRR         %.3f M/s (%u trials, %.3f to %.3f)\n", sum / n / 1e6, n,
		    least / 1e6, most / 1e6);
	return most;
}

static void run_search(struct pktgen *g, const char *name, const struct search_goal *goal,
    double max_rate, json_t *root)
{
	double seconds = g->options.seconds;
	struct search_goal scaled;
	struct search_result r;

	if (goal) {
		scaled = *goal;
		scaled.duration_sum *= seconds;
		search_mlr(g->traffic, &scaled, seconds, max_rate, &r);
	} else {
		search_rfc2544(g->traffic, seconds, max_rate, &r);
	}
	report_progress_end(&g->options);
	json_object_set_new(root, name,
	    json_pack("{s:f, s:f, s:i, s:b}", "rate", r.rate, "conditional", r.conditional,
		"trials", (int)r.trials, "generator_limit", (int)r.generator_limit));
	if (!g->options.quiet)
		printf("%-11s %.3f M/s offered, %.3f received (%u trials)%s\n", name, r.rate / 1e6,
		    r.conditional / 1e6, r.trials,
		    r.generator_limit ? "; the generator was the limit" : "");
}

/* The rate that counts as 100 %: --rate, or the highest rate that the generator can send. */
static double full_rate(struct pktgen *g)
{
	const struct trial_config config = {.seconds = g->options.seconds};

	if (g->options.rate > 0)
		return g->options.rate;
	trial_run(g->traffic, &config, &g->result);
	return g->result.sum.sent / g->result.seconds;
}

static void run_loss(struct pktgen *g, json_t *root)
{
	struct search_load load[SEARCH_LOADS];
	json_t *list = json_array();
	unsigned n;

	search_loss(g->traffic, g->options.seconds, full_rate(g), load, &n);
	report_progress_end(&g->options);
	for (unsigned i = 0; i < n; i++) {
		double ratio = load[i].lost / MAX((double)load[i].sent, 1.0);

		json_array_append_new(list,
		    json_pack("{s:f, s:f, s:I, s:I, s:I, s:f, s:b}", "share", load[i].share, "rate",
			load[i].rate, "sent", (json_int_t)load[i].sent, "received",
			(json_int_t)load[i].received, "lost", (json_int_t)load[i].lost,
			"loss_ratio", ratio, "generator_limit", (int)load[i].generator_limit));
		if (!g->options.quiet)
			printf("loss        %3.0f %%: %.3f M/s offered, %.4f %% lost%s\n",
			    100 * load[i].share, load[i].rate / 1e6, 100 * ratio,
			    load[i].generator_limit ? "; the generator was the limit" : "");
	}
	json_object_set_new(root, "loss", list);
}

static json_t *run(struct pktgen *g)
{
	json_t *root = json_object();
	uint64_t frames;
	double mrr;

	switch (g->options.method) {
	case METHOD_TRIAL:
		json_decref(root);
		return run_trial(g);
	case METHOD_MRR:
		run_mrr(g, MRR_TRIALS, root);
		break;
	case METHOD_NDRPDR:
		mrr = run_mrr(g, 3, root);
		run_search(g, "NDR", &search_ndr, mrr, root);
		run_search(g, "PDR", &search_pdr, mrr, root);
		break;
	case METHOD_RFC2544:
		mrr = run_mrr(g, 3, root);
		run_search(g, "throughput", NULL, mrr, root);
		break;
	case METHOD_LOSS:
		run_loss(g, root);
		break;
	case METHOD_BACK_TO_BACK:
		search_back_to_back(g->traffic, B2B_FRAMES_MAX, &frames);
		json_object_set_new(root, "back_to_back", json_integer(frames));
		if (!g->options.quiet)
			printf("back-to-back %llu frames per port\n", (unsigned long long)frames);
		break;
	}
	return root;
}

/* What all trials of a search sent and received together. */
static json_t *total_json(const struct trial_total *total)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "trials", (json_int_t)total->trials, "sent",
	    (json_int_t)total->counts.sent, "received", (json_int_t)total->counts.received,
	    "hellos", (json_int_t)total->hellos);
}

/* The exit status, from all frames of all trials. */
static int status(const struct pktgen *g)
{
	const struct trial_total *total = &g->traffic->total;
	const struct stream_counts *c = &total->counts;

	if (c->corrupt || c->lost_requests || c->duplicates || c->reordered || total->broken ||
	    !c->received)
		return 1;
	return g->latency_invalid ? 3 : 0;
}

int main(int argc, char *argv[])
{
	static struct pktgen g;

	options_parse(&g.options, argc, argv);
	/* NOLINTBEGIN(bugprone-signal-handler): it sets a flag, in a file that is not seen here */
	signal(SIGINT, report_stop);
	signal(SIGTERM, report_stop);
	/* NOLINTEND(bugprone-signal-handler) */
	if (set_up(&g) < 0) {
		tear_down(&g);
		return 2;
	}
	g.traffic->progress = report_progress;
	g.traffic->progress_arg = &g.options;
	if (!g.traffic->replay)
		traffic_introduce(g.traffic);

	json_t *root = run(&g);
	json_object_set_new(root, "total", total_json(&g.traffic->total));
	json_object_set_new(root, "checked", facts_checked(g.traffic));
	json_object_set_new(root, "negotiated", facts_negotiated(&g.options, g.traffic));

	int err = report_write(&g.options, root);
	int failed = status(&g);

	tear_down(&g);
	return err ? 2 : failed;
}
