/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The data of a worker about the queues that it polls. There is one entry for each queue, in the
 * order of the worker's list.
 *
 * If a port changes, some worker gets a new list. A front-end can change its port all the time. So
 * the entry of a queue is kept if the queue was on the old list and its ring was not started anew
 * since. All other queues get a fresh entry. One pass over both lists does this. It compares keys,
 * because a later port may have the same index as an earlier port. Entries are not used before this
 * pass, because the ring of an old entry may not exist any more.
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

/*
 * The place of the queue with this key on the list. If it is not there: the place of the next key.
 */
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

/* The place of the queue with this key on the list; list->n: it is not there. */
static inline unsigned poll_find(const struct poll_list *list, uint64_t key)
{
	unsigned i = poll_seek(list, key);

	return i < list->n && list->key[i] == key ? i : list->n;
}
