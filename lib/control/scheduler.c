/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * Workers count the cycles of polls that moved frames, for each queue (worker/sweep.h). At the end
 * of every interval, the cycles of a worker give its load, and the cycles of a queue give its part
 * of this load. balance.c decides which queues move, and vswitch_move() moves them. A dry run only
 * logs the moves.
 *
 * The node of a guest's memory is found from one page: a page of the ring's device area. Drivers
 * allocate ring and buffers on the same node. The switch writes this page, but a page has no node
 * before it was touched. So the node is asked for in every interval until it is known.
 *
 * When memory or rings change, a port goes down and comes up again. Its queues keep their workers
 * then, so the balance stays. They lose their workers when the front-end disconnects.
 */
#include "control/scheduler.h"

#include <errno.h>
#include <stdlib.h>

#include <event2/event.h>

#include <rte_cycles.h>
#include <rte_lcore.h>

#include "base/log.h"
#include "base/numa.h"
#include "control/balance.h"
#include "control/vswitch.h"

#define FULL 1000 /* the load of a worker that is always busy */

/* One worker: its counters at the last reading, and its work in the last interval. */
struct seen {
	uint64_t busy, all; /* cycles */
	uint64_t queues;    /* busy cycles of its queues, in the last interval */
	unsigned load;
	bool alive;
};

struct scheduler {
	struct vswitch *sw;
	struct schedule_config config;
	struct event *timer;
	struct balance balance;
	struct schedule_counts counts;
	uint64_t last; /* TSC at the end of the last interval */
	unsigned next; /* the queue that is rotated next */
	unsigned n_workers;
	struct seen worker[RTE_MAX_LCORE];
};

#define NODES 128 /* for one call of numa_find() */

static void find_nodes(struct queue *const queue[], unsigned n)
{
	unsigned i = 0;

	while (i < n) {
		struct placement *place[NODES];
		void *page[NODES];
		int node[NODES];
		unsigned k = 0;

		for (; i < n && k < NODES; i++) {
			if (place_of(queue[i])->node != NUMA_UNKNOWN)
				continue;
			place[k] = place_of(queue[i]);
			page[k++] = queue[i]->owner->ops->page(queue[i]);
		}
		numa_find(page, k, node);
		while (k--)
			place[k]->node = node[k];
	}
}

static void count_queues(const struct vswitch *sw, struct balance_worker workers[])
{
	const struct switch_port *sp;

	for (unsigned p = 0; (sp = vswitch_next_port(sw, &p));) {
		for (unsigned i = 0; i < sp->n_polled; i++)
			if (place_of(sp->polled[i])->placed)
				workers[sp->polled[i]->worker].queues++;
	}
}

static void describe_workers(const struct scheduler *s, struct balance_worker workers[])
{
	for (unsigned w = 0; w < s->n_workers; w++) {
		struct worker_stats stats;

		workers_read_stats(s->sw->workers, w, &stats);
		workers[w] = (struct balance_worker){
		    .usable = s->worker[w].alive, .node = stats.node, .load = s->worker[w].load};
	}
	count_queues(s->sw, workers);
}

void scheduler_place(struct scheduler *s, struct switch_port *sp)
{
	struct balance_worker workers[RTE_MAX_LCORE];

	/* Many ports may be removed at once, and what follows looks at all ports. */
	if (sp->n_polled == 0)
		return;
	find_nodes(sp->polled, sp->n_polled);
	describe_workers(s, workers);
	for (unsigned i = 0; i < sp->n_polled; i++) {
		struct queue *q = sp->polled[i];
		struct placement *place = place_of(q);

		if (place->placed)
			continue;
		q->worker = balance_place(workers, s->n_workers, place->node);
		workers[q->worker].queues++;
		place->placed = true;
		place->busy_cycles = q->stats.busy_cycles;
	}
}

void scheduler_forget(struct switch_port *sp)
{
	for (unsigned i = 0; i < PORT_QUEUES_MAX; i++)
		sp->place[i] = (struct placement){.node = NUMA_UNKNOWN};
}

