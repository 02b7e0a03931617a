/* SPDX-License-Identifier: BSD-3-Clause */
/* Build the immutable snapshot of the switch that workers use. Control thread only. */
#pragma once

#include "datapath/port.h"

/* A bridge. If it has VLANs, the policy of each of its ports has POLICY_VLAN. */
struct bridge_setup {
	struct fdb *fdb;
	bool vlans;
};

struct forwarding_config {
	unsigned n_bridges;
	const struct bridge_setup *bridge; /* by number, as in struct port */
	unsigned n_ports;
	struct port *const *port;   /* NULL entries: down */
	unsigned n_queues;          /* ingress queues; queue->worker polls it, if not WORKER_NONE */
	struct queue *const *queue; /* ordered by port index, then by queue index */
	unsigned n_workers;
};

/* One allocation, to be released with forwarding_destroy. -ENOMEM. */
int forwarding_create(const struct forwarding_config *config, struct forwarding **ret_forwarding);

/* Do both lists have the same queues, and was no ring of them started anew in between? */
bool poll_list_equal(const struct poll_list *a, const struct poll_list *b);
void forwarding_destroy(struct forwarding *fwd);
