/* SPDX-License-Identifier: BSD-3-Clause */
/* Start DPDK's environment: worker threads on their CPUs, and memory. */
#pragma once

#include <sched.h>

struct options;

/* The CPUs for threads that are not workers. */
void eal_control_cpus(const struct options *o, cpu_set_t *ret);

/* Logs faults. If there is no huge page, logs a warning and uses ordinary pages. */
int eal_start(const struct options *o);