/* A worker that neither sleeps nor counts any cycles has lost its CPU, or waits for a page. */
static void measure_worker(struct scheduler *s, unsigned w, uint64_t elapsed)
{
	struct seen *seen = &s->worker[w];
	struct worker_stats stats;
	uint64_t all, busy;

	workers_read_stats(s->sw->workers, w, &stats);
	all = stats.busy_cycles + stats.idle_cycles + stats.sleep_cycles;
	busy = stats.busy_cycles - seen->busy;
	seen->load = MIN(busy * FULL / elapsed, FULL);
	seen->alive = stats.asleep || all != seen->all;
	seen->busy = stats.busy_cycles;
	seen->all = all;
	seen->queues = 0;
}

/*
 * The load of a queue is a part of its worker's load: the same part that the queue has of the
 * worker's busy cycles.
 */
static void measure_queues(struct scheduler *s, const struct vswitch_polled *polled)
{
	uint64_t *cycles = calloc(polled->n + 1, sizeof(*cycles));

	for (unsigned i = 0; cycles && i < polled->n; i++) {
		struct queue *q = polled->queue[i];
		uint64_t now = READ_ONCE(q->stats.busy_cycles);

		cycles[i] = now - place_of(q)->busy_cycles;
		place_of(q)->busy_cycles = now;
		s->worker[q->worker].queues += cycles[i];
	}
	for (unsigned i = 0; cycles && i < polled->n; i++) {
		const struct seen *seen = &s->worker[polled->queue[i]->worker];

		place_of(polled->queue[i])->load =
		    seen->queues ? cycles[i] * seen->load / seen->queues : 0;
	}
	free(cycles);
}

static void measure(struct scheduler *s, const struct vswitch_polled *polled)
{
	uint64_t now = rte_rdtsc();

	for (unsigned w = 0; w < s->n_workers; w++)
		measure_worker(s, w, MAX(now - s->last, UINT64_C(1)));
	s->last = now;
	measure_queues(s, polled);
}

static unsigned cpu_of(const struct scheduler *s, unsigned worker)
{
	struct worker_stats stats;

	workers_read_stats(s->sw->workers, worker, &stats);
	return stats.cpu;
}

static void tell(const struct scheduler *s, const struct queue *q, const struct balance_move *m)
{
	unsigned from = cpu_of(s, m->from), to = cpu_of(s, m->to);

	log_info("%s: %s queue %u from CPU %u to CPU %u: %u %u %% -> %u %%, %u %u %% -> %u %%",
	    q->owner->name, s->config.mode == SCHEDULE_ON ? "moved" : "would move", q->index / 2,
	    from, to, from, m->from_before / 10, m->from_after / 10, to, m->to_before / 10,
	    m->to_after / 10);
}

static void carry_out(struct scheduler *s, const struct vswitch_polled *polled,
    const struct balance_move m[], unsigned n)
{
	struct vswitch_move moves[BALANCE_MOVES_MAX];

	for (unsigned i = 0; i < n; i++)
		moves[i] = (struct vswitch_move){.queue = polled->queue[m[i].queue], .to = m[i].to};
	s->counts.proposed += n;
	if (n && s->config.mode == SCHEDULE_ON) {
		if (vswitch_move(s->sw, moves, n) < 0) {
			s->balance.hold = 0; /* no queue has moved: try again soon */
			return;
		}
		s->counts.moved += n;
	}
	for (unsigned i = 0; i < n; i++)
		tell(s, moves[i].queue, &m[i]);
}

/*
 * Do all workers run? A move waits for all workers, so a worker that stands still would delay the
 * move.
 */
static bool all_alive(const struct scheduler *s)
{
	for (unsigned w = 0; w < s->n_workers; w++)
		if (!s->worker[w].alive)
			return false;
	return true;
}

