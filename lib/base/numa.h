/* SPDX-License-Identifier: BSD-3-Clause */
/* Find the NUMA nodes of memory. Any thread. */
#pragma once

#define NUMA_UNKNOWN (-1)

/*
 * For each of n addresses, find the node of its page. NUMA_UNKNOWN: this process has not touched
 * the page yet, or the kernel does not tell.
 */
void numa_find(void *const address[], unsigned n, int ret_node[]);
