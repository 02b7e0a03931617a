/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * A column is as wide as its widest cell. If the table is wider than the terminal, the widest
 * column of text is cut, down to CUT_MIN. Numbers are never cut. If the table is still too wide,
 * each entry is printed as lines, one for each column.
 *
 * A long list comes in parts. The columns of a part are at least as wide as in the parts before.
 */
#include "show.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"
#include "text.h"

#define CUT_MIN 8
#define GAP     2

unsigned show_width(FILE *out)
{
	struct winsize size;

	if (!isatty(fileno(out)) || ioctl(fileno(out), TIOCGWINSZ, &size) < 0)
		return 0;
	return size.ws_col;
}

static void print_value(const json_t *value, FILE *out);

static void print_parts(const json_t *value, FILE *out)
{
	const char *key, *blank = "";
	json_t *member;

	json_object_foreach((json_t *)(uintptr_t)value, key, member)
	{
		fputs(blank, out);
		print_value(member, out);
		blank = " ";
	}
}

static void print_list(const json_t *value, FILE *out)
{
	const char *comma = "";
	size_t i;
	json_t *part;

	json_array_foreach(value, i, part)
	{
		fputs(comma, out);
		print_value(part, out);
		comma = json_is_object(part) ? ", " : " ";
	}
}

static void print_value(const json_t *value, FILE *out)
{
	if (json_is_string(value))
		fputs(json_string_value(value), out);
	else if (json_is_boolean(value))
		fputs(json_is_true(value) ? "yes" : "no", out);
	else if (json_is_integer(value))
		fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_array(value))
		print_list(value, out);
	else if (json_is_object(value))
		print_parts(value, out);
}

/* The text of a cell; the caller frees it. */
static char *cell_text(const json_t *value)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	if (!out)
		return strdup("?");
	print_value(value, out);
	fclose(out);
	if (n == 0) {
		free(text);
		return strdup("-");
	}
	return text;
}

static const json_t *cell_of(const json_t *entry, const struct show_column *c)
{
	return json_object_get(entry, c->field->name);
}

static void widen(struct show_table *t, const json_t *entries)
{
	size_t i;
	json_t *entry;

	json_array_foreach(entries, i, entry)
	{
		for (unsigned k = 0; k < t->n; k++) {
			char *text = cell_text(cell_of(entry, &t->columns[k]));

			t->columns[k].width = MAX(t->columns[k].width, text_width(text));
			free(text);
		}
	}
}

/* Cut the widest column of text by one. False: there is none. */
static bool cut_one(struct show_table *t)
{
	struct show_column *widest = NULL;

	for (unsigned i = 0; i < t->n; i++) {
		struct show_column *c = &t->columns[i];

		if (!c->right && c->width > CUT_MIN && (!widest || c->width > widest->width))
			widest = c;
	}
	if (widest)
		widest->width--;
	return widest != NULL;
}

/* Make the columns fit. False: they cannot. */
static bool fit(struct show_table *t)
{
	unsigned limit = show_width(t->out), sum = t->n ? (t->n - 1) * GAP : 0;

	for (unsigned i = 0; i < t->n; i++)
		sum += t->columns[i].width;
	while (limit && sum > limit && cut_one(t))
		sum--;
	return !limit || sum <= limit;
}

/*
 * Print at most `width` columns; a path is cut at its beginning, because the beginnings are alike.
 * Returns how many columns it printed.
 */
static unsigned print_cut(const char *text, unsigned width, FILE *out)
{
	bool end = text[0] == '/';
	unsigned used;

	if (text_width(text) <= width)
		return text_print_part(text, width, false, out);
	if (end)
		fputc('~', out);
	used = text_print_part(text, width - 1, end, out) + 1;
	if (!end)
		fputc('~', out);
	return used;
}

static void print_cell(const struct show_column *c, const char *text, bool last, FILE *out)
{
	unsigned used = c->right ? MIN(text_width(text), c->width) : 0;

	if (c->right)
		fprintf(out, "%*s", (int)(c->width - used), "");
	used = print_cut(text, c->width, out);
	if (!last)
		fprintf(out, "%*s", (int)(c->right ? 0 : c->width - used) + GAP, "");
}

static void print_heading(const struct show_table *t)
{
	for (unsigned i = 0; i < t->n; i++) {
		char name[SCHEMA_NAME_MAX];
		size_t k;

		for (k = 0; t->columns[i].field->name[k] && k + 1 < sizeof(name); k++)
			name[k] = (char)toupper((unsigned char)t->columns[i].field->name[k]);
		name[k] = '\0';
		print_cell(&t->columns[i], name, i + 1 == t->n, t->out);
	}
	fputc('\n', t->out);
}

