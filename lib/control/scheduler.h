/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decides which worker polls which ingress queue. The worker is chosen when the port comes up.
 * Loads are measured in every interval. Queues move to other workers if that lowers the highest
 * loads (balance.h).
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct queue;
struct switch_port;
struct vswitch;
struct scheduler;

enum schedule_mode {
	SCHEDULE_OFF,     /* queues stay where they are */
	SCHEDULE_DRY_RUN, /* only log what would be moved */
	SCHEDULE_ON,
	SCHEDULE_ROTATE, /* for tests: move a queue to the next worker in each interval */
};

#define SCHEDULE_MODES \
	{ \
		"off", "dry-run", "on", "rotate" \
	}

struct schedule_config {
	enum schedule_mode mode;
	unsigned interval_ms;
	unsigned busy_percent; /* a worker with at least this load is too busy */
};

/* Data of the scheduler about an ingress queue. It is in the queue's struct switch_port. */
struct placement {
	bool placed;          /* a worker was chosen since the front-end connected */
	int node;             /* of the guest's memory with the ring; or NUMA_UNKNOWN */
	unsigned load;        /* thousandths of a worker's time in the last interval */
	uint64_t busy_cycles; /* the queue's counter at the end of the last interval */
};

struct schedule_counts {
	uint64_t proposed, moved; /* queues */
};

/* 0 or -ENOMEM. */
int scheduler_create(
    struct vswitch *sw, const struct schedule_config *config, struct scheduler **ret_scheduler);
void scheduler_destroy(struct scheduler *s);

/* Choose a worker for each ingress queue of sp that has none. sp is about to come up. */
void scheduler_place(struct scheduler *s, struct switch_port *sp);

/*
 * The front-end of sp has disconnected. So the next scheduler_place() chooses new workers for its
 * queues.
 */
void scheduler_forget(struct switch_port *sp);

/* Go on in this way. The loads are measured anew. */
void scheduler_set(struct scheduler *s, const struct schedule_config *config);

/*
 * Give an ingress queue of a port that is up to another worker. If queues are balanced, none moves
 * for some intervals, so that the loads show the effect; after that it may move on. -EBUSY: a
 * worker stands still; or what vswitch_move() returns.
 */
int scheduler_move(struct scheduler *s, struct queue *queue, unsigned to);

/* The part of the last interval in which the worker was busy, in thousandths. */
unsigned scheduler_load(const struct scheduler *s, unsigned worker);
const struct schedule_config *scheduler_config(const struct scheduler *s);
struct schedule_counts scheduler_counts(const struct scheduler *s);
