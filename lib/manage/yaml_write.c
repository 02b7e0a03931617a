/* SPDX-License-Identifier: BSD-3-Clause */
#include "manage/yaml.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* The next character of a text in UTF-8, which is right, because it is from JSON. */
static uint32_t next_character(const unsigned char **text)
{
	uint32_t c = *(*text)++;
	unsigned more = c < 0xc0 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;

	if (more)
		c &= 0x3fU >> more;
	for (; more; more--)
		c = c << 6 | (*(*text)++ & 0x3f);
	return c;
}

/* YAML does not allow all characters as they are, so all but ASCII are written as numbers. */
static void write_text(const char *text, FILE *out)
{
	const unsigned char *at = (const unsigned char *)text;

	fputc('"', out);
	while (*at) {
		uint32_t c = next_character(&at);

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", (int)c);
		else if (c >= ' ' && c < 0x7f)
			fputc((int)c, out);
		else
			fprintf(out, "\\U%08x", c);
	}
	fputc('"', out);
}

static void write_value(const json_t *value, unsigned indent, FILE *out);

static void write_members(const json_t *object, unsigned indent, bool in_list, FILE *out)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		fprintf(out, "%*s%s:", in_list ? 0 : (int)indent, "", key);
		write_value(value, indent, out);
		in_list = false;
	}
}

static void write_list(const json_t *list, unsigned indent, FILE *out)
{
	size_t i;
	json_t *part;

	json_array_foreach(list, i, part)
	{
		fprintf(out, "%*s-", (int)indent, "");
		if (json_is_object(part) && json_object_size(part)) {
			fputc(' ', out);
			write_members(part, indent + 2, true, out);
		} else {
			write_value(part, indent, out);
		}
	}
}

/* What follows a name, with the end of the line. */
static void write_value(const json_t *value, unsigned indent, FILE *out)
{
	bool list = json_is_array(value);

	if ((list && json_array_size(value)) ||
	    (json_is_object(value) && json_object_size(value))) {
		fputc('\n', out);
		if (list)
			write_list(value, indent + 2, out);
		else
			write_members(value, indent + 2, false, out);
		return;
	}
	fputc(' ', out);
	if (json_is_string(value))
		write_text(json_string_value(value), out);
	else if (json_is_integer(value))
		fprintf(out, "%lld", (long long)json_integer_value(value));
	else if (json_is_boolean(value))
		fputs(json_is_true(value) ? "true" : "false", out);
	else
		fputs(list ? "[]" : "{}", out);
	fputc('\n', out);
}

char *yaml_write(const json_t *object, size_t *ret_n)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_n);

	if (!out)
		return NULL;
	write_members(object, 0, false, out);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}
