/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/forwarding.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

static void fill_dests(struct forwarding *fwd, const struct forwarding_config *config)
{
	for (unsigned i = 0; i < config->n_ports; i++) {
		fwd->dest[i] = (struct dest){.port = config->port[i], .edit = EDIT_NONE};
		if (config->port[i])
			fwd->up[fwd->n_up++] = i;
	}
}

/* The arrays of all poll lists, n_queues entries each. */
struct lists {
	struct queue **queue;
	uint64_t *key;
	uint32_t *tenure;
	uint16_t *port;
};

static void fill_poll_lists(
    struct forwarding *fwd, const struct forwarding_config *config, const struct lists *lists)
{
	unsigned n = 0;

	for (unsigned w = 0; w < config->n_workers; w++) {
		unsigned first = n;
		bool kicks = true;

		for (unsigned i = 0; i < config->n_queues; i++) {
			struct queue *q = config->queue[i];

			if (q->worker != w)
				continue; /* another worker's */
			kicks &= q->kicks;
			lists->key[n] = poll_key(q);
			lists->tenure[n] = q->tenure;
			lists->port[n] = q->port->index;
			lists->queue[n++] = q;
		}
		fwd->poll[w] = (struct poll_list){
		    .n = n - first,
		    .kicks = kicks,
		    .queue = lists->queue + first,
		    .key = lists->key + first,
		    .tenure = lists->tenure + first,
		    .port = lists->port + first,
		};
	}
}

bool poll_list_equal(const struct poll_list *a, const struct poll_list *b)
{
	return a->n == b->n && a->kicks == b->kicks &&
	    memcmp(a->key, b->key, a->n * sizeof(*a->key)) == 0 &&
	    memcmp(a->tenure, b->tenure, a->n * sizeof(*a->tenure)) == 0;
}

/* A forwarding is one allocation. It contains these pieces, in this order. */
struct pieces {
	struct forwarding *fwd;
	struct dest *dest;
	struct lists list;
	uint16_t *up;
};

static struct pieces take_pieces(struct arena *arena, const struct forwarding_config *config)
{
	size_t n_ports = config->n_ports, n_queues = config->n_queues;
	struct pieces p;

	p.fwd = arena_take(arena,
	    sizeof(struct forwarding) + config->n_workers * sizeof(struct poll_list),
	    _Alignof(struct forwarding));
	arena_align(arena, CACHE_LINE);
	p.dest = ARENA_ARRAY(arena, struct dest, n_ports);
	p.list.queue = ARENA_ARRAY(arena, struct queue *, n_queues);
	p.list.key = ARENA_ARRAY(arena, uint64_t, n_queues);
	p.list.tenure = ARENA_ARRAY(arena, uint32_t, n_queues);
	p.list.port = ARENA_ARRAY(arena, uint16_t, n_queues);
	p.up = ARENA_ARRAY(arena, uint16_t, n_ports);
	arena_align(arena, CACHE_LINE);
	return p;
}

int forwarding_create(const struct forwarding_config *config, struct forwarding **ret_forwarding)
{
	struct arena arena = {0};
	struct pieces p;
	size_t size;

	take_pieces(&arena, config);
	size = arena.used;
	arena = (struct arena){.memory = aligned_alloc(CACHE_LINE, size)};
	if (!arena.memory)
		return -ENOMEM;
	memset(arena.memory, 0, size);
	p = take_pieces(&arena, config);
	p.fwd->n_dests = config->n_ports;
	p.fwd->dest = p.dest;
	p.fwd->up = p.up;
	fill_dests(p.fwd, config);
	fill_poll_lists(p.fwd, config, &p.list);
	*ret_forwarding = p.fwd;
	return 0;
}

void forwarding_destroy(struct forwarding *fwd)
{
	free(fwd);
}
