/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A switch inside the test's process, so that a test can call its functions, and sanitizers see
 * both. The main thread is the control thread. The tests run in a thread of their own.
 */
#pragma once

#include "control/ports.h"
#include "control/vswitch.h"

extern struct vswitch *inside;

/* The directory for sockets. It must be empty in the end. */
extern char inside_dir[64];

/* Start the switch with one worker, run tests(), end the switch. Returns what tests() returned. */
int inside_run(int (*tests)(void));

/* Let the control thread call fn(arg), and wait until workers use what it has changed. */
void inside_call(void (*fn)(void *arg), void *arg);

/* The same without waiting: *done becomes true when fn has returned. One at a time. */
void inside_begin(void (*fn)(void *arg), void *arg, _Atomic(bool) *done);
