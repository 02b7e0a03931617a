/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * Tables are searched from the beginning: they are short, and few requests come in a second. A
 * method has two sorts of parameters. First come fields of its object. The kind of the method says
 * which: the key only, the fields of a new object, or the fields that can be changed. Then come
 * parameters that only this method has. What a value must be is said in words made from the table,
 * so that messages and help agree.
 */
#include "manage/schema.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"

const char *schema_type_name(enum schema_type type)
{
	static const char *const names[] = {
#define X(id, name, json) [SCHEMA_##id] = (name),
	    SCHEMA_TYPES(X)
#undef X
	};

	return names[type];
}

const char *schema_type_json(enum schema_type type)
{
	static const char *const names[] = {
#define X(id, name, json) [SCHEMA_##id] = (json),
	    SCHEMA_TYPES(X)
#undef X
	};

	return names[type];
}

const struct schema_object *schema_object(const struct schema *schema, const char *name)
{
	const struct schema_object *o = schema->objects;

	while (o->name && name && strcmp(o->name, name) != 0)
		o++;
	return o->name && name ? o : NULL;
}

const struct schema_method *schema_method(const struct schema *schema, const char *name)
{
	const struct schema_method *m = schema->methods;

	while (m->name && name && strcmp(m->name, name) != 0)
		m++;
	return m->name && name ? m : NULL;
}

static bool takes(const struct schema_method *method, const struct schema_field *field)
{
	switch (method->takes) {
	case SCHEMA_TAKES_KEY:
		return field->flags & SCHEMA_KEY;
	case SCHEMA_TAKES_NEW:
		return !(field->flags & SCHEMA_READ_ONLY);
	case SCHEMA_TAKES_CHANGES:
		return (field->flags & SCHEMA_KEY) ||
		    !(field->flags & (SCHEMA_READ_ONLY | SCHEMA_CREATE));
	case SCHEMA_TAKES_NONE:
		break;
	}
	return false;
}

static bool required(const struct schema_method *method, const struct schema_field *field)
{
	if (field->flags & SCHEMA_KEY)
		return true;
	return method->takes == SCHEMA_TAKES_NEW && (field->flags & SCHEMA_REQUIRED);
}

/* The fields of the object come first, then the further parameters. */
const struct schema_field *schema_next_param(const struct schema *schema,
    const struct schema_method *method, unsigned *at, bool *ret_required)
{
	const struct schema_object *object = schema_object(schema, method->object);
	unsigned i = 0;

	for (; object && object->fields[i].name; i++) {
		if (i < *at || !takes(method, &object->fields[i]))
			continue; /* returned before, or no parameter */
		*at = i + 1;
		*ret_required = required(method, &object->fields[i]);
		return &object->fields[i];
	}
	for (const struct schema_field *f = method->params; f && f->name; f++, i++) {
		if (i < *at)
			continue; /* returned before */
		*at = i + 1;
		*ret_required = f->flags & SCHEMA_REQUIRED;
		return f;
	}
	return NULL;
}

const struct schema_field *schema_param(
    const struct schema *schema, const struct schema_method *method, const char *name)
{
	const struct schema_field *f;
	unsigned at = 0;
	bool is_required;

	while ((f = schema_next_param(schema, method, &at, &is_required)))
		if (schema_same_name(f->name, name))
			return f;
	return NULL;
}

static char as_named(char c)
{
	return (char)(c == '-' ? '_' : c);
}

bool schema_same_name(const char *a, const char *b)
{
	while (*a && as_named(*a) == as_named(*b)) {
		a++;
		b++;
	}
	return *a == *b;
}

/*
 * The optimal string alignment distance of two names: how many characters must be changed, added,
 * removed, or swapped with the next character. Names are shorter than SCHEMA_NAME_MAX.
 */