static void print_line(const struct show_table *t, const json_t *entry)
{
	for (unsigned k = 0; k < t->n; k++) {
		char *text = cell_text(cell_of(entry, &t->columns[k]));

		print_cell(&t->columns[k], text, k + 1 == t->n, t->out);
		free(text);
	}
	fputc('\n', t->out);
}

/* For a narrow terminal. */
static void print_lines(const struct show_table *t, const json_t *entry)
{
	unsigned names = 0, limit = show_width(t->out);

	for (unsigned k = 0; k < t->n; k++)
		names = MAX(names, (unsigned)strlen(t->columns[k].field->name));
	for (unsigned k = 0; k < t->n; k++) {
		char *text = cell_text(cell_of(entry, &t->columns[k]));

		fprintf(t->out, "%-*s  ", (int)names, t->columns[k].field->name);
		print_cut(text, MAX(limit, names + GAP + CUT_MIN) - names - GAP, t->out);
		fputc('\n', t->out);
		free(text);
	}
}

void show_begin(struct show_table *t, const struct schema_object *object, FILE *out)
{
	*t = (struct show_table){.out = out};
	for (const struct schema_field *f = object->fields; f->name && t->n < SHOW_COLUMNS; f++)
		if (f->flags & SCHEMA_COLUMN)
			t->columns[t->n++] =
			    (struct show_column){f, text_width(f->name), f->type == SCHEMA_UINT};
}

void show_entries(struct show_table *t, const json_t *entries)
{
	size_t i;
	json_t *entry;

	widen(t, entries);
	if (!t->lines)
		t->lines = !fit(t);
	if (!t->lines && !t->begun)
		print_heading(t);
	json_array_foreach(entries, i, entry)
	{
		if (!t->lines) {
			print_line(t, entry);
			continue; /* the table fits */
		}
		if (t->begun)
			fputc('\n', t->out);
		print_lines(t, entry);
		t->begun = true;
	}
	t->begun = true;
}

static bool is_table(const struct schema_field *f)
{
	return f->type == SCHEMA_OBJECT && (f->flags & SCHEMA_LIST);
}

static void show_table(
    const struct schema *schema, const struct schema_field *f, const json_t *entries, FILE *out)
{
	struct show_table table;

	fprintf(out, "\n%s\n", f->name);
	show_begin(&table, schema_object(schema, f->object), out);
	show_entries(&table, entries);
}

void show_object(
    const struct schema *schema, const struct schema_object *object, const json_t *json, FILE *out)
{
	unsigned width = 0;

	for (const struct schema_field *f = object->fields; f->name; f++)
		if (json_object_get(json, f->name) && !is_table(f))
			width = MAX(width, (unsigned)strlen(f->name));
	for (const struct schema_field *f = object->fields; f->name; f++) {
		const json_t *value = json_object_get(json, f->name);
		char *text;

		if (!value || is_table(f))
			continue; /* the switch did not tell it, or it comes below */
		text = cell_text(value);
		fprintf(out, "%-*s  ", (int)width, f->name);
		text_print(text, out);
		fprintf(out, "%s%s\n", f->unit && json_is_integer(value) ? " " : "",
		    f->unit && json_is_integer(value) ? f->unit : "");
		free(text);
	}
	for (const struct schema_field *f = object->fields; f->name; f++) {
		const json_t *value = json_object_get(json, f->name);

		if (is_table(f) && json_array_size(value) > 0)
			show_table(schema, f, value, out);
	}
}

/* Events that were lost are said in a sentence. */
static void print_event(const json_t *event, FILE *out)
{
	const char *name = json_string_value(json_object_get(event, "event")), *key;
	const json_t *lost = json_object_get(event, "lost");
	json_t *value;

	if (name && strcmp(name, "overrun") == 0 && json_is_integer(lost)) {
		fprintf(out, SHOW_OVERRUN, json_integer_value(lost));
		return;
	}
	text_print(name ? name : "?", out);
	json_object_foreach((json_t *)(uintptr_t)event, key, value)
	{
		char *cell = cell_text(value);

		if (strcmp(key, "event") != 0 && strcmp(key, "time") != 0) {
			fputc(' ', out);
			text_print(key, out);
			fputc(' ', out);
			text_print(cell, out);
		}
		free(cell);
	}
}

void show_event(const json_t *event, FILE *out)
{
	json_int_t ms = json_integer_value(json_object_get(event, "time"));
	time_t seconds = (time_t)(ms / 1000);
	struct tm when;
	char text[32] = "";

	if (localtime_r(&seconds, &when))
		strftime(text, sizeof(text), "%H:%M:%S", &when);
	fprintf(out, "%s.%03d ", text, (int)(ms % 1000));
	print_event(event, out);
	fputc('\n', out);
	fflush(out);
}
