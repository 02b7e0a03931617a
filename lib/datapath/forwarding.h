/* SPDX-License-Identifier: BSD-3-Clause */
/* Build the immutable picture of the switch that workers run on. Control thread only. */
#pragma once

#include "datapath/port.h"

struct forwarding_config {
	unsigned n_ports;
	struct port *const *port;   /* NULL entries: down */
	unsigned n_queues;          /* receive queues to poll, each by its worker, or by none, */
	struct queue *const *queue; /* in the order of their ports' indices and of theirs */
	unsigned n_workers;
};

/* One allocation, to be released with forwarding_destroy. -ENOMEM. */
int forwarding_create(const struct forwarding_config *config, struct forwarding **ret_forwarding);

/* Are they the same queues, with the same rings as when they were polled first? */
bool poll_list_equal(const struct poll_list *a, const struct poll_list *b);
void forwarding_destroy(struct forwarding *fwd);
