/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/port_index.h"

#include <errno.h>

int port_index_take(struct port_indices *indices, struct port_id *ret_id)
{
	for (unsigned i = 0; i < PORTS_MAX; i++) {
		if (indices->taken[i] || (indices->busy && indices->busy(i)))
			continue; /* another port has it, or has left something */
		indices->taken[i] = true;
		*ret_id = (struct port_id){.index = i, .generation = ++indices->generation[i]};
		return 0;
	}
	return -ENOSPC;
}

void port_index_give_back(struct port_indices *indices, uint16_t index)
{
	indices->taken[index] = false;
}