static void balance(struct scheduler *s, const struct vswitch_polled *polled)
{
	struct balance_queue *queues = calloc(polled->n + 1, sizeof(*queues));
	struct balance_worker workers[RTE_MAX_LCORE];
	struct balance_move moves[BALANCE_MOVES_MAX];

	if (!queues)
		return;
	describe_workers(s, workers);
	for (unsigned i = 0; i < polled->n; i++) {
		const struct placement *place = place_of(polled->queue[i]);

		queues[i] = (struct balance_queue){
		    .worker = polled->queue[i]->worker, .node = place->node, .load = place->load};
	}
	carry_out(s, polled, moves,
	    balance_step(&s->balance, workers, s->n_workers, queues, polled->n, moves));
	free(queues);
}

static void rotate(struct scheduler *s, const struct vswitch_polled *polled)
{
	struct vswitch_move move;

	if (polled->n == 0)
		return;
	move.queue = polled->queue[s->next++ % polled->n];
	move.to = (move.queue->worker + 1) % s->n_workers;
	s->counts.proposed++;
	if (vswitch_move(s->sw, &move, 1) == 0)
		s->counts.moved++;
}

static void on_interval(evutil_socket_t fd, short what, void *arg)
{
	struct scheduler *s = arg;
	struct vswitch_polled polled;

	(void)fd;
	(void)what;
	if (vswitch_list_polled(s->sw, &polled) < 0)
		return;
	find_nodes(polled.queue, polled.n);
	measure(s, &polled);
	if (s->config.mode == SCHEDULE_ROTATE)
		rotate(s, &polled);
	else if (s->config.mode != SCHEDULE_OFF && s->n_workers > 1 && all_alive(s))
		balance(s, &polled);
	free(polled.queue);
}

static int start_timer(struct scheduler *s)
{
	const struct timeval interval = {.tv_sec = s->config.interval_ms / 1000,
	    .tv_usec = s->config.interval_ms % 1000 * 1000L};

	return event_add(s->timer, &interval) < 0 ? -ENOMEM : 0;
}

static void configure(struct scheduler *s, const struct schedule_config *config)
{
	s->config = *config;
	s->balance = (struct balance){.limits = balance_usual};
	s->balance.limits.busy = config->busy_percent * FULL / 100;
}

int scheduler_create(
    struct vswitch *sw, const struct schedule_config *config, struct scheduler **ret_scheduler)
{
	struct scheduler *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->sw = sw;
	configure(s, config);
	s->n_workers = workers_count(sw->workers);
	s->last = rte_rdtsc();
	for (unsigned w = 0; w < s->n_workers; w++)
		s->worker[w].alive = true;
	s->timer = event_new(sw->base, -1, EV_PERSIST, on_interval, s);
	if (!s->timer || start_timer(s) < 0) {
		scheduler_destroy(s);
		return -ENOMEM;
	}
	*ret_scheduler = s;
	return 0;
}

void scheduler_destroy(struct scheduler *s)
{
	if (!s)
		return;
	if (s->timer)
		event_free(s->timer);
	free(s);
}

void scheduler_set(struct scheduler *s, const struct schedule_config *config)
{
	configure(s, config);
	/* The timer has its memory already, so this does not fail. */
	start_timer(s);
}

int scheduler_move(struct scheduler *s, struct queue *queue, unsigned to)
{
	struct vswitch_move move = {.queue = queue, .to = (uint16_t)to};
	int err;

	if (queue->worker == to)
		return 0;
	if (!all_alive(s))
		return -EBUSY;
	err = vswitch_move(s->sw, &move, 1);
	if (err)
		return err;
	s->counts.moved++;
	s->balance.hold = s->balance.limits.hold_off;
	return 0;
}

unsigned scheduler_load(const struct scheduler *s, unsigned worker)
{
	return s->worker[worker].load;
}

const struct schedule_config *scheduler_config(const struct scheduler *s)
{
	return &s->config;
}

struct schedule_counts scheduler_counts(const struct scheduler *s)
{
	return s->counts;
}
