/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/numa.h"

#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/util.h"

#define PAGE  4096
#define BATCH 128

static void find_batch(void *const address[], unsigned n, int ret_node[])
{
	void *page[BATCH];
	int status[BATCH];
	long error;

	for (unsigned i = 0; i < n; i++) {
		page[i] = (void *)((uintptr_t)address[i] & ~(uintptr_t)(PAGE - 1));
		status[i] = NUMA_UNKNOWN;
	}
	/* syscalls: move_pages */
	/* Without target nodes this moves no page and only tells where the pages are. */
	error = syscall(SYS_move_pages, 0, (unsigned long)n, page, NULL, status, 0);
	for (unsigned i = 0; i < n; i++)
		ret_node[i] = error || status[i] < 0 ? NUMA_UNKNOWN : status[i];
}

void numa_find(void *const address[], unsigned n, int ret_node[])
{
	for (unsigned done = 0; done < n; done += BATCH)
		find_batch(address + done, MIN(n - done, BATCH), ret_node + done);
}
