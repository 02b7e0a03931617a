/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory of a burst. */
#include <errno.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "datapath/burst.h"
#include "datapath/fallback.h"

int burst_create(struct burst **ret_burst)
{
	size_t size = (sizeof(struct burst) + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
	struct burst *b = aligned_alloc(CACHE_LINE, size);

	if (!b)
		return -ENOMEM;
	*b = (struct burst){.level = cpu_level(), .slow_call = UINT64_MAX};
	b->fallback = fallback_create();
	if (!b->fallback) {
		free(b);
		return -ENOMEM;
	}
	*ret_burst = b;
	return 0;
}

void burst_destroy(struct burst *b)
{
	if (!b)
		return;
	fallback_destroy(b->fallback);
	free(b);
}
