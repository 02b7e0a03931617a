/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The end of the switch. A thread of its own receives SIGTERM and SIGINT and tells the control
 * thread. If the control thread does not end in time, because a thread hangs in guest memory or in
 * a file system, the signal thread ends the process with status 1.
 */
#pragma once

#include "control/ports.h"

/* Block the signals in this thread and in all threads it creates. Call it before the EAL starts. */
void ending_hold_signals(void);

/*
 * Returns a descriptor that becomes readable when the switch must end, or a negative errno. Errors
 * are logged. Signals that came before the call count, too. Call this before the calling thread
 * enters the sandbox.
 */
int ending_watch(void);

/* For vswitch_port_listen(), before ports are added: a forced end removes their sockets. */
void ending_note_port(struct switch_port *sp, enum port_event event, void *arg);

/* A forced end removes the control socket, too. path stays. Call it before ending_watch(). */
void ending_note_control(const char *path);

/* End as if SIGTERM had come. For the control thread. */
void ending_ask(void);

/* The signal that was received; 0: none. */
int ending_signal(void);

/* All resources are released: the rest may take longer than the limit. */
void ending_done(void);
