/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The text and the JSON come from the same counters. The text omits what was not asked for; the
 * JSON has everything. Latencies are nanoseconds in the JSON and microseconds in the text. During a
 * trial one line on the terminal is rewritten ten times a second. A quantile is reported only if
 * there are enough samples for it.
 */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "facts.h"
#include "traffic/replay.h"

static volatile sig_atomic_t stop;

static const struct {
	const char *name;
	double part;
} quantiles[] = {
    {"p50", 0.5},
    {"p90", 0.9},
    {"p99", 0.99},
    {"p99.9", 0.999},
    {"p99.99", 0.9999},
    {"p99.999", 0.99999},
};

void report_stop(int signal)
{
	(void)signal;
	stop = 1;
}

static void progress_quantile(const struct histogram *h, const char *name, double part)
{
	if (histogram_knows(h, part))
		fprintf(stderr, "  %s %6.1f us", name, histogram_quantile(h, part) / 1e3);
}

bool report_progress(void *arg, const struct trial_result *r)
{
	const struct options *o = arg;

	if (!o->quiet && isatty(STDERR_FILENO)) {
		fprintf(stderr, "\r%6.1f s  sent %8.3f M/s  received %8.3f M/s", r->seconds,
		    r->sum.sent / r->seconds / 1e6, r->sum.received / r->seconds / 1e6);
		progress_quantile(&r->latency, "p50", 0.5);
		progress_quantile(&r->latency, "p99", 0.99);
		fprintf(stderr, "\033[K");
	}
	return !stop;
}

void report_progress_end(const struct options *o)
{
	if (!o->quiet && isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K");
}

static void report_latency(const struct histogram *h, const char *invalid)
{
	if (h->n == 0)
		return;
	printf("latency     %smin %.2f us", invalid ? "INVALID: " : "", h->min / 1e3);
	for (unsigned i = 0; i < ARRAY_SIZE(quantiles); i++) {
		if (histogram_knows(h, quantiles[i].part))
			printf("  %s %.2f", quantiles[i].name,
			    histogram_quantile(h, quantiles[i].part) / 1e3);
	}
	printf("  max %.2f (%" PRIu64 " samples)\n", h->max / 1e3, h->n);
	if (invalid)
		printf(
		    "            More than %.0f %% of the frames left late, so the latencies show "
		    "that delay: %s.\n",
		    100 * TRIAL_LATE_SHARE, invalid);
}

static void report_replayed(const struct traffic *t, const struct trial_result *r)
{
	for (unsigned i = 0; i < t->n_ports; i++)
		printf("port %-6u sent %" PRIu64 ", received %" PRIu64 "\n", i + 1,
		    t->replayed[i].sent, t->replayed[i].received);
	if (r->extra)
		printf("extra       %" PRIu64
		       " received but not sent: flooded, or from other senders\n",
		    r->extra);
}

static void report_checks(const struct traffic *t, const struct trial_result *r)
{
	const struct stream_counts *c = &r->sum;

	printf("duplicates  %" PRIu64 ", reordered %" PRIu64 ", corrupt %" PRIu64
	       ", foreign %" PRIu64 "\n",
	    c->duplicates, c->reordered, c->corrupt, r->foreign);
	if (c->lost_requests)
		printf("no request  %" PRIu64
		       " arrived without their request for segmentation or a checksum\n",
		    c->lost_requests);
	if (c->completed)
		printf(
		    "completed   %" PRIu64 " checksums on the way; they are right\n", c->completed);
	facts_print_unchecked(t);
}

/* The rates of what arrived: what they are a sum of, and what they are on a wire. */
static void report_rates(const struct options *o, const struct trial_result *r)
{
	printf(
	    "rates       sums over %s; %.2f Gb/s received on a wire, with FCS, padding, preamble "
	    "and gap\n",
	    facts_directions(o), stream_wire_bytes(&r->sum) * 8 / r->seconds / 1e9);
}

void report_trial(const struct options *o, const struct traffic *t, const struct trial_result *r,
    const char *invalid)
{
	const struct stream_counts *c = &r->sum;

	if (o->quiet)
		return;
	printf("sent        %" PRIu64 " frames in %.3f s: %.3f M/s, %.2f Gb/s\n", c->sent,
	    r->seconds, c->sent / r->seconds / 1e6, c->sent_bytes * 8 / r->seconds / 1e9);
	printf("received    %" PRIu64 " frames: %.3f M/s, %.2f Gb/s\n", c->received,
	    c->received / r->seconds / 1e6, c->received_bytes * 8 / r->seconds / 1e9);
	report_rates(o, r);
	printf("lost        %" PRIu64 " (%.4f %%)\n", r->lost,
	    c->sent ? 100.0 * r->lost / c->sent : 0);
	if (t->replay)
		report_replayed(t, r);
	else
		report_checks(t, r);
	printf("late        %" PRIu64 " frames left over %d us after they were due\n", r->late,
	    TRIAL_LATE_NS / 1000);
	report_latency(&r->latency, invalid);
	facts_print_calls(t);
	if (r->broken)
		printf("broken      %" PRIu64
		       " queues: the back-end returned buffers that it did not have\n",
		    r->broken);
}

/* null: there are not enough samples. */
static json_t *quantile_json(const struct histogram *h, double part)
{
	return histogram_knows(h, part) ? json_integer(histogram_quantile(h, part)) : json_null();
}

static json_t *latency_json(const struct histogram *h, const char *invalid)
{
	json_t *j = json_pack("{s:I, s:I, s:I, s:f}", "samples", (json_int_t)h->n, "min",
	    (json_int_t)h->min, "max", (json_int_t)h->max, "mean",
	    h->n ? (double)h->sum / h->n : 0.0);
	json_t *buckets = json_array();

	for (unsigned i = 0; i < ARRAY_SIZE(quantiles); i++)
		json_object_set_new(j, quantiles[i].name, quantile_json(h, quantiles[i].part));
	/* All percentiles: enough for a plot. */
	for (unsigned i = 1; h->n && i < 100; i++)
		json_array_append_new(buckets, quantile_json(h, i / 100.0));
	if (h->n)
		json_array_append_new(buckets, json_integer(h->max));
	json_object_set_new(j, "percentiles", buckets);
	json_object_set_new(j, "valid", json_boolean(!invalid));
	if (invalid)
		json_object_set_new(j, "invalid_because", json_string(invalid));
	return j;
}

static json_t *counts_json(const struct stream_counts *c)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "sent", (json_int_t)c->sent, "sent_bytes",
	    (json_int_t)c->sent_bytes, "received", (json_int_t)c->received, "received_bytes",
	    (json_int_t)c->received_bytes);
}

