/* SPDX-License-Identifier: BSD-3-Clause */
/* Carry out commands: ask the switch, and print what it answers. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "manage/schema.h"
#include "status.h"

struct talk;

struct client {
	const char *path;  /* of the socket */
	bool json;         /* print results as JSON */
	bool shell;        /* the connection is for several commands, and help is for a shell */
	struct talk *talk; /* NULL: not connected */
};

/* Carry out the command that these words are, at least one; errors are printed. */
enum client_status client_run(struct client *c, int n, char *const words[]);

/* The same for one word. */
enum client_status client_run_word(struct client *c, const char *word);

/* Call a method without parameters, for all that it lists. NULL: no result; nothing is printed. */
json_t *client_ask(struct client *c, const char *method);

/* Take options from the beginning of some words. Returns how many words they are. */
int client_options(struct client *c, int n, char *const words[]);

void client_close(struct client *c);
