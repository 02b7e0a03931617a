/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which port indices are taken. An index is a place in the arrays of the forwarding and in the
 * address table, so there are few of them, and a port that is removed gives its index back.
 *
 * What is on its way to a port (a frame in a mailbox, a kick that a worker has not read yet) may
 * arrive after that. So it carries the generation of the index, too, and is ignored if another port
 * has the index. An index may be given back when the workers use a forwarding without the port, and
 * the address table has no entry for the port.
 *
 * Threads: the control thread only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "datapath/port.h"

/* All zero: all indices are free. */
struct port_indices {
	bool taken[PORTS_MAX];
	uint32_t generation[PORTS_MAX]; /* how often each index has been taken */
};

/* Take the lowest free index. -ENOSPC: none is free. */
int port_index_take(struct port_indices *indices, struct port_id *ret_id);

void port_index_give_back(struct port_indices *indices, uint16_t index);
