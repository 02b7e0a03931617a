/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Gives indices to ports. An index is a place in the arrays of the forwarding and a value in the
 * address table. There are few indices, so a port gives its index back when it is removed.
 *
 * A frame in a mailbox, or a kick that a worker has not read yet, may arrive after the port was
 * removed. So frames and kicks also carry the generation of the index. They are ignored if another
 * port has the index by then.
 *
 * An index may be given back only after the workers use a forwarding without the port, and the
 * address table has no entry for the port.
 *
 * A removed port may leave something with its index: descriptors that are being closed, mappings
 * that are being unmapped. They count towards limits of the index, and another front-end must not
 * find these used up. So a free index with which nothing is left is taken first. But what hangs may
 * stay for ever, so if all free indices have something, the one with the least is taken.
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
	uint32_t generation[PORTS_MAX];   /* how often each index has been taken */
	unsigned (*left)(uint16_t index); /* how much is left with it; NULL: nothing */
};

/* Take the lowest free index with the least that is left. -ENOSPC: none is free. */
int port_index_take(struct port_indices *indices, struct port_id *ret_id);

void port_index_give_back(struct port_indices *indices, uint16_t index);
