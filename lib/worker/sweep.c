/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * A turn visits each warm queue once, if the queue's port has credit (share.h). It also looks at
 * some cold queues. A queue becomes cold after SWEEP_COLD visits without a frame. A cold queue
 * becomes warm if a look or a kick shows that it has frames.
 *
 * The clock is read after each visit, and the visit is charged to the port of its queue. Other work
 * for a port (an announcement) is charged to the port, too. All other time of the worker is counted
 * and charged to no port.
 */
#include "worker/sweep.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_cycles.h>

#include "worker/idle.h"

static void take_list(struct sweep *s, const struct poll_list *list)
{
	uint64_t next = s->cursor < s->poll.n ? s->poll.entry[s->cursor].key : 0;

	poll_follow(&s->poll, list);
	/*
	 * Looks go on at the same queue as before. If they began again at the first queue after
	 * each change, later queues would never be looked at.
	 */
	s->cursor = poll_seek(list, next);
	if (s->cursor == list->n)
		s->cursor = 0;
	s->n_warm = 0;
	for (unsigned i = 0; i < list->n; i++) {
		struct poll_entry *entry = &s->poll.entry[i];

		if (entry->fresh) /* not visited in this pass yet */
			entry->pass = s->shares.port[list->port[i]].pass - 1;
		entry->fresh = false;
		if (entry->idle_turns != SWEEP_COLD)
			s->warm[s->n_warm++] = i;
	}
}

/* Cycles since the last reading of the clock. */
static uint64_t spent_cycles(struct sweep *s)
{
	uint64_t now = rte_rdtsc(), spent = now - s->clock;

	s->clock = now;
	return spent;
}

bool sweep_once_a_round(struct sweep *s)
{
	bool first = s->once != s->shares.round;

	s->once = s->shares.round;
	return first;
}

void sweep_other_work(struct sweep *s)
{
	s->busy += spent_cycles(s);
}

void sweep_work_for(struct sweep *s, struct queue *q)
{
	uint64_t spent = spent_cycles(s);

	s->busy += spent;
	q->stats.busy_cycles += spent;
	share_charge_work(&s->shares, q->port->index, spent);
}

void sweep_follow(struct sweep *s, const struct poll_list *list)
{
	if (s->poll.number != list->number)
		take_list(s, list);
}

/* Make queue i warm. Only cold queues have a word to peek at. */
static void make_warm(struct sweep *s, unsigned i)
{
	s->poll.entry[i].peek = (struct vring_peek){0};
	s->poll.entry[i].idle_turns = 0;
	s->warm[s->n_warm++] = i;
}

/* Make queue k cold. But a queue stays warm if a look cannot show whether it has frames. */
static bool make_cold(struct sweep *s, const struct poll_list *list, unsigned k)
{
	unsigned i = s->warm[k];
	struct poll_entry *entry = &s->poll.entry[i];
	const struct queue *q = list->queue[i];

	if (!q->ops->peek(q, &entry->peek)) {
		entry->idle_turns = 0;
		return false;
	}
	entry->idle_turns = SWEEP_COLD;
	s->warm[k] = s->warm[--s->n_warm];
	return true;
}

/* The number of looks at the end of this turn. */
static unsigned looks_due(const struct sweep *s)
{
	if (s->n_warm == 0)
		return s->poll.n;
	if (s->frames)
		return MAX(s->frames / SWEEP_LOOK_FRAMES, SWEEP_LOOKS);
	return s->poll.n / SWEEP_SLICES + 1;
}

/* Prefetch the words for the next looks: the words of a thousand guests do not fit into L1. */
static void prefetch_looks(const struct sweep *s, unsigned n)
{
	for (unsigned i = s->cursor; n; n--) {
		__builtin_prefetch(s->poll.entry[i].peek.word);
		i = i + 1 < s->poll.n ? i + 1 : 0;
	}
}

static void look_at_cold(struct sweep *s)
{
	unsigned due = MIN(looks_due(s), s->poll.n), looks = due;

	for (; looks && s->n_warm < s->poll.n; looks--) {
		unsigned i = s->cursor;

		s->cursor = i + 1 < s->poll.n ? i + 1 : 0;
		if (UNLIKELY(vring_peek_avail(&s->poll.entry[i].peek)))
			make_warm(s, i);
	}
	if (s->n_warm)
		prefetch_looks(s, due);
}

void sweep_nothing(struct sweep *s)
{
	poll_forget(&s->poll);
	s->n_warm = 0;
	s->shares.left = false;
	s->idle += spent_cycles(s);
}

void sweep_rest(struct sweep *s, const struct poll_list *list)
{
	for (unsigned k = 0; k < s->n_warm;)
		k += !make_cold(s, list, k);
}

void sweep_kicked(struct sweep *s, unsigned i)
{
	if (s->poll.entry[i].idle_turns == SWEEP_COLD)
		make_warm(s, i);
}

static unsigned run_timed(struct sweep *s, struct burst *b, const struct forwarding *fwd,
    const struct poll_list *list, unsigned i, uint32_t now_s)
{
	struct queue *q = list->queue[i];
	unsigned port = list->port[i];
	unsigned max = share_frames(&s->shares, port);
	unsigned n = burst_run(b, fwd, q, now_s, max);
	uint64_t spent = spent_cycles(s);

	share_charge(&s->shares, port, spent, n, max);
	if (n) {
		idle_disable_kick(&s->poll.entry[i], q);
		s->busy += spent;
		q->stats.busy_cycles += spent;
	} else {
		s->idle += spent;
	}
	return n;
}

int sweep_init(struct sweep *s, uint64_t tsc_hz)
{
	shares_init(&s->shares, tsc_hz);
	s->clock = rte_rdtsc();
	s->warm = aligned_alloc(CACHE_LINE, POLL_MAX * sizeof(*s->warm));
	return s->warm ? poll_init(&s->poll) : -ENOMEM;
}

void sweep_cleanup(struct sweep *s)
{
	free(s->warm);
	poll_cleanup(&s->poll);
}

unsigned sweep_turn(struct sweep *s, struct burst *b, const struct forwarding *fwd,
    const struct poll_list *list, uint32_t now_s)
{
	unsigned frames = 0;
	bool left = false;

	shares_begin_turn(&s->shares);
	if (UNLIKELY(s->poll.number != list->number)) {
		take_list(s, list);
		sweep_other_work(s);
	}
	if (UNLIKELY(s->n_warm == 0)) {
		look_at_cold(s);
		s->idle += spent_cycles(s);
	}
	for (unsigned k = 0; k < s->n_warm;) {
		unsigned i = s->warm[k], n;
		struct poll_entry *entry = &s->poll.entry[i];

		if (UNLIKELY(!share_may_visit(&s->shares, list->port[i], &entry->pass))) {
			left = true;
			k++;
			continue; /* not now: see share.h */
		}
		if (UNLIKELY(left)) { /* the time for skipped queues is charged to no queue */
			s->idle += spent_cycles(s);
			left = false;
		}
		n = run_timed(s, b, fwd, list, i, now_s);
		frames += n;
		if (n)
			entry->idle_turns = 0;
		else if (++entry->idle_turns == SWEEP_COLD && make_cold(s, list, k))
			continue; /* another queue is at place k now */
		k++;
	}
	s->frames = frames;
	if (s->n_warm && s->n_warm < list->n) {
		look_at_cold(s);
		*(frames ? &s->busy : &s->idle) += spent_cycles(s);
	}
	return frames;
}
