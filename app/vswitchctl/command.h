/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From words to a request. The grammar is the schema:
 *
 *	OBJECT VERB [KEY | FILE] [NAME VALUE]...
 *
 * A method without an object is its verb. Without a verb "list", "show" or "get" is meant. Words
 * that the schema knows may be abbreviated if only one word begins so. A value of true or false may
 * be left out: then it is true. Lists are separated by commas.
 */
#pragma once

#include <jansson.h>

#include "manage/schema.h"

/* What is wrong with the words. */
struct usage_fault {
	int word;           /* its number; the number of words: something is missing at the end;
			     * -1: a file is wrong, and `expected` says what */
	char expected[600]; /* what would be right */
};

struct command {
	const struct schema_method *method;
	json_t *params; /* the owner releases it */
};

/* 0 or -1 with *ret_fault. */
int command_parse(const struct schema *schema, int n, char *const words[], struct command *ret,
    struct usage_fault *ret_fault);

/* Is it a value without a name: the key of an object, or a file? There is one such parameter. */
bool command_is_bare(const struct schema_field *field);

/* Has a command no words for it? A list of objects can be written in a file only. */
bool command_lacks(const struct schema_field *field);

/* Methods that the command line has no words for: "monitor" does what they are for. */
bool command_hides(const struct schema_method *method);

/*
 * What may follow these words: calls add(word, about, arg) for each word. *ret_field becomes the
 * field that takes the next value, or NULL.
 */
void command_continue(const struct schema *schema, int n, char *const words[],
    void (*add)(const char *word, const char *about, void *arg), void *arg,
    const struct schema_field **ret_field);
