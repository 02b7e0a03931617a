/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The policy of who polls what: loads in, moves out. Pure functions; they know nothing of the
 * switch, and time is what they are called by.
 *
 * Loads are thousandths of a worker's time. Nodes are numbers, or NUMA_UNKNOWN.
 */
#pragma once

#include <stdbool.h>

#define BALANCE_MOVES_MAX 32

struct balance_worker {
	bool usable; /* may be given queues */
	int node;
	unsigned queues; /* how many it polls */
	unsigned load;   /* busy share */
	bool settled;    /* balance_step's own */
};

struct balance_queue {
	unsigned worker;
	int node;      /* of the guest's memory */
	unsigned load; /* its part of the worker's */
	bool moved;    /* balance_step's own */
};

struct balance_move {
	unsigned queue, from, to;
	unsigned from_before, from_after, to_before, to_after; /* loads */
};

struct balance_limits {
	unsigned busy;     /* a worker with less has no need to give anything away */
	unsigned gain;     /* by how much a move must lower the higher of two loads */
	unsigned patience; /* steps in which there must be something to gain, one after the other */
	unsigned hold_off; /* steps after moves in which nothing happens */
};

/* All zero but the limits: nothing seen yet. */
struct balance {
	struct balance_limits limits;
	unsigned sustained, hold;
};

extern const struct balance_limits balance_usual;

/* The worker for a new queue: few queues, on the node of its memory if there is one. */
unsigned balance_place(const struct balance_worker workers[], unsigned n, int node);

/*
 * One interval's loads. Returns how many moves are due, mostly none, and none of a queue twice.
 * workers and queues are scratch memory then: they are as the moves would leave them.
 */
unsigned balance_step(struct balance *b, struct balance_worker workers[], unsigned n_workers,
    struct balance_queue queues[], unsigned n_queues, struct balance_move ret_moves[]);
