/* SPDX-License-Identifier: BSD-3-Clause */
/* On which NUMA node memory is. Any thread. */
#pragma once

#define NUMA_UNKNOWN (-1)

/*
 * The node of the page that each of n addresses lies in. NUMA_UNKNOWN: this process has not touched
 * it yet, or the kernel does not tell.
 */
void numa_find(void *const address[], unsigned n, int ret_node[]);
