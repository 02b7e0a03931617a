/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * All cells of a table are made first, as texts. A column is as wide as its widest cell. If the
 * table is wider than the terminal, the widest column of text is cut, down to CUT_MIN. Numbers are
 * never cut.
 */
#include "show.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"

#define COLUMNS_MAX 32
#define CUT_MIN     8
#define GAP         2

struct column {
	const struct schema_field *field;
	unsigned width;
	bool right; /* numbers stand on the right */
};

unsigned show_width(FILE *out)
{
	struct winsize size;

	if (!isatty(fileno(out)) || ioctl(fileno(out), TIOCGWINSZ, &size) < 0)
		return 0;
	return size.ws_col;
}

/* A character of UTF-8 is one wide; control characters become question marks. */
static unsigned text_width(const char *text)
{
	unsigned n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

void show_text(const char *text, FILE *out)
{
	for (; *text; text++)
		fputc((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text, out);
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

static unsigned find_columns(
    const struct schema_object *object, const json_t *entries, struct column columns[])
{
	unsigned n = 0;
	size_t i;
	json_t *entry;

	for (const struct schema_field *f = object->fields; f->name && n < COLUMNS_MAX; f++) {
		if (!(f->flags & SCHEMA_COLUMN))
			continue; /* only in the object itself */
		columns[n] = (struct column){f, text_width(f->name), f->type == SCHEMA_UINT};
		json_array_foreach(entries, i, entry)
		{
			char *text = cell_text(json_object_get(entry, f->name));

			columns[n].width = MAX(columns[n].width, text_width(text));
			free(text);
		}
		n++;
	}
	return n;
}

/* Cut the widest column of text by one. False: there is none. */
static bool cut_one(struct column columns[], unsigned n)
{
	struct column *widest = NULL;

	for (unsigned i = 0; i < n; i++) {
		if (!columns[i].right && columns[i].width > CUT_MIN &&
		    (!widest || columns[i].width > widest->width))
			widest = &columns[i];
	}
	if (widest)
		widest->width--;
	return widest != NULL;
}

static void fit(struct column columns[], unsigned n, unsigned limit)
{
	unsigned sum = n ? (n - 1) * GAP : 0;

	for (unsigned i = 0; i < n; i++)
		sum += columns[i].width;
	while (limit && sum > limit && cut_one(columns, n))
		sum--;
}

/* A cell that is cut shows its end if it is a path, because the beginnings are alike. */
static void print_cell(const struct column *c, const char *text, bool last, FILE *out)
{
	unsigned width = text_width(text), pad = c->width > width ? c->width - width : 0;

	if (c->right)
		fprintf(out, "%*s", (int)pad, "");
	if (width > c->width) {
		bool end = text[0] == '/';
		unsigned skip = end ? width - c->width + 1 : 0, keep = c->width - 1;

		if (end)
			fputs("~", out);
		for (; *text && keep; text++) {
			bool begins = ((unsigned char)*text & 0xc0) != 0x80;

			if (skip) {
				skip -= begins;
				continue; /* in front of what is shown */
			}
			show_text((char[2]){*text}, out);
			keep -= begins;
		}
		if (!end)
			fputs("~", out);
	} else {
		show_text(text, out);
	}
	if (!last)
		fprintf(out, "%*s", (int)(c->right ? 0 : pad) + GAP, "");
}

static void print_heading(const struct column columns[], unsigned n, FILE *out)
{
	for (unsigned i = 0; i < n; i++) {
		char name[SCHEMA_NAME_MAX];
		size_t k;

		for (k = 0; columns[i].field->name[k] && k + 1 < sizeof(name); k++)
			name[k] = (char)toupper((unsigned char)columns[i].field->name[k]);
		name[k] = '\0';
		print_cell(&columns[i], name, i + 1 == n, out);
	}
	fputc('\n', out);
}

void show_list(const struct schema *schema, const struct schema_object *object,
    const json_t *entries, bool with_heading, FILE *out)
{
	struct column columns[COLUMNS_MAX];
	unsigned n = find_columns(object, entries, columns);
	size_t i;
	json_t *entry;

	(void)schema;
	fit(columns, n, show_width(out));
	if (with_heading)
		print_heading(columns, n, out);
	json_array_foreach(entries, i, entry)
	{
		for (unsigned k = 0; k < n; k++) {
			char *text = cell_text(json_object_get(entry, columns[k].field->name));

			print_cell(&columns[k], text, k + 1 == n, out);
			free(text);
		}
		fputc('\n', out);
	}
}

static bool is_table(const struct schema_field *f)
{
	return f->type == SCHEMA_OBJECT && (f->flags & SCHEMA_LIST);
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
		show_text(text, out);
		fprintf(out, "%s%s\n", f->unit && json_is_integer(value) ? " " : "",
		    f->unit && json_is_integer(value) ? f->unit : "");
		free(text);
	}
	for (const struct schema_field *f = object->fields; f->name; f++) {
		const json_t *value = json_object_get(json, f->name);

		if (!is_table(f) || json_array_size(value) == 0)
			continue; /* no table, or an empty one */
		fprintf(out, "\n%s\n", f->name);
		show_list(schema, schema_object(schema, f->object), value, true, out);
	}
}

void show_event(const json_t *event, FILE *out)
{
	json_int_t ms = json_integer_value(json_object_get(event, "time"));
	time_t seconds = (time_t)(ms / 1000);
	struct tm when;
	char text[32] = "";
	const char *key;
	json_t *value;

	if (localtime_r(&seconds, &when))
		strftime(text, sizeof(text), "%H:%M:%S", &when);
	fprintf(out, "%s.%03d ", text, (int)(ms % 1000));
	show_text(json_string_value(json_object_get(event, "event")), out);
	json_object_foreach((json_t *)(uintptr_t)event, key, value)
	{
		char *cell = cell_text(value);

		if (strcmp(key, "event") != 0 && strcmp(key, "time") != 0) {
			fprintf(out, " %s ", key);
			show_text(cell, out);
		}
		free(cell);
	}
	fputc('\n', out);
	fflush(out);
}
