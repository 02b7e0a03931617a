/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The loop reads the clock, lets every sender send the frames that are due, at most a burst, and
 * receives at most a burst from every queue. A sender is a port with its streams or with a replay;
 * see sender.c. Senders share the rate evenly.
 *
 * The time at which a frame is due advances by the interval for each frame. So if the generator is
 * delayed, no frame is left out: the frames leave later and carry the times at which they were due.
 */
#include "traffic/trial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cpu.h"
#include "base/util.h"
#include "traffic/sender.h"

#define PROGRESS_NS 100000000
#define HELLO_BURST 32
#define DRAIN_MAX   50

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * UINT64_C(1000000000) + ts.tv_nsec;
}

static double measure_tsc_hz(void)
{
	const struct timespec pause = {.tv_nsec = 50000000};
	uint64_t ns = now_ns(), tsc = cpu_clock();

	nanosleep(&pause, NULL);
	return (cpu_clock() - tsc) * 1e9 / (now_ns() - ns);
}

static int add_sender(struct traffic *t, struct tport *port, unsigned from)
{
	struct sender *s = &t->sender[t->n_senders];

	*s = (struct sender){.port = port, .index = from};
	s->stream = calloc(MAX(t->n_streams, 1u), sizeof(*s->stream));
	if (!s->stream)
		return -ENOMEM;
	for (unsigned i = 0; i < t->n_streams; i++) {
		if (t->stream[i]->from == from)
			s->stream[s->n_streams++] = t->stream[i];
	}
	if (s->n_streams)
		t->n_senders++;
	else
		free(s->stream);
	return 0;
}

static void index_streams(struct traffic *t)
{
	for (unsigned i = 0; i < t->n_ports * t->n_ports; i++)
		t->by_ports[i] = t->n_streams;
	for (unsigned i = 0; i < t->n_streams; i++)
		t->by_ports[t->stream[i]->from * t->n_ports + t->stream[i]->to] = i;
}

int traffic_create(struct tport *port[], unsigned n_ports, struct stream *stream[],
    unsigned n_streams, struct traffic **ret_traffic)
{
	struct traffic *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->n_ports = n_ports;
	t->port = port;
	t->n_streams = n_streams;
	t->stream = stream;
	t->sender = calloc(n_ports, sizeof(*t->sender));
	t->replayed = calloc(n_ports, sizeof(*t->replayed));
	t->by_ports = calloc((size_t)n_ports * n_ports, sizeof(*t->by_ports));
	if (t->by_ports)
		index_streams(t);
	for (unsigned i = 0; i < n_ports; i++) {
		if (!t->sender || !t->replayed || !t->by_ports || add_sender(t, port[i], i) < 0) {
			traffic_destroy(t);
			return -ENOMEM;
		}
	}
	t->tsc_hz = measure_tsc_hz();
	*ret_traffic = t;
	return 0;
}

void traffic_destroy(struct traffic *t)
{
	if (!t)
		return;
	for (unsigned i = 0; t->sender && i < t->n_senders; i++)
		free(t->sender[i].stream);
	free(t->sender);
	free(t->replayed);
	free(t->by_ports);
	free(t);
}

/* The stream of a frame; n_streams: there is no such stream. */
static inline unsigned stream_of(const struct traffic *t, const struct stream_tag *tag)
{
	if (LIKELY(tag->form == TAG_FULL))
		return tag->stream;
	if (tag->from >= t->n_ports || tag->to >= t->n_ports)
		return t->n_streams;
	return t->by_ports[tag->from * t->n_ports + tag->to];
}

/* Count a frame of a stream that was changed, or that arrived at the wrong port. */
static void count_stray(struct stream_counts *counts, bool intact, struct trial_result *r)
{
	if (intact)
		r->foreign++;
	else if (counts)
		counts->corrupt++;
	else
		r->corrupt_unknown++;
}

/* Every received frame counts. */
static void count_replayed(struct stream_counts *c, const struct tport_piece pieces[], unsigned n)
{
	for (unsigned k = 0; k < n; k++)
		c->received_bytes += pieces[k].len;
	for (unsigned k = 0; k < n; k += pieces[k].more + 1u) {
		c->received++;
		if (!pieces[k].more && pieces[k].len < STREAM_WIRE_MIN)
			c->received_more += STREAM_WIRE_MIN - pieces[k].len;
	}
}

