/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Least privilege: after set-up each thread gives up what it does not need any more.
 *
 *	control thread  no capabilities (but DAC_OVERRIDE with --client, to reach sockets of others)
 *	workers         no capabilities; of the system calls a dozen
 *	closers         the same (closer.h)
 *	log thread      no capabilities; it may write
 *
 * No thread can map executable memory. A system call that nobody asked for ends the process with a
 *line that names it. Which calls are asked for is written beside the code that needs them: see
 *collect-syscalls.
 */
#pragma once

#include <stdbool.h>

/* Before any other thread is created. enabled false: nothing here does anything. */
int sandbox_init(bool enabled);

/* The calling thread, when it is ready to work. Errors are logged. */
int sandbox_enter_control(bool client);
int sandbox_enter_worker(void);
int sandbox_enter_closer(void);
int sandbox_enter_log(void);

/* DPDK's interrupt thread, which has nothing to do here, from within. */
int sandbox_enter_interrupts(void);
