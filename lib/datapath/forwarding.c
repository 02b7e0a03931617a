/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/forwarding.h"

#include <errno.h>
#include <stdlib.h>

static void fill_ports(struct forwarding *fwd, const struct forwarding_config *config)
{
	for (unsigned i = 0; i < config->n_ports; i++) {
		fwd->port[i] = config->port[i];
		if (config->port[i])
			fwd->up[fwd->n_up++] = i;
	}
}

static void fill_poll_lists(struct forwarding *fwd, const struct forwarding_config *config,
    struct queue **room, struct vring_peek *peek, uint32_t *warm, uint8_t *quiet, bool *asked)
{
	struct queue **first = room;

	for (unsigned w = 0; w < config->n_workers; w++) {
		fwd->poll[w].queue = room;
		fwd->poll[w].warm = warm + (room - first);
		fwd->poll[w].quiet = quiet + (room - first);
		fwd->poll[w].asked = asked + (room - first);
		fwd->poll[w].peek = peek + (room - first);
		for (unsigned i = 0; i < config->n_queues; i++)
			if (config->queue[i]->worker == w)
				*room++ = config->queue[i];
		fwd->poll[w].n = room - fwd->poll[w].queue;
	}
}

int forwarding_create(const struct forwarding_config *config, struct forwarding **ret_forwarding)
{
	size_t lists = sizeof(struct forwarding) + config->n_workers * sizeof(struct poll_list);
	size_t queues = config->n_queues * sizeof(struct queue *);
	size_t ports = config->n_ports * sizeof(struct port *);
	size_t up = config->n_ports * sizeof(uint16_t);
	size_t peek = config->n_queues * sizeof(struct vring_peek);
	size_t warm = config->n_queues * sizeof(uint32_t);
	size_t quiet = config->n_queues;
	size_t asked = config->n_queues * sizeof(bool);
	char *memory = calloc(1, lists + queues + ports + peek + warm + up + quiet + asked);
	struct forwarding *fwd = (struct forwarding *)memory;

	if (!memory)
		return -ENOMEM;
	fwd->n_ports = config->n_ports;
	fwd->n_workers = config->n_workers;
	fwd->port = (struct port **)(memory + lists + queues);
	fwd->up = (uint16_t *)(memory + lists + queues + ports + peek + warm);
	fill_ports(fwd, config);
	fill_poll_lists(fwd, config, (struct queue **)(memory + lists),
	    (struct vring_peek *)(memory + lists + queues + ports),
	    (uint32_t *)(memory + lists + queues + ports + peek),
	    (uint8_t *)(memory + lists + queues + ports + peek + warm + up),
	    (bool *)(memory + lists + queues + ports + peek + warm + up + quiet));
	*ret_forwarding = fwd;
	return 0;
}

void forwarding_destroy(struct forwarding *fwd)
{
	free(fwd);
}