/* Count the frames of one burst. */
static void count_pieces(struct traffic *t, unsigned port, const struct tport_piece pieces[],
    unsigned n, uint64_t now, struct trial_result *r)
{
	for (unsigned k = 0; k < n; k += pieces[k].more + 1u) {
		uint32_t len = pieces[k].len;
		struct stream_tag tag;
		unsigned id;
		bool known;

		for (unsigned i = 1; i <= pieces[k].more; i++)
			len += pieces[k + i].len;
		if (UNLIKELY(!stream_read_tag(pieces[k].bytes, pieces[k].len, &tag))) {
			r->foreign++;
			continue;
		}
		id = stream_of(t, &tag);
		known = id < t->n_streams && t->stream[id]->to == port;
		if (UNLIKELY(!tag.intact || !known)) {
			count_stray(known ? &t->stream[id]->counts : NULL, tag.intact, r);
			continue;
		}
		stream_take(t->stream[id], &tag, &pieces[k], len);
		if (k == 0 && tag_tells[tag.form].age)
			histogram_add(&r->latency, tag_age(&tag, now) * (1e9 / t->tsc_hz));
	}
}

/* Receive a burst from every queue. Returns the number of pieces. */
static unsigned receive_all(struct traffic *t, struct trial_result *r)
{
	struct tport_piece pieces[TPORT_PIECES];
	unsigned total = 0;

	for (unsigned i = 0; i < t->n_ports; i++) {
		struct tport *port = t->port[i];

		for (unsigned pair = 0; pair < port->n_pairs; pair++) {
			unsigned n = port->ops->receive(port, pair, pieces, TPORT_BURST);

			if (n == 0)
				continue; /* nothing in this queue */
			for (unsigned k = 0; k < n; k++)
				__builtin_prefetch(pieces[k].bytes);
			if (t->replay)
				count_replayed(&t->replayed[i], pieces, n);
			else
				count_pieces(t, i, pieces, n, cpu_clock(), r);
			port->ops->give_back(port, pair);
			total += n;
		}
	}
	return total;
}

static void add_counts(struct stream_counts *sum, const struct stream_counts *c)
{
	sum->sent += c->sent;
	sum->received += c->received;
	sum->duplicates += c->duplicates;
	sum->reordered += c->reordered;
	sum->corrupt += c->corrupt;
	sum->lost_requests += c->lost_requests;
	sum->completed += c->completed;
	sum->sent_bytes += c->sent_bytes;
	sum->received_bytes += c->received_bytes;
	sum->received_more += c->received_more;
}

static void sum_up(struct traffic *t, struct trial_result *r)
{
	struct stream_counts *sum = &r->sum;

	memset(sum, 0, sizeof(*sum));
	for (unsigned i = 0; i < t->n_streams; i++)
		add_counts(sum, &t->stream[i]->counts);
	for (unsigned i = 0; i < t->n_ports; i++)
		add_counts(sum, &t->replayed[i]);
	sum->corrupt += r->corrupt_unknown;
	r->lost = sum->sent - MIN(sum->received, sum->sent);
	r->extra = sum->received - MIN(sum->received, sum->sent);
	r->broken = 0;
	for (unsigned i = 0; i < t->n_ports; i++)
		r->broken += t->port[i]->ops->broken(t->port[i]);
}

/* The number of frames that the back-end has not taken yet. */
static unsigned untaken_frames(const struct traffic *t)
{
	unsigned n = 0;

	for (unsigned i = 0; i < t->n_ports; i++) {
		const struct tport_ops *ops = t->port[i]->ops;

		n += ops->untaken ? ops->untaken(t->port[i]) : 0;
	}
	return n;
}

/*
 * Receive until no frame of the streams has arrived, and the back-end has taken none, for a while.
 * The while begins anew if the back-end takes frames, because they arrive later. Frames of other
 * senders may never stop, so the time has a limit.
 */
static void drain(struct traffic *t, struct trial_result *r)
{
	const double cycles_per_ns = t->tsc_hz / 1e9;
	const uint64_t longest = cycles_per_ns * TRIAL_DRAIN_NS * DRAIN_MAX;
	uint64_t begin = cpu_clock(), last = begin, now = begin;
	unsigned untaken = untaken_frames(t);

	while (now - last < cycles_per_ns * (untaken ? TRIAL_TAKE_NS : TRIAL_DRAIN_NS) &&
	    now - begin < longest) {
		uint64_t foreign = r->foreign;
		unsigned before = untaken;
		bool progress = receive_all(t, r) > r->foreign - foreign;

		untaken = untaken_frames(t);
		now = cpu_clock();
		if (progress || untaken != before)
			last = now;
	}
}

/* The number of senders that only answer. */
static unsigned answering(const struct traffic *t)
{
	unsigned n = 0;

	for (unsigned i = 0; i < t->n_senders; i++)
		n += sender_answers(&t->sender[i]);
	return n;
}

