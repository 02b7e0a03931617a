/* SPDX-License-Identifier: BSD-3-Clause */
/* Two threads can only race if they run at the same time, so each of them needs its own CPU. */
#pragma once

#include <sched.h>

static cpu_set_t cpus_of_process;

static void __attribute__((constructor)) note_cpus(void)
{
	sched_getaffinity(0, sizeof(cpus_of_process), &cpus_of_process);
}

/* Keep the calling thread on the CPU with this number, counted among those of the process. */
static inline void run_on_cpu(int number)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &cpus_of_process) && number-- == 0)
			CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one); /* fails if the process has fewer CPUs */
}
