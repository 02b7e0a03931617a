/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For how long a thread was ready to run while other threads had its CPU. The kernel counts this
 * time (/proc/thread-self/schedstat). Time in which the thread sleeps does not belong to it, nor
 * time that a hypervisor takes from the CPU without telling the kernel.
 *
 * Threads: one thread, the control thread.
 */
#pragma once

#include <stdint.h>

/* Begin to read the counter of the calling thread. Each call needs a run_delay_close(). */
void run_delay_open(void);
void run_delay_close(void);

/* In ns, since the thread began. 0 if it is not open, or the kernel does not count. */
uint64_t run_delay_ns(void);
