/* SPDX-License-Identifier: BSD-3-Clause */
#include "complete.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "candidates.h"
#include "command.h"
#include "text.h"

struct completion {
	const char *begin;                /* of the word */
	const struct schema_field *field; /* whose value the word is, or NULL */
	void (*add)(const char *word, const char *about, void *arg);
	void *arg;
};

/* Of a list, the last part is completed. */
static void offer(const char *word, const char *about, void *arg)
{
	const struct completion *c = arg;
	const char *comma =
	    c->field && (c->field->flags & SCHEMA_LIST) ? strrchr(c->begin, ',') : NULL;
	size_t n = comma ? (size_t)(comma + 1 - c->begin) : 0;
	char *whole = NULL;

	if (!candidates_begins(word, c->begin + n))
		return;
	if (asprintf(&whole, "%.*s%s", (int)n, c->begin, word) < 0)
		return; /* no memory: nothing is completed */
	c->add(whole, about, c->arg);
	free(whole);
}

/* Names that a terminal cannot show are not offered. */
static void offer_names(struct client *client, const char *object, struct completion *c)
{
	char method[SCHEMA_NAME_MAX + 8];
	json_t *result, *entry;
	size_t i;

	snprintf(method, sizeof(method), "%s.list", object);
	result = client_ask(client, method);
	json_array_foreach(json_object_get(result, "entries"), i, entry)
	{
		const char *name = json_string_value(json_object_get(entry, "name"));

		if (name && text_is_plain(name) && strncmp(name, c->begin, strlen(c->begin)) == 0)
			c->add(name, NULL, c->arg);
	}
	json_decref(result);
}

/* Directories end with "/". */
static void offer_files(struct completion *c)
{
	char *pattern = NULL, *to;
	glob_t found;

	pattern = malloc(2 * strlen(c->begin) + 2);
	if (!pattern)
		return;
	to = pattern;
	for (const char *from = c->begin; *from; from++) {
		if (strchr("*?[\\", *from))
			*to++ = '\\';
		*to++ = *from;
	}
	memcpy(to, "*", 2);
	if (glob(pattern, GLOB_MARK, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc; i++)
			if (text_is_plain(found.gl_pathv[i]))
				c->add(found.gl_pathv[i], NULL, c->arg);
	globfree(&found);
	free(pattern);
}

static bool is_file(const struct schema_field *f)
{
	return f->type == SCHEMA_PATH || (f->type == SCHEMA_OBJECT && !(f->flags & SCHEMA_LIST));
}

/* Words after "help" are an object and a verb. */
static const struct schema_field *complete_help(int n, char *const words[], struct completion *c)
{
	const struct schema_field *field;
	struct command command;
	struct usage_fault fault;
	bool whole;

	if (n > 2)
		return NULL;
	if (n == 2) {
		command_parse(&schema_switch, 1, words, &command, &fault);
		whole = command.method && !strchr(command.method->name, '.');
		json_decref(command.params);
		if (whole)
			return NULL; /* a method without an object */
	}
	command_continue(&schema_switch, n - 1, words, offer, c, &field);
	return NULL;
}

const struct schema_field *complete_words(struct client *client, int n, char *const words[],
    void (*add)(const char *word, const char *about, void *arg), void *arg)
{
	struct completion c = {.begin = words[n - 1], .add = add, .arg = arg};
	enum command_local local = n > 1 ? command_local(&schema_switch, words[0]) : COMMAND_NONE;

	if (local == COMMAND_HELP)
		return complete_help(n - 1, words + 1, &c);
	if (local == COMMAND_COMPLETION) {
		if (n == 2)
			offer("bash", NULL, &c);
		return NULL;
	}
	command_continue(&schema_switch, n - 1, words, offer, &c, &c.field);
	if (c.field && c.field->names)
		offer_names(client, c.field->names, &c);
	else if (c.field && is_file(c.field))
		offer_files(&c);
	return c.field;
}

static void print_word(const char *word, const char *about, void *arg)
{
	(void)about;
	fprintf(arg, "%s\n", word);
}

void complete_print(struct client *c, int n, char *const words[], FILE *out)
{
	int used = client_options(c, n, words);

	if (used < n)
		complete_words(c, n - used, words + used, print_word, out);
}

/* Names may have any characters, so they are quoted. */
void complete_bash(FILE *out)
{
	fputs("# bash completion for vswitchctl\n"
	      "_vswitchctl() {\n"
	      "    local word\n"
	      "    COMPREPLY=()\n"
	      "    while IFS= read -r word; do\n"
	      "        COMPREPLY+=(\"$(printf %q \"$word\")\")\n"
	      "    done < <(vswitchctl complete -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" "
	      "2>/dev/null)\n"
	      "    [[ ${COMPREPLY[0]-} != */ ]] || compopt -o nospace\n"
	      "}\n"
	      "complete -F _vswitchctl vswitchctl\n",
	    out);
}