/* What was due: by the rate, and all answers. */
static uint64_t offered(
    const struct traffic *t, const struct trial_config *config, const struct trial_result *r)
{
	double sum = config->rate * r->seconds;

	if (config->rate <= 0 || config->frames)
		return r->sum.sent;
	for (unsigned i = 0; i < t->n_senders; i++)
		sum += sender_answers(&t->sender[i]) ? t->sender[i].sent : 0;
	return sum;
}

static void start(struct traffic *t, const struct trial_config *config, struct trial_result *r)
{
	double share = config->rate / MAX(t->n_senders - answering(t), 1u);
	uint64_t now = cpu_clock();

	memset(r, 0, sizeof(*r));
	for (unsigned i = 0; i < t->n_streams; i++)
		stream_reset(t->stream[i]);
	memset(t->replayed, 0, t->n_ports * sizeof(*t->replayed));
	for (unsigned i = 0; i < t->n_senders; i++) {
		struct sender *s = &t->sender[i];

		s->sent = 0;
		s->late = TRIAL_LATE_NS * (t->tsc_hz / 1e9);
		s->limit = config->frames ? config->frames : UINT64_MAX;
		s->next = 0;
		s->pace = config->speed > 0 ? t->tsc_hz / 1e9 / config->speed : 0;
		s->interval = share > 0 && !sender_answers(s) ? t->tsc_hz / share : 0;
		/* The senders start at different moments. */
		s->due = now + s->interval * i / t->n_senders;
	}
}

static unsigned send_of(struct traffic *t, struct sender *s, uint64_t now, struct trial_result *r)
{
	if (t->replay)
		return sender_replay(s, t->replay, now, &t->replayed[s->index], r);
	return sender_send(s, now, r);
}

static bool all_sent(const struct traffic *t)
{
	for (unsigned i = 0; i < t->n_senders; i++) {
		if (t->sender[i].sent < t->sender[i].limit && !sender_answers(&t->sender[i]))
			return false;
	}
	return true;
}

bool trial_run(struct traffic *t, const struct trial_config *config, struct trial_result *r)
{
	uint64_t begin, end, now, next;
	bool go_on = true;

	start(t, config, r);
	begin = now = cpu_clock();
	end = begin + config->seconds * t->tsc_hz;
	next = begin + PROGRESS_NS * (t->tsc_hz / 1e9);
	while (now < end && go_on && !all_sent(t)) {
		uint64_t then = now;
		unsigned n = 0;

		for (unsigned i = 0; i < t->n_senders; i++)
			n += send_of(t, &t->sender[i], now, r);
		n += receive_all(t, r);
		now = cpu_clock();
		*(n ? &r->busy_cycles : &r->idle_cycles) += now - then;
		if (UNLIKELY(now >= next)) {
			next += PROGRESS_NS * (t->tsc_hz / 1e9);
			r->seconds = (now - begin) / t->tsc_hz;
			sum_up(t, r);
			if (t->progress && !t->progress(t->progress_arg, r))
				go_on = false;
			now = cpu_clock();
		}
	}
	r->seconds = (now - begin) / t->tsc_hz;
	drain(t, r);
	sum_up(t, r);
	t->total.trials++;
	t->total.broken += r->broken;
	add_counts(&t->total.counts, &r->sum);
	r->offered = offered(t, config, r);
	return go_on;
}

/* Send the next hellos of a port, from this MAC address on. Returns how many were sent. */
static unsigned send_hellos(const struct sender *sender, uint32_t mac, uint32_t macs)
{
	struct tport *port = sender->port;
	uint32_t len[HELLO_BURST];
	uint8_t *frame[TPORT_BURST];
	unsigned n = port->ops->room(port, 0, MIN(macs - mac, (uint32_t)HELLO_BURST), frame);

	for (unsigned k = 0; k < n; k++)
		len[k] =
		    stream_make_hello(sender->stream[0], mac + k, frame[k], tport_header(frame[k]));
	port->ops->send(port, 0, len, n);
	return n;
}

/* Hellos are sent in bursts. Frames that arrive in between are received and ignored. */
void traffic_introduce(struct traffic *t)
{
	struct trial_result *ignored = calloc(1, sizeof(*ignored));

	for (unsigned round = 0; ignored && round < 2; round++) {
		for (unsigned i = 0; i < t->n_senders; i++) {
			const struct stream_profile *p = &t->sender[i].stream[0]->profile;
			uint32_t macs = MIN(p->macs, p->flows), mac = 0;

			for (unsigned idle = 0; mac < macs && idle < 1u << 24; idle++) {
				unsigned n = send_hellos(&t->sender[i], mac, macs);

				mac += n;
				t->total.hellos += n;
				receive_all(t, ignored);
				idle = n ? 0 : idle;
			}
		}
		drain(t, ignored);
	}
	free(ignored);
}