static unsigned distance(const char *a, unsigned n_a, const char *b, unsigned n_b)
{
	unsigned row[3][SCHEMA_NAME_MAX + 1];
	unsigned *before = row[0], *last = row[1], *now = row[2];

	for (unsigned j = 0; j <= n_b; j++)
		last[j] = j;
	for (unsigned i = 1; i <= n_a; i++) {
		unsigned *free_row = before;

		now[0] = i;
		for (unsigned j = 1; j <= n_b; j++) {
			bool same = as_named(a[i - 1]) == as_named(b[j - 1]);

			now[j] = MIN(MIN(last[j], now[j - 1]) + 1, last[j - 1] + !same);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = MIN(now[j], before[j - 2] + 1);
		}
		before = last;
		last = now;
		now = free_row;
	}
	return last[n_b];
}

/*
 * A third of the characters may differ, but at most three. A word that begins a name is near the
 * name, too.
 */
const char *schema_nearest(const char *name, const char *const names[], unsigned n)
{
	unsigned len = strnlen(name, SCHEMA_NAME_MAX), best = MIN((len + 2) / 3, 3u) + 1;
	const char *nearest = NULL;

	for (unsigned i = 0; i < n && len < SCHEMA_NAME_MAX; i++) {
		unsigned n_b = strnlen(names[i], SCHEMA_NAME_MAX);
		unsigned far = distance(name, len, names[i], n_b);

		if (len > 1 && len < n_b && strncmp(name, names[i], len) == 0)
			far = MIN(far, 1u);
		if (far < best) {
			best = far;
			nearest = names[i];
		}
	}
	return nearest;
}

static void expect_words(const struct schema_field *field, FILE *out)
{
	const char *comma = "one of ";

	for (const char *const *w = field->words; *w; w++) {
		fprintf(out, "%s%s", comma, *w);
		comma = ", ";
	}
}

static void expect_text(const struct schema_field *field, FILE *out)
{
	if (!field->max)
		fputs("a text", out);
	else if (field->min)
		fprintf(out, "a text of %" PRIu64 " to %" PRIu64 " bytes", field->min, field->max);
	else
		fprintf(out, "a text of at most %" PRIu64 " bytes", field->max);
}

static void expect_number(const struct schema_field *field, FILE *out)
{
	fputs("a number", out);
	if (field->unit)
		fprintf(out, " of %s", field->unit);
	if (field->max == SCHEMA_UINT_MAX)
		fprintf(out, "%s %" PRIu64 " or more", field->unit ? "," : ":", field->min);
	else
		fprintf(out, "%s %" PRIu64 " to %" PRIu64, field->unit ? "," : " from", field->min,
		    field->max);
}

static void expect(const struct schema_field *field, FILE *out)
{
	switch (field->type) {
	case SCHEMA_BOOL:
		fputs("true or false", out);
		break;
	case SCHEMA_UINT:
		expect_number(field, out);
		break;
	case SCHEMA_STRING:
		expect_text(field, out);
		break;
	case SCHEMA_PATH:
		fputs("a path that begins with /", out);
		break;
	case SCHEMA_MAC:
		fputs("a MAC address such as 52:54:00:00:00:01", out);
		break;
	case SCHEMA_VLANS:
		fputs("a list of VLANs, 1 to 4094, such as 10,20-29", out);
		break;
	case SCHEMA_WORD:
		expect_words(field, out);
		break;
	case SCHEMA_OBJECT:
		fputs("an object", out);
		break;
	}
}

const char *schema_expected(const struct schema_field *field, char *text, size_t room)
{
	FILE *out = fmemopen(text, room, "w");

	text[0] = '\0';
	if (!out)
		return text; /* no memory: no explanation */
	if ((field->flags & SCHEMA_LIST) && field->list_max)
		fprintf(out, "a list of at most %u; each part: ", field->list_max);
	else if (field->flags & SCHEMA_LIST)
		fputs("a list; each part: ", out);
	expect(field, out);
	fclose(out);
	text[room - 1] = '\0';
	return text;
}
