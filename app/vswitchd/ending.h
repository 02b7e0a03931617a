/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the switch is told to end, and that it does so. SIGTERM and SIGINT are for a thread of their
 * own. It tells the control thread, and if that does not get to the end in time, because a thread
 * hangs in somebody's memory or in a file system, it ends the process with status 1.
 */
#pragma once

#include "options.h"

/* Keep the signals from this thread and all that it makes. Before the EAL starts. */
void ending_hold_signals(void);

/*
 * A descriptor that becomes readable when the switch is to end. From now on signals are waited for,
 * too; those that came before count. Before the calling thread enters the sandbox. The sockets of
 * o, which must exist, are removed at a forced end, too. Negative errno; errors are logged.
 */
int ending_watch(const struct options *o);

/* Which signal it was; 0: none. */
int ending_signal(void);

/* All has been released: what is left to do may take its time. */
void ending_done(void);
