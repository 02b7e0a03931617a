/* SPDX-License-Identifier: BSD-3-Clause */
/* Which queue of a worker's list it is. */
#pragma once

#include "datapath/port.h"

/* Where on the list the queue with this key is; list->n: nowhere. */
static inline unsigned poll_find(const struct poll_list *list, uint32_t key)
{
	unsigned from = 0, to = list->n;

	while (from < to) {
		unsigned middle = (from + to) / 2;

		if (list->key[middle] < key)
			from = middle + 1;
		else
			to = middle;
	}
	return from < list->n && list->key[from] == key ? from : list->n;
}
