/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * A move is judged by the loads of its two workers: the higher load must fall by at least `gain`.
 * This has three effects. If a single queue keeps its worker busy, the queue does not move, because
 * the other worker would then be as busy. Workers with equal loads exchange no queues. A queue does
 * not move back at once, because the move back would raise the higher load, not lower it.
 *
 * The best move of the busiest worker is planned first. Each further move is planned with the loads
 * as they will be after the moves before. Planning ends when no move away from a worker above
 * `busy` lowers the higher load by `gain`.
 *
 * A queue costs more if its worker and the guest's memory are on different nodes. REMOTE_COST is a
 * guess of how much. It is used when loads are compared. If no worker is too busy, such a queue
 * moves to the node of its memory. This needs a worker there whose load stays so far below `busy`
 * that it will not give the queue away again.
 *
 * Loads vary. Moves are made only if moves were found in `sustained_min` intervals in a row. Then
 * no move is made for `hold_off` intervals, so that the next loads show the effect of the moves.
 * The effect is not known before: the load of a worker that is always busy shows how much work it
 * does, not how much work there is. So a queue may cause more load on its new worker than before.
 */
#include "control/balance.h"

#include <string.h>

#include "base/numa.h"
#include "base/util.h"

#define REMOTE_COST(load) ((load) + (load) / 4)
#define LOCAL_COST(load)  ((load)*4 / 5)

const struct balance_limits balance_usual = {
    .busy = 700, .gain = 100, .sustained_min = 3, .hold_off = 5};

struct state {
	struct balance_limits limits;
	struct balance_worker *worker;
	unsigned n_workers;
	struct balance_queue *queue;
	unsigned n_queues;
	struct balance_move *moves;
	unsigned n_moves;
};

static bool remote(const struct balance_queue *q, const struct balance_worker *w)
{
	return q->node != NUMA_UNKNOWN && q->node != w->node;
}

/* The load of queue q if worker w polls it. */
static unsigned load_at(
    const struct state *s, const struct balance_queue *q, const struct balance_worker *w)
{
	bool far = remote(q, w);

	if (far == remote(q, &s->worker[q->worker]))
		return q->load;
	return far ? REMOTE_COST(q->load) : LOCAL_COST(q->load);
}

static struct balance_move plan(const struct state *s, unsigned queue, unsigned to)
{
	const struct balance_queue *q = &s->queue[queue];
	unsigned from_load = s->worker[q->worker].load, to_load = s->worker[to].load;

	return (struct balance_move){.queue = queue,
	    .from = q->worker,
	    .to = to,
	    .from_before = from_load,
	    .from_after = from_load - MIN(q->load, from_load),
	    .to_before = to_load,
	    .to_after = to_load + load_at(s, q, &s->worker[to])};
}

static void take(struct state *s, const struct balance_move *move)
{
	struct balance_queue *q = &s->queue[move->queue];

	q->load = load_at(s, q, &s->worker[move->to]);
	q->worker = move->to;
	q->moved = true;
	s->worker[move->from].load = move->from_after;
	s->worker[move->to].load = move->to_after;
	s->worker[move->from].queues--;
	s->worker[move->to].queues++;
	s->moves[s->n_moves++] = *move;
}

/* The gain of a move: by how much it lowers the higher of the two loads. 0: it does not. */
static unsigned gain(const struct balance_move *m)
{
	unsigned before = MAX(m->from_before, m->to_before);
	unsigned after = MAX(m->from_after, m->to_after);

	return before > after ? before - after : 0;
}

/*
 * Is move a better than move b? If both gain the same, the queue with the lower load is better, and
 * after that the less busy worker.
 */
static bool better_move(const struct balance_move *a, const struct balance_move *b)
{
	unsigned gain_a = gain(a), gain_b = gain(b);

	if (gain_a != gain_b)
		return gain_a > gain_b;
	if (a->from_after != b->from_after)
		return a->from_after > b->from_after;
	return a->to_after < b->to_after;
}

