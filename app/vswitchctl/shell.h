/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The shell: commands are read from the terminal, with completion and history. Ctrl-C ends a
 * command that waits, or begins a new line; ctrl-D or "exit" ends the shell.
 *
 * Without libedit (WITH_SHELL is not defined) there is no shell.
 */
#pragma once

#include "client.h"

/* Returns the exit status. */
int shell_run(struct client *client);
