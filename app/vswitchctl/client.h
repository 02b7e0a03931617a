/* SPDX-License-Identifier: BSD-3-Clause */
/* Ask the switch, and print what it answers. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "manage/schema.h"
#include "status.h"

struct talk;
struct usage_fault;

struct client {
	const char *path;  /* of the socket */
	bool json;         /* print results as JSON */
	bool shell;        /* the connection is for several commands, and help is for a shell */
	struct talk *talk; /* NULL: not connected */
};

/*
 * Carry out the command that these words are, which is a method of the switch. Errors are printed.
 * monitors: events are printed until the connection ends.
 */
enum client_status client_method(struct client *c, int n, char *const words[], bool monitors);

/* Print these words, a mark under the one that is wrong, and what was expected. */
enum client_status client_usage(int n, char *const words[], const struct usage_fault *fault);

/* Call a method without parameters, for all that it lists. NULL: no result; nothing is printed. */
json_t *client_ask(struct client *c, const char *method);

/* Take options from the beginning of some words. Returns how many words they are. */
int client_options(struct client *c, int n, char *const words[]);

void client_close(struct client *c);
