/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * Help is printed from the tables: an overview of all methods, the verbs of an object, or one
 * method with its parameters and what it shows.
 */
#include "help.h"

#include <ctype.h>
#include <string.h>

#include "base/util.h"
#include "command.h"
#include "status.h"

#define WIDTH       100
#define NAMES       32 /* columns for the words of a command */
#define FIELD       19 /* columns before what is said of a field */
#define WORDS_SHOWN 6

static const char *bare_name(const struct schema_field *f)
{
	return f->type == SCHEMA_OBJECT ? "FILE" : "NAME";
}

/* Are there so many words that the usage does not show them? */
static bool has_many_words(const struct schema_field *f)
{
	unsigned n = 0;

	while (f->words && f->words[n])
		n++;
	return n > WORDS_SHOWN;
}

/* What stands for a value: "NUMBER", or the words that it can be. */
static void print_value(const struct schema_field *f, FILE *out)
{
	const char *bar = "";

	if (f->type == SCHEMA_WORD && has_many_words(f)) {
		fputs(f->flags & SCHEMA_LIST ? "WORD,..." : "WORD", out);
		return;
	}
	if (f->type != SCHEMA_WORD) {
		for (const char *c = schema_type_name(f->type); *c; c++)
			fputc(toupper((unsigned char)*c), out);
		return;
	}
	for (const char *const *w = f->words; *w; w++) {
		fprintf(out, "%s%s", bar, *w);
		bar = "|";
	}
	if (f->flags & SCHEMA_LIST)
		fputs(",...", out);
}

static void print_name_and_value(const struct schema_field *f, bool required, FILE *out)
{
	fprintf(out, " %s%s", required ? "" : "[", f->name);
	if (required || f->type != SCHEMA_BOOL) {
		fputc('\xa0', out);
		print_value(f, out);
	}
	if (!required)
		fputc(']', out);
}

/* The words of a method. The words that may be left out are only "..." if it is brief. */
static void print_words(
    const struct schema *schema, const struct schema_method *m, bool brief, FILE *out)
{
	const struct schema_field *f;
	unsigned at = 0;
	bool required, more = false;

	for (const char *c = command_name(m); *c; c++)
		fputc(*c == '.' ? ' ' : *c, out);
	while ((f = schema_next_param(schema, m, &at, &required))) {
		if (command_lacks(f))
			continue; /* only in files */
		if (command_is_bare(f))
			fprintf(out, " %s", bare_name(f));
		else if (required || !brief)
			print_name_and_value(f, required, out);
		more |= brief && !required && !command_is_bare(f);
	}
	if (more)
		fputs(" [...]", out);
}

/* Print words on lines of at most WIDTH columns. \xa0 is a blank at which no line ends. */
static void print_wrapped(const char *text, unsigned column, unsigned indent, FILE *out)
{
	while (*text) {
		size_t n = strcspn(text, " ");

		if (column + 1 + n > WIDTH) {
			fprintf(out, "\n%*s", (int)indent, "");
			column = indent;
		}
		fputc(' ', out);
		for (size_t i = 0; i < n; i++)
			fputc(text[i] == '\xa0' ? ' ' : text[i], out);
		column += 1 + (unsigned)n;
		text += n + (text[n] == ' ');
	}
	fputc('\n', out);
}

static void print_usage(
    const struct schema *schema, const struct schema_method *m, bool shell, FILE *out)
{
	const char *begin = shell ? "usage:" : "usage: vswitchctl";
	char words[1000] = "";
	FILE *text = fmemopen(words, sizeof(words), "w");

	if (!text)
		return;
	print_words(schema, m, false, text);
	fclose(text);
	words[sizeof(words) - 1] = '\0';
	fputs(begin, out);
	print_wrapped(words, (unsigned)strlen(begin), 8, out);
}

static void print_param(const struct schema_field *f, bool required, FILE *out)
{
	char expected[400], text[500];

	command_expected(f, expected, sizeof(expected));
	fprintf(out, "  %-16s  %s\n", command_is_bare(f) ? bare_name(f) : f->name, f->about);
	snprintf(text, sizeof(text), "(%s%s%s%s)", expected, f->preset ? "; default " : "",
	    f->preset ? f->preset : "", required ? "; necessary" : "");
	fprintf(out, "  %-16s ", "");
	print_wrapped(text, FIELD, FIELD, out);
}

