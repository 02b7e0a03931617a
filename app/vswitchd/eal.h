/* SPDX-License-Identifier: BSD-3-Clause */
/* Start DPDK's environment as the options want it: worker threads on their CPUs, memory. */
#pragma once

struct options;

/* Faults are logged. Falls back to ordinary pages, with a warning, when no huge page can be had. */
int eal_start(const struct options *o);
