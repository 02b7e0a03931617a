/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a worker knows of the queues that it polls: an entry for each queue, in the order of its
 * list.
 *
 * If a port changes, some worker gets a new list, and a front-end can change its port all the time.
 * So the entry of a queue is carried over if the queue was on the old list and its ring was not
 * started anew since. Keys tell queues of one port from queues of a later port with the same index.
 * This takes one pass over both lists. All other queues begin with a fresh entry. Entries are not
 * used before this pass, because the ring of an old entry may be gone.
 *
 * Threads: each worker has its own.
 */
#pragma once

#include "datapath/port.h"
#include "virtio/vring.h"

#define POLL_MAX ((size_t)PORTS_MAX * PORT_QUEUES_MAX) /* the most queues on a list */

struct poll_entry {
	struct vring_peek peek; /* of a cold queue: see sweep.h */
	uint64_t key;           /* of the queue */
	uint32_t tenure;
	uint8_t idle_turns; /* turns without a frame, up to SWEEP_COLD */
	uint8_t pass;       /* see share.h */
	bool kick_enabled;  /* its driver has been asked to kick: see idle.h */
	bool fresh;         /* nothing is known yet */
};

struct poll {
	uint64_t number; /* of the list that the entries are for; 0: none */
	unsigned n;
	struct poll_entry *entry;
	struct poll_entry *spare; /* for the next list */
};

/* Allocate room for the longest list. Memory that no list needs is not touched. -ENOMEM. */
int poll_init(struct poll *p);
void poll_cleanup(struct poll *p);

/* Make an entry for each queue of list. */
void poll_follow(struct poll *p, const struct poll_list *list);

/* Forget all entries, because there is no list. */
void poll_forget(struct poll *p);

/* Where on the list the queue with this key is, or would be. */
static inline unsigned poll_seek(const struct poll_list *list, uint64_t key)
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
static inline unsigned poll_find(const struct poll_list *list, uint64_t key)
{
	unsigned i = poll_seek(list, key);

	return i < list->n && list->key[i] == key ? i : list->n;
}
