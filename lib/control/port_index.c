/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/port_index.h"

#include <errno.h>
#include <limits.h>

int port_index_take(struct port_indices *indices, struct port_id *ret_id)
{
	unsigned best = PORTS_MAX, least = UINT_MAX;

	for (unsigned i = 0; i < PORTS_MAX && least > 0; i++) {
		unsigned left = indices->left ? indices->left(i) : 0;

		if (indices->taken[i] || left >= least)
			continue; /* another port has it, or has left more there */
		best = i;
		least = left;
	}
	if (best == PORTS_MAX)
		return -ENOSPC;
	indices->taken[best] = true;
	*ret_id = (struct port_id){.index = best, .generation = ++indices->generation[best]};
	return 0;
}

void port_index_give_back(struct port_indices *indices, uint16_t index)
{
	indices->taken[index] = false;
}
