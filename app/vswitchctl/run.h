/* SPDX-License-Identifier: BSD-3-Clause */
/* Carry out commands: methods of the switch, and a few that need no switch. */
#pragma once

#include "client.h"

/* Carry out the command that these words are, at least one; errors are printed. */
enum client_status run_words(struct client *c, int n, char *const words[]);

/* The same for one word. */
enum client_status run_word(struct client *c, const char *word);
