/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/poll.h"

#include <errno.h>
#include <stdlib.h>

int poll_init(struct poll *p)
{
	size_t size = POLL_MAX * sizeof(struct poll_entry);

	*p = (struct poll){
	    .entry = aligned_alloc(CACHE_LINE, size),
	    .spare = aligned_alloc(CACHE_LINE, size),
	};
	return p->entry && p->spare ? 0 : -ENOMEM;
}

void poll_cleanup(struct poll *p)
{
	free(p->entry);
	free(p->spare);
	*p = (struct poll){0};
}

void poll_follow(struct poll *p, const struct poll_list *list)
{
	struct poll_entry *before = p->entry, *now = p->spare;
	unsigned k = 0;

	for (unsigned i = 0; i < list->n; i++) {
		uint64_t key = list->key[i];
		uint32_t tenure = list->tenure[i];

		while (k < p->n && before[k].key < key)
			k++;
		if (k < p->n && before[k].key == key && before[k].tenure == tenure)
			now[i] = before[k];
		else
			now[i] = (struct poll_entry){.key = key, .tenure = tenure, .fresh = true};
	}
	p->number = list->number;
	p->n = list->n;
	p->entry = now;
	p->spare = before;
}

void poll_forget(struct poll *p)
{
	p->number = 0;
	p->n = 0;
}
