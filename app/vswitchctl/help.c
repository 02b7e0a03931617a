/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * Help is printed from the tables: an overview of all methods, the verbs of an object, or one
 * method with its parameters and what it shows. Completion asks command.c what may follow the words
 * that are there. If a name of an object may follow, the names come from the switch.
 */
#include "help.h"

#include <string.h>

#include "base/util.h"
#include "command.h"
#include "talk.h"

#define LOCAL_COMMANDS(X) \
	X("monitor", "Print events as they happen") \
	X("help", "Explain a command: help OBJECT [VERB]") \
	X("completion", "Print a completion script: completion bash")

static const char *bare_name(const struct schema_field *f)
{
	return f->type == SCHEMA_OBJECT ? "FILE" : "NAME";
}

static void print_words(const struct schema *schema, const struct schema_method *m, FILE *out)
{
	const struct schema_field *f;
	unsigned at = 0;
	bool required;

	for (const char *c = m->name; *c; c++)
		fputc(*c == '.' ? ' ' : *c, out);
	while ((f = schema_next_param(schema, m, &at, &required))) {
		if (command_lacks(f))
			continue; /* only in files */
		if (command_is_bare(f))
			fprintf(out, " %s", bare_name(f));
		else if (required)
			fprintf(out, " %s VALUE", f->name);
		else
			fprintf(out, " [%s%s]", f->name, f->type == SCHEMA_BOOL ? "" : " VALUE");
	}
}

static void print_param(const struct schema_field *f, FILE *out)
{
	char expected[400];

	schema_expected(f, expected, sizeof(expected));
	fprintf(out, "  %-16s  %s\n", command_is_bare(f) ? bare_name(f) : f->name, f->about);
	fprintf(out, "  %-16s  (%s", "", expected);
	if (f->preset)
		fprintf(out, "; default %s", f->preset);
	fputs(")\n", out);
}

static void print_method(const struct schema *schema, const struct schema_method *m, FILE *out)
{
	const struct schema_object *object = schema_object(schema, m->object);
	const struct schema_field *f;
	unsigned at = 0;
	bool required;

	fputs("usage: vswitchctl ", out);
	print_words(schema, m, out);
	fprintf(out, "\n\n%s.\n", m->about);
	if (schema_next_param(schema, m, &at, &required))
		fputc('\n', out);
	for (at = 0; (f = schema_next_param(schema, m, &at, &required));)
		if (!command_lacks(f))
			print_param(f, out);
	if (!object || m->gives == SCHEMA_GIVES_NOTHING)
		return;
	fputs("\nIt shows:\n", out);
	for (f = object->fields; f->name; f++)
		fprintf(out, "  %-16s  %s\n", f->name, f->about);
}

static void print_line(const struct schema *schema, const struct schema_method *m, FILE *out)
{
	char words[200] = "";
	FILE *text = fmemopen(words, sizeof(words), "w");

	if (!text)
		return;
	print_words(schema, m, text);
	fclose(text);
	words[sizeof(words) - 1] = '\0';
	if (strlen(words) > 30)
		fprintf(out, "  %s\n  %-30s  %s\n", words, "", m->about);
	else
		fprintf(out, "  %-30s  %s\n", words, m->about);
}

static void print_overview(const struct schema *schema, FILE *out)
{
	fputs("usage: vswitchctl [-j] [-s SOCKET] COMMAND\n\n"
	      "Ask a running vswitchd, or change it. Commands:\n\n",
	    out);
	for (const struct schema_method *m = schema->methods; m->name; m++)
		if (!command_hides(m))
			print_line(schema, m, out);
#define X(name, about) fprintf(out, "  %-30s  %s\n", name, about);
	LOCAL_COMMANDS(X)
#undef X
	fputs("\nWords may be abbreviated. \"vswitchctl help OBJECT VERB\" explains a command.\n\n"
	      "  -j, --json           print the result as JSON\n"
	      "  -s, --socket PATH    the control socket (default: $VSWITCH_CONTROL, else\n"
	      "                       /run/vswitch/control.sock)\n"
	      "  -h, --help           print this text\n"
	      "  -V, --version        print the version\n\n"
	      "Exit status: 0 done, 1 refused by the switch, 2 wrong words or a wrong file, 3 no "
	      "switch there,\n4 no answer: it is not known whether the switch did it.\n",
	    out);
}

