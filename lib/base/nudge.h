/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupt a system call in which another thread of this process waits: the call fails with EINTR.
 * A thread that does not wait notices nothing. If the thread begins to wait just after the nudge,
 * it needs another nudge.
 */
#pragma once

#include <sys/types.h>

/* Call this once, before the first nudge. 0 or a negative errno. */
int nudge_init(void);

/* Allow nudges of the calling thread. Only a thread that began with signals blocked needs this. */
void nudge_allow(void);

void nudge(pid_t thread);