/* Find the best move away from worker `from`. False: no move gains enough. */
static bool best_move(const struct state *s, unsigned from, struct balance_move *ret_move)
{
	bool found = false;

	for (unsigned i = 0; i < s->n_queues; i++) {
		const struct balance_queue *q = &s->queue[i];
		bool may_move = q->worker == from && q->load && !q->moved;

		for (unsigned w = 0; may_move && w < s->n_workers; w++) {
			struct balance_move move = plan(s, i, w);

			if (w == from || !s->worker[w].usable || gain(&move) < s->limits.gain)
				continue;
			if (!found || better_move(&move, ret_move))
				*ret_move = move;
			found = true;
		}
	}
	return found;
}

/* The busiest worker, of those that were too busy and may gain. n_workers: there is none. */
static unsigned busiest(const struct state *s)
{
	unsigned best = s->n_workers;

	for (unsigned w = 0; w < s->n_workers; w++) {
		const struct balance_worker *worker = &s->worker[w];

		if (!worker->settled &&
		    (best == s->n_workers || worker->load > s->worker[best].load))
			best = w;
	}
	return best;
}

static void relieve_busy(struct state *s)
{
	struct balance_move move;
	unsigned from;

	while (s->n_moves < BALANCE_MOVES_MAX && (from = busiest(s)) < s->n_workers) {
		if (best_move(s, from, &move))
			take(s, &move);
		else
			s->worker[from].settled = true;
	}
}

/* The usable worker with the lowest load on a node; n_workers: there is none. */
static unsigned least_on_node(const struct state *s, int node)
{
	unsigned best = s->n_workers;

	for (unsigned w = 0; w < s->n_workers; w++) {
		const struct balance_worker *worker = &s->worker[w];

		if (worker->usable && worker->node == node &&
		    (best == s->n_workers || worker->load < s->worker[best].load))
			best = w;
	}
	return best;
}

static void send_home(struct state *s)
{
	for (unsigned i = 0; i < s->n_queues && s->n_moves < BALANCE_MOVES_MAX; i++) {
		const struct balance_queue *q = &s->queue[i];
		struct balance_move move;
		unsigned to;

		if (!remote(q, &s->worker[q->worker]))
			continue;
		to = least_on_node(s, q->node);
		if (to == s->n_workers)
			continue;
		move = plan(s, i, to);
		if (move.to_after + s->limits.gain <= s->limits.busy)
			take(s, &move);
	}
}

unsigned balance_step(struct balance *b, struct balance_worker workers[], unsigned n_workers,
    struct balance_queue queues[], unsigned n_queues, struct balance_move ret_moves[])
{
	struct state s = {.limits = b->limits,
	    .worker = workers,
	    .n_workers = n_workers,
	    .queue = queues,
	    .n_queues = n_queues,
	    .moves = ret_moves};

	if (b->hold) {
		b->hold--;
		return 0;
	}
	for (unsigned w = 0; w < n_workers; w++)
		workers[w].settled = workers[w].load < b->limits.busy;
	for (unsigned i = 0; i < n_queues; i++)
		queues[i].moved = false;
	relieve_busy(&s);
	if (s.n_moves == 0)
		send_home(&s);
	b->sustained = s.n_moves ? b->sustained + 1 : 0;
	if (b->sustained < b->limits.sustained_min || s.n_moves == 0)
		return 0;
	b->sustained = 0;
	b->hold = b->limits.hold_off;
	return s.n_moves;
}

static bool better_place(const struct balance_worker *a, const struct balance_worker *b, int node)
{
	if (a->usable != b->usable)
		return a->usable;
	if ((a->node == node) != (b->node == node) && node != NUMA_UNKNOWN)
		return a->node == node;
	if (a->queues != b->queues)
		return a->queues < b->queues;
	return a->load < b->load;
}

unsigned balance_place(const struct balance_worker workers[], unsigned n, int node)
{
	unsigned best = 0;

	for (unsigned w = 1; w < n; w++)
		if (better_place(&workers[w], &workers[best], node))
			best = w;
	return best;
}
