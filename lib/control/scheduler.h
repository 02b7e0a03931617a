/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who polls which receive queue: chosen when a port comes up, measured every interval, changed
 * where that helps (balance.h).
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vport;
struct vswitch;
struct scheduler;

enum schedule_mode {
	SCHEDULE_OFF,     /* queues stay where they are */
	SCHEDULE_DRY_RUN, /* say what would be moved */
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
	unsigned busy_percent; /* from where on a worker is too busy */
};

/* What is known of a receive queue; kept in its vport. */
struct placement {
	bool placed;          /* it has its worker, which it keeps until the front-end goes */
	int node;             /* of the guest's memory, where the ring is; NUMA_UNKNOWN */
	unsigned load;        /* thousandths of a worker's time in the last interval */
	uint64_t busy_cycles; /* as last seen */
};

struct schedule_counts {
	uint64_t proposed, moved; /* queues */
};

/* -ENOMEM. */
int scheduler_create(
    struct vswitch *sw, const struct schedule_config *config, struct scheduler **ret_scheduler);
void scheduler_destroy(struct scheduler *s);

/* Give a worker to each of the receive queues of vp, which is about to come up. */
void scheduler_place(struct scheduler *s, struct vport *vp);

/* The front-end of vp has gone: its queues may be placed elsewhere the next time. */
void scheduler_forget(struct vport *vp);

/* A worker's busy share in the last interval, in thousandths. */
unsigned scheduler_load(const struct scheduler *s, unsigned worker);
const struct schedule_config *scheduler_config(const struct scheduler *s);
struct schedule_counts scheduler_counts(const struct scheduler *s);
