/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a worker knows of the queues that it polls: an entry for each, in the order of its list.
 *
 * A port that changes makes a new list for some worker, and a front-end may have its port change
 * all the time. So what is known of a queue that was on the list before, and whose ring has not
 * been started anew since, is carried over, in one pass over both lists. The others begin with a
 * fresh entry. What an entry says is not used before that: until then the ring may have gone.
 *
 * Threads: the worker's alone.
 */
#pragma once

#include "datapath/port.h"

#define POLL_MAX ((size_t)PORTS_MAX * PORT_QUEUES_MAX) /* queues on a list, at most */

struct poll_entry {
	struct vring_peek peek; /* of a cold queue: see sweep.h */
	uint32_t key, tenure;   /* of the queue */
	uint8_t quiet;          /* turns without a frame, up to SWEEP_COLD */
	uint8_t pass;           /* see share.h */
	bool asked;             /* its driver is, to kick: see idle.h */
	bool fresh;             /* nothing is known yet */
};

struct poll {
	uint64_t number; /* of the list that this is about; 0: none */
	unsigned n;
	struct poll_entry *entry;
	struct poll_entry *spare; /* for the next list */
};

/* Room for the longest list. Memory that no list needs is not touched. -ENOMEM. */
int poll_init(struct poll *p);
void poll_cleanup(struct poll *p);

/* Have an entry for each queue of list. */
void poll_follow(struct poll *p, const struct poll_list *list);

/* There is no list. */
void poll_forget(struct poll *p);

/* Where on the list the queue with this key is, or would be. */
static inline unsigned poll_seek(const struct poll_list *list, uint32_t key)
{
	unsigned from = 0, to = list->n;

	while (from < to) {
		unsigned middle = (from + to) / 2;

		if (list->key[middle] < key)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

/* Where on the list the queue with this key is; list->n: nowhere. */
static inline unsigned poll_find(const struct poll_list *list, uint32_t key)
{
	unsigned i = poll_seek(list, key);

	return i < list->n && list->key[i] == key ? i : list->n;
}
