/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which of its queues a worker polls every turn, and at which it only looks now and then.
 *
 * A queue that had nothing for SWEEP_COLD turns is cold. While others have work, a turn looks at
 * one in SWEEP_SLICES of all queues to find cold ones that have something again; when there is no
 * warm queue left, at all of them. A look is one word of the guest's, found in an array: neither
 * the queue nor its ring is touched for it (vring_peek). So a busy queue pays for 16 looks a turn
 * beside a thousand idle ones, and not for a thousand polls; and an idle one is heard of after
 * SWEEP_SLICES turns at the latest.
 *
 * What is remembered lies beside the poll list, in the forwarding, and begins anew with each one:
 * all queues are warm then.
 *
 * Threads: the worker's alone.
 */
#pragma once

#include "datapath/burst.h"

#define SWEEP_COLD   255
#define SWEEP_SLICES 64

struct sweep {
	uint64_t generation; /* of the forwarding that this is about */
	unsigned n_warm;
	unsigned cursor; /* where the next look begins */
};

/* One turn over fwd's list for a worker. Returns frames moved. */
unsigned sweep_turn(struct sweep *s, struct burst *b, const struct forwarding *fwd,
    const struct poll_list *list, uint32_t now_s);