static void print_method(
    const struct schema *schema, const struct schema_method *m, bool shell, FILE *out)
{
	const struct schema_object *object = schema_object(schema, m->object);
	const struct schema_field *f;
	unsigned at = 0;
	bool required;

	print_usage(schema, m, shell, out);
	fprintf(out, "\n%s.\n", command_about(m));
	if (schema_next_param(schema, m, &at, &required))
		fputc('\n', out);
	for (at = 0; (f = schema_next_param(schema, m, &at, &required));)
		if (!command_lacks(f))
			print_param(f, required, out);
	if (!object || m->gives == SCHEMA_GIVES_NOTHING)
		return;
	fputs("\nIt shows:\n", out);
	for (f = object->fields; f->name; f++)
		fprintf(out, f->unit ? "  %-16s  %s, in %s\n" : "  %-16s  %s\n", f->name, f->about,
		    f->unit);
}

static void print_line(const struct schema *schema, const struct schema_method *m, FILE *out)
{
	char words[200] = "";
	FILE *text = fmemopen(words, sizeof(words), "w");

	if (!text)
		return;
	print_words(schema, m, true, text);
	fclose(text);
	words[sizeof(words) - 1] = '\0';
	for (char *c = words; (c = strchr(c, '\xa0'));)
		*c = ' ';
	if (strlen(words) > NAMES)
		fprintf(out, "  %s\n  %-*s ", words, NAMES, "");
	else
		fprintf(out, "  %-*s ", NAMES, words);
	print_wrapped(m->about, NAMES + 3, NAMES + 3, out);
}

static void print_options(FILE *out)
{
	fputs("\n"
	      "Without a command, on a terminal, it is a shell with completion and history.\n\n"
	      "  -j, --json           print results as JSON\n"
	      "  -s, --socket PATH    the control socket (default: $VSWITCH_CONTROL, else\n"
	      "                       /run/vswitch/control.sock)\n"
	      "  -h, --help           print this text\n"
	      "  -V, --version        print the version\n\n"
	      "Exit status:\n",
	    out);
#define X(id, number, meaning) fprintf(out, "  %d  %s\n", number, meaning);
	CLIENT_STATUSES(X)
#undef X
}

static void print_overview(const struct schema *schema, bool shell, FILE *out)
{
	if (!shell)
		fputs("usage: vswitchctl [-j] [-s SOCKET] [COMMAND]\n\n"
		      "Ask a running vswitchd, or change it.\n\n",
		    out);
	fputs("Commands:\n", out);
	for (const struct schema_method *m = schema->methods; m->name; m++)
		if (!command_hides(m))
			print_line(schema, m, out);
#define X(id, name, usage, method, about) fprintf(out, "  %-32s  %s\n", name usage, about);
	COMMAND_LOCALS(X)
#undef X
	if (shell)
		fprintf(out, "  %-32s  %s\n", "exit", "Leave this shell, as ctrl-D does");
	fprintf(out,
	    "\n[...] may be left out: \"%shelp OBJECT VERB\" explains it.\n"
	    "Words may be abbreviated, except shutdown.\n",
	    shell ? "" : "vswitchctl ");
	if (!shell)
		print_options(out);
}

/* The methods of an object, of which one is given. */
static void print_verbs(const struct schema *schema, const struct schema_method *one, FILE *out)
{
	size_t n = strcspn(one->name, ".") + 1;

	fputs("Commands:\n", out);
	for (const struct schema_method *m = schema->methods; m->name; m++)
		if (strncmp(m->name, one->name, n) == 0)
			print_line(schema, m, out);
}

/* A command that is no method. */
static void print_local(enum command_local local, bool shell, FILE *out)
{
	static const struct {
		const char *usage, *about;
	} texts[] = {
#define X(id, name, usage, method, about) {name usage, about},
	    COMMAND_LOCALS(X)
#undef X
	};

	fprintf(out, "usage: %s%s\n\n%s.\n", shell ? "" : "vswitchctl ", texts[local].usage,
	    texts[local].about);
}

int help_print(const struct schema *schema, int n, char *const words[], bool shell, FILE *out,
    struct usage_fault *ret_fault)
{
	enum command_local local = n ? command_local(schema, words[0]) : COMMAND_NONE;
	const struct schema_method *object = n ? command_object(schema, words[0]) : NULL, *m = NULL;
	bool alone = local == COMMAND_HELP || local == COMMAND_COMPLETION;
	int used = 1;

	if (n == 0) {
		print_overview(schema, shell, out);
		return 0;
	}
	if (!alone && !(object && n == 1)) {
		m = command_method(schema, n, words, &used, ret_fault);
		if (!m)
			return -1;
	}
	if (used < n)
		return candidates_fault_at(ret_fault, used, "no more words");
	if (alone)
		print_local(local, shell, out);
	else if (m)
		print_method(schema, m, shell, out);
	else
		print_verbs(schema, object, out);
	return 0;
}