/* Ports are numbered from 0 in the order of the command line. */
static json_t *streams_json(const struct traffic *t)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < t->n_streams; i++) {
		const struct stream *s = t->stream[i];
		const struct stream_counts *c = &s->counts;
		json_t *j = counts_json(c);

		json_object_set_new(j, "from", json_integer(s->from));
		json_object_set_new(j, "to", json_integer(s->to));
		json_object_set_new(j, "lost", json_integer(c->sent - c->received));
		json_object_set_new(j, "duplicates", json_integer(c->duplicates));
		json_object_set_new(j, "reordered", json_integer(c->reordered));
		json_object_set_new(j, "corrupt", json_integer(c->corrupt));
		json_object_set_new(j, "lost_requests", json_integer(c->lost_requests));
		json_object_set_new(j, "completed", json_integer(c->completed));
		json_array_append_new(list, j);
	}
	return list;
}

static json_t *replay_json(const struct traffic *t)
{
	const struct replay *r = t->replay;
	json_t *ports = json_array();

	for (unsigned i = 0; i < t->n_ports; i++)
		json_array_append_new(ports, counts_json(&t->replayed[i]));
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o}", "frames_read", (json_int_t)r->n_read,
	    "frames", (json_int_t)r->n, "too_short", (json_int_t)r->too_short.n, "too_long",
	    (json_int_t)r->too_long.n, "cut", (json_int_t)r->cut.n, "ports", ports);
}

json_t *report_trial_json(const struct options *o, const struct traffic *t,
    const struct trial_result *r, const char *invalid)
{
	const struct stream_counts *c = &r->sum;
	const struct {
		const char *name;
		uint64_t value;
	} counts[] = {
	    {"offered", r->offered},
	    {"sent", c->sent},
	    {"received", c->received},
	    {"lost", r->lost},
	    {"extra", r->extra},
	    {"duplicates", c->duplicates},
	    {"reordered", c->reordered},
	    {"corrupt", c->corrupt},
	    {"lost_requests", c->lost_requests},
	    {"completed", c->completed},
	    {"foreign", r->foreign},
	    {"late", r->late},
	    {"refused", r->refused},
	    {"broken_queues", r->broken},
	};
	double cycles = r->busy_cycles + r->idle_cycles;
	json_t *j = json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:s}", "seconds", r->seconds,
	    "sent_rate", c->sent / r->seconds, "received_rate", c->received / r->seconds,
	    "received_gbps", c->received_bytes * 8 / r->seconds / 1e9, "received_gbps_on_wire",
	    stream_wire_bytes(c) * 8 / r->seconds / 1e9, "busy", r->busy_cycles / MAX(cycles, 1.0),
	    "rates_sum_over", facts_directions(o));

	for (unsigned i = 0; i < ARRAY_SIZE(counts); i++)
		json_object_set_new(j, counts[i].name, json_integer(counts[i].value));
	json_object_set_new(j, "latency_ns", latency_json(&r->latency, invalid));
	if (t->replay)
		json_object_set_new(j, "replay", replay_json(t));
	else
		json_object_set_new(j, "streams", streams_json(t));
	return j;
}

int report_write(const struct options *o, json_t *root)
{
	int err = 0;

	if (o->json && strcmp(o->json, "-") == 0) {
		err = json_dumpf(root, stdout, JSON_INDENT(2)) ? -EIO : 0;
		putchar('\n');
	} else if (o->json) {
		err = json_dump_file(root, o->json, JSON_INDENT(2)) ? -EIO : 0;
	}
	if (err)
		fprintf(
		    stderr, "vswitch-pktgen: cannot write %s: %s\n", o->json, error_text(errno));
	json_decref(root);
	return err;
}
