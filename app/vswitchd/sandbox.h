/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Least privilege: after set-up each thread gives up what it does not need.
 *
 *	control thread  no capabilities; with --client DAC_OVERRIDE, for sockets of other users
 *	workers         no capabilities; about 20 system calls
 *	closers         no capabilities; the system calls of closer.c and mover.c
 *	log thread      no capabilities; it may write
 *	helper          CHOWN, DAC_OVERRIDE and FOWNER if it has them; the calls of helper.c
 *
 * No thread can map executable memory. If a thread makes any other system call, the process ends
 * with a line that names the call. The allowed calls are named beside the code that needs them: see
 * collect-syscalls.
 */
#pragma once

#include <stdbool.h>

/*
 * Call it before any other thread is created. With enabled false, no function here does anything.
 */
int sandbox_init(bool enabled);

/* The calling thread enters the sandbox. Errors are logged. */
int sandbox_enter_control(bool client);
int sandbox_enter_worker(void);
int sandbox_enter_closer(void);
int sandbox_enter_log(void);
int sandbox_enter_helper(void);

/* Will the sandbox take a capability from this thread that the helper keeps? */
bool sandbox_takes_privileges(void);

/* DPDK's interrupt thread enters the sandbox. It has no work here. */
int sandbox_enter_interrupts(void);
