/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ending a system call that another thread of the process waits in: it fails with EINTR. A thread
 * that does not wait notices nothing. One that is about to begin to wait is not helped: nudge
 * again.
 */
#pragma once

#include <sys/types.h>

/* Once, before the first nudge. 0 or a negative errno. */
int nudge_init(void);

/* For threads that begin with all signals blocked: let this one be nudged. */
void nudge_allow(void);

void nudge(pid_t thread);
