/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/sweep.h"

#include <rte_cycles.h>

#include "worker/idle.h"

static void sweep_begin(struct sweep *s, const struct forwarding *fwd, const struct poll_list *list)
{
	s->generation = fwd->generation;
	s->n_warm = list->n;
	s->cursor = s->frames = 0;
	for (unsigned i = 0; i < list->n; i++) {
		list->warm[i] = i;
		list->quiet[i] = 0;
		list->pass[i] = s->shares.port[list->port[i]].pass - 1; /* any but this one */
		list->peek[i] = (struct vring_peek){0};
	}
}

/* Cold queues have something to peek at, warm ones have not. */
static void make_warm(struct sweep *s, const struct poll_list *list, unsigned i)
{
	list->peek[i] = (struct vring_peek){0};
	list->quiet[i] = 0;
	list->warm[s->n_warm++] = i;
}

/* A stalled ring may have work that its driver does not show: a translation may have come. */
static bool make_cold(struct sweep *s, const struct poll_list *list, unsigned k)
{
	unsigned i = list->warm[k];
	const struct vring *vr = list->queue[i]->ring;

	if (vring_stalled(vr)) {
		list->quiet[i] = 0;
		return false;
	}
	list->peek[i] = vring_peek(vr);
	list->quiet[i] = SWEEP_COLD;
	list->warm[k] = list->warm[--s->n_warm];
	return true;
}

/* How many looks the frames of the last turn pay for, or its leisure. */
static unsigned looks_due(const struct sweep *s, const struct poll_list *list)
{
	if (s->n_warm == 0)
		return list->n;
	if (s->frames)
		return MAX(s->frames / SWEEP_LOOK_FRAMES, SWEEP_LOOKS);
	return list->n / SWEEP_SLICES + 1;
}

/* What the next turn will look at: a thousand guests' words are more than the first cache holds. */
static void prefetch_looks(const struct sweep *s, const struct poll_list *list, unsigned n)
{
	for (unsigned i = s->cursor; n; n--) {
		__builtin_prefetch(list->peek[i].word);
		i = i + 1 < list->n ? i + 1 : 0;
	}
}

static void look_at_cold(struct sweep *s, const struct poll_list *list)
{
	unsigned due = MIN(looks_due(s, list), list->n), looks = due;

	for (; looks && s->n_warm < list->n; looks--) {
		unsigned i = s->cursor;

		s->cursor = i + 1 < list->n ? i + 1 : 0;
		if (UNLIKELY(vring_peek_avail(&list->peek[i])))
			make_warm(s, list, i);
	}
	if (s->n_warm)
		prefetch_looks(s, list, due);
}

/* Cycles since the last reading of the clock. */
static uint64_t lap(struct sweep *s)
{
	uint64_t now = rte_rdtsc(), spent = now - s->clock;

	s->clock = now;
	return spent;
}

void sweep_nothing(struct sweep *s)
{
	s->shares.left = false;
	s->idle += lap(s);
}

void sweep_rest(struct sweep *s, const struct poll_list *list)
{
	for (unsigned k = 0; k < s->n_warm;)
		k += !make_cold(s, list, k);
}

void sweep_kicked(struct sweep *s, const struct poll_list *list, unsigned i)
{
	if (list->quiet[i] == SWEEP_COLD)
		make_warm(s, list, i);
}

static unsigned run_timed(struct sweep *s, struct burst *b, const struct forwarding *fwd,
    const struct poll_list *list, unsigned i, uint32_t now_s)
{
	struct queue *q = list->queue[i];
	unsigned port = list->port[i];
	unsigned max = share_frames(&s->shares, port);
	unsigned n = burst_run(b, fwd, q, now_s, max);
	uint64_t spent = lap(s);

	share_charge(&s->shares, port, spent, n, max);
	if (n) {
		idle_unask(list, i);
		s->busy += spent;
		q->stats.busy_cycles += spent;
	} else {
		s->idle += spent;
	}
	return n;
}

void sweep_init(struct sweep *s, uint64_t tsc_hz)
{
	shares_init(&s->shares, tsc_hz);
	s->clock = rte_rdtsc();
}

unsigned sweep_turn(struct sweep *s, struct burst *b, const struct forwarding *fwd,
    const struct poll_list *list, uint32_t now_s)
{
	unsigned frames = 0;
	bool left = false;

	shares_begin_turn(&s->shares);
	if (UNLIKELY(s->generation != fwd->generation))
		sweep_begin(s, fwd, list);
	if (UNLIKELY(s->n_warm == 0)) {
		look_at_cold(s, list);
		sweep_nothing(s);
	}
	for (unsigned k = 0; k < s->n_warm;) {
		unsigned i = list->warm[k], n;

		if (UNLIKELY(!share_may_visit(&s->shares, list->port[i], &list->pass[i]))) {
			left = true;
			k++;
			continue; /* others first */
		}
		if (UNLIKELY(left)) { /* what it took to leave queues out is nobody's */
			s->idle += lap(s);
			left = false;
		}
		n = run_timed(s, b, fwd, list, i, now_s);
		frames += n;
		if (n)
			list->quiet[i] = 0;
		else if (++list->quiet[i] == SWEEP_COLD && make_cold(s, list, k))
			continue; /* another one stands here now */
		k++;
	}
	s->frames = frames;
	if (s->n_warm && s->n_warm < list->n) {
		look_at_cold(s, list);
		*(frames ? &s->busy : &s->idle) += lap(s);
	}
	return frames;
}
