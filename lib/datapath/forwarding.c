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
	struct vring_peek *peek;
	uint32_t *key;
	uint32_t *warm;
	uint16_t *port;
	uint8_t *quiet, *pass;
	bool *asked;
};

/* Each worker's part of an array begins with a cache line, be it an array of bytes. */
static size_t round_up(size_t n)
{
	return (n + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
}

static void fill_poll_lists(
    struct forwarding *fwd, const struct forwarding_config *config, const struct lists *lists)
{
	unsigned n = 0;

	for (unsigned w = 0; w < config->n_workers; w++) {
		unsigned first = n = round_up(n);
		bool kicks = true;

		for (unsigned i = 0; i < config->n_queues; i++) {
			struct queue *q = config->queue[i];

			if (q->worker != w)
				continue; /* another worker's */
			kicks &= q->kicks;
			lists->key[n] = poll_key(q);
			lists->port[n] = q->port->index;
			lists->queue[n++] = q;
		}
		fwd->poll[w] = (struct poll_list){
		    .n = n - first,
		    .kicks = kicks,
		    .queue = lists->queue + first,
		    .key = lists->key + first,
		    .port = lists->port + first,
		    .warm = lists->warm + first,
		    .quiet = lists->quiet + first,
		    .pass = lists->pass + first,
		    .asked = lists->asked + first,
		    .peek = lists->peek + first,
		};
	}
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
	size_t n = round_up(config->n_queues) + config->n_workers * (size_t)CACHE_LINE;
	size_t ports = config->n_ports;
	size_t per_port = sizeof(struct port *) + sizeof(uint16_t);
	size_t per_queue = sizeof(struct queue *) + sizeof(struct vring_peek) +
	    2 * sizeof(uint32_t) + sizeof(uint16_t) + 2 + sizeof(bool);
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
	list.queue = take(&at, n * sizeof(struct queue *));
	list.peek = take(&at, n * sizeof(struct vring_peek));
	list.key = take(&at, n * sizeof(uint32_t));
	list.warm = take(&at, n * sizeof(uint32_t));
	list.port = take(&at, n * sizeof(uint16_t));
	list.quiet = take(&at, n);
	list.pass = take(&at, n);
	list.asked = take(&at, n * sizeof(bool));
	fwd->port = take(&at, ports * sizeof(struct port *));
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
