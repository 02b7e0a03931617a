/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The lines that were typed, in a file that only its owner can read:
 * $XDG_STATE_HOME/vswitchctl/history, else $HOME/.local/state/vswitchctl/history. Only the last
 * HISTORY_LINES lines are kept. If there is no home, or it belongs to another user, as with sudo,
 * there is no file.
 */
#pragma once

#define HISTORY_LINES     1000
#define HISTORY_BYTES_MAX 2000 /* of a line; longer ones are not kept */

/* The path of the file, and make its directory. NULL: there is none. The owner releases it. */
char *history_path(void);