struct listing {
	const struct schema *schema;
	char first[SCHEMA_NAME_MAX + 1]; /* the object */
	FILE *out;
};

static void print_verb(const char *word, const char *about, void *arg)
{
	const struct listing *l = arg;
	char name[2 * SCHEMA_NAME_MAX + 2];
	const struct schema_method *m;

	(void)about;
	snprintf(name, sizeof(name), "%s.%s", l->first, word);
	m = schema_method(l->schema, name);
	if (m)
		print_line(l->schema, m, l->out);
}

/* The object that the first word means. */
static void note_first(const char *word, const char *about, void *arg)
{
	struct listing *l = arg;

	(void)about;
	if (strncmp(word, l->first, strlen(l->first)) == 0)
		snprintf(l->first, sizeof(l->first), "%s", word);
}

int help_print(const struct schema *schema, int n, char *const words[], FILE *out)
{
	struct command command;
	struct usage_fault fault;
	const struct schema_field *field;
	struct listing listing = {.schema = schema, .out = out};

	if (n == 0) {
		print_overview(schema, out);
		return 0;
	}
	command_parse(schema, n, words, &command, &fault);
	json_decref(command.params);
	if (n == 1 && (!command.method || strchr(command.method->name, '.'))) {
		char *const none[] = {NULL};

		snprintf(listing.first, sizeof(listing.first), "%s", words[0]);
		command_continue(schema, 0, none, note_first, &listing, &field);
		fputs("Commands:\n\n", out);
		command_continue(schema, 1, words, print_verb, &listing, &field);
		return command.method || fault.word > 0 ? 0 : -1;
	}
	if (command.method)
		print_method(schema, command.method, out);
	return command.method ? 0 : -1;
}

struct completion {
	const char *begin; /* of the word */
	FILE *out;
};

static void complete(const char *word, const char *about, void *arg)
{
	const struct completion *c = arg;

	(void)about;
	if (strncmp(word, c->begin, strlen(c->begin)) == 0)
		fprintf(c->out, "%s\n", word);
}

/* Returns where the list goes on. The caller releases it; NULL: it has ended. */
static json_t *complete_from(const json_t *result, struct completion *c)
{
	json_t *entry;
	size_t i;

	json_array_foreach(json_object_get(result, "entries"), i, entry)
	{
		const char *name = json_string_value(json_object_get(entry, "name"));

		if (name)
			complete(name, NULL, c);
	}
	entry = json_object_get(result, "next");
	return json_is_integer(entry) ? json_incref(entry) : NULL;
}

/* The names of live objects. */
static void complete_names(const char *path, const struct schema_field *f, struct completion *c)
{
	char method[SCHEMA_NAME_MAX + 8];
	struct talk *talk = talk_open(path);
	json_t *next = NULL;

	snprintf(method, sizeof(method), "%s.list", f->names);
	do {
		json_t *params = next ? json_pack("{s:o}", "from", next) : json_object();
		json_t *error = NULL,
		       *result = talk ? talk_call(talk, method, params, &error) : NULL;

		next = complete_from(result, c);
		json_decref(result);
		json_decref(error);
		json_decref(params);
	} while (next);
	talk_close(talk);
}

void help_complete(
    const struct schema *schema, const char *path, int n, char *const words[], FILE *out)
{
	struct completion c = {n ? words[n - 1] : "", out};
	const struct schema_field *field;

	command_continue(schema, MAX(n - 1, 0), words, complete, &c, &field);
	if (field && field->names)
		complete_names(path, field, &c);
	if (n > 1)
		return;
#define X(name, about) complete(name, about, &c);
	LOCAL_COMMANDS(X)
#undef X
}

void help_bash(FILE *out)
{
	fputs("# bash completion for vswitchctl\n"
	      "_vswitchctl() {\n"
	      "    local IFS=$'\\n'\n"
	      "    COMPREPLY=($(vswitchctl complete -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" "
	      "2>/dev/null))\n"
	      "}\n"
	      "complete -F _vswitchctl vswitchctl\n",
	    out);
}
