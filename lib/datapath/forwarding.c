/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/forwarding.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void fill_ports(struct forwarding *fwd, const struct forwarding_config *config)
{
	for (unsigned i = 0; i < config->n_ports; i++) {
		fwd->port[i] = config->port[i];
		if (config->port[i])
			fwd->up[fwd->n_up++] = i;
	}
}

/* The arrays of all poll lists, n_queues entries each. */
struct lists {
	struct queue **queue;
	uint32_t *key, *tenure;
	uint16_t *port;
};

static size_t round_up(size_t n)
{
	return (n + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
}

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

/* A piece of the memory at *at. */
static void *take(char **at, size_t size)
{
	char *piece = *at;

	*at += size;
	return piece;
}

int forwarding_create(const struct forwarding_config *config, struct forwarding **ret_forwarding)
{
	size_t lists =
	    round_up(sizeof(struct forwarding) + config->n_workers * sizeof(struct poll_list));
	size_t n = config->n_queues;
	size_t ports = config->n_ports;
	size_t per_port = sizeof(struct port *) + sizeof(uint16_t);
	size_t per_queue = sizeof(struct queue *) + 2 * sizeof(uint32_t) + sizeof(uint16_t);
	size_t size = round_up(lists + n * per_queue + ports * per_port);
	char *memory = aligned_alloc(CACHE_LINE, size), *at = memory;
	struct forwarding *fwd;
	struct lists list;

	if (!memory)
		return -ENOMEM;
	memset(memory, 0, size);
	fwd = take(&at, lists);
	fwd->n_ports = config->n_ports;
	fwd->n_workers = config->n_workers;
	fwd->port = take(&at, ports * sizeof(struct port *));
	list.queue = take(&at, n * sizeof(struct queue *));
	list.key = take(&at, n * sizeof(uint32_t));
	list.tenure = take(&at, n * sizeof(uint32_t));
	list.port = take(&at, n * sizeof(uint16_t));
	fwd->up = take(&at, ports * sizeof(uint16_t));
	fill_ports(fwd, config);
	fill_poll_lists(fwd, config, &list);
	*ret_forwarding = fwd;
	return 0;
}

void forwarding_destroy(struct forwarding *fwd)
{
	free(fwd);
}
