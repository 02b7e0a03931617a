/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decides which worker polls which queue. The functions get the loads of queues and workers, and
 * return moves of queues. They use no other state of the switch, and no clock. The caller calls
 * balance_step() once per interval.
 *
 * Loads are thousandths of a worker's time. Nodes are numbers, or NUMA_UNKNOWN.
 */
#pragma once

#include <stdbool.h>

#define BALANCE_MOVES_MAX 32

struct balance_worker {
	bool usable; /* it may get queues */
	int node;
	unsigned queues; /* how many it polls */
	unsigned load;   /* for how much of its time it is busy */
	bool settled;    /* for balance_step() only */
};

struct balance_queue {
	unsigned worker;
	int node;      /* of the guest's memory */
	unsigned load; /* its part of the worker's load */
	bool moved;    /* for balance_step() only */
};

struct balance_move {
	unsigned queue, from, to;
	unsigned from_before, from_after, to_before, to_after; /* loads */
};

struct balance_limits {
	unsigned busy; /* a worker with at least this load is too busy */
	unsigned gain; /* a move must lower the higher of the two workers' loads by this much */
	unsigned sustained_min; /* so many steps in a row must find moves before moves are made */
	unsigned hold_off;      /* so many steps after moves make no moves */
};

/* At the beginning all fields except the limits are zero. */
struct balance {
	struct balance_limits limits;
	unsigned sustained, hold;
};

extern const struct balance_limits balance_usual;

/* Choose a worker for a new queue: on the node of its memory if possible, and with few queues. */
unsigned balance_place(const struct balance_worker workers[], unsigned n, int node);

/*
 * Evaluate the loads of one interval. Returns the number of moves to make, which is mostly 0. No
 * queue moves twice. The contents of workers and queues change.
 */
unsigned balance_step(struct balance *b, struct balance_worker workers[], unsigned n_workers,
    struct balance_queue queues[], unsigned n_queues, struct balance_move ret_moves[]);
