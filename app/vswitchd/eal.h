/* SPDX-License-Identifier: BSD-3-Clause */
/* Start DPDK's environment as the options want it: worker threads on their CPUs, memory. */
#pragma once

#include <sched.h>

struct options;

/* Where threads may run that are no workers. */
void eal_control_cpus(const struct options *o, cpu_set_t *ret);

/* Faults are logged. Falls back to ordinary pages, with a warning, when no huge page can be had. */
int eal_start(const struct options *o);
