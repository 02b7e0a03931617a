/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From words to a request. The grammar is the schema:
 *
 *	OBJECT VERB [KEY | FILE] [NAME VALUE]...
 *
 * A method without an object is its verb. Without a verb "list", "show" or "get" is meant. Words
 * that the schema knows may be abbreviated if only one word begins so; "shutdown" may not. A value
 *of true or false may be left out: then it is true. Lists are separated by commas.
 */
#pragma once

#include <jansson.h>

#include "candidates.h"
#include "manage/schema.h"

struct command {
	const struct schema_method *method;
	json_t *params; /* the owner releases it */
};

/* 0 or -1 with *ret_fault. */
int command_parse(const struct schema *schema, int n, char *const words[], struct command *ret,
    struct usage_fault *ret_fault);

/*
 * The method that the first words mean; *ret_used: how many words they are. NULL: *ret_fault says
 * what is wrong.
 */
const struct schema_method *command_method(const struct schema *schema, int n, char *const words[],
    int *ret_used, struct usage_fault *ret_fault);

/* The first method of the object that the word means. NULL: it means no object. */
const struct schema_method *command_object(const struct schema *schema, const char *word);

/* What a value must be, as schema_expected(), for a person who types it. */
const char *command_expected(const struct schema_field *field, char *text, size_t room);

/* Is the object something that is written in a file, which another method takes? */
bool command_is_document(const struct schema *schema, const char *object);

/* Is it a value without a name: the key of an object, or a file? There is one such parameter. */
bool command_is_bare(const struct schema_field *field);

/* Has a command no words for it? A list of objects can be written in a file only. */
bool command_lacks(const struct schema_field *field);

/* X(id, name, further words, method that it calls, about): commands that are no methods. */
#define COMMAND_LOCALS(X) \
	X(MONITOR, "monitor", " [...]", "subscribe", "Print events as they happen") \
	X(HELP, "help", " [OBJECT [VERB]]", NULL, "Explain a command") \
	X(COMPLETION, "completion", " bash", NULL, "Print a completion script for bash")

enum command_local {
#define X(id, name, usage, method, about) COMMAND_##id,
	COMMAND_LOCALS(X)
#undef X
	    COMMAND_NONE
};

/* Which of them the first word means. COMMAND_NONE: a method, or nothing. */
enum command_local command_local(const struct schema *schema, const char *word);

/* The words for a method, as in "port.list"; "monitor" for the method that it calls. */
const char *command_name(const struct schema_method *method);
const char *command_about(const struct schema_method *method);

/* Methods that the command line has no words for: "monitor" does what they are for. */
bool command_hides(const struct schema_method *method);

/*
 * What may follow these words: calls add(word, about, arg) for each word. *ret_field becomes the
 * field that takes the next value, or NULL.
 */
void command_continue(const struct schema *schema, int n, char *const words[],
    void (*add)(const char *word, const char *about, void *arg), void *arg,
    const struct schema_field **ret_field);
