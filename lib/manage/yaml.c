/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * libyaml turns the text into events: a mapping begins, a scalar, a sequence ends. This file walks
 * through them along the tables: a mapping is an object, its keys are names of fields, and the type
 * of a field says what its scalar means. libyaml's own types, in which "no" is false and
 * 11:22:33 is a number, are not used.
 *
 * The walk is recursive, and its depth is that of the tables, at most YAML_DEPTH_MAX. libyaml
 * itself bounds the depth of its own stack by memory only, so the size of the text is limited, too.
 * libyaml compares each %TAG line with all before, which takes seconds if there are many, so lines
 * that begin with '%' are refused before it sees them.
 */
#include "manage/yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/util.h"
#include "manage/check.h"

#define NAMES_MAX 64

struct reader {
	const struct schema *schema;
	const char *text;
	size_t n;
	yaml_parser_t parser;
	yaml_event_t event; /* the last one that was read */
	bool has_event;
	struct yaml_fault *fault;
	unsigned depth;
};

/* Describe a fault at the last event. Returns NULL. */
static json_t *fail(struct reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static json_t *fail(struct reader *r, const char *fmt, ...)
{
	va_list args;

	r->fault->line = (unsigned)r->event.start_mark.line + 1;
	r->fault->column = (unsigned)r->event.start_mark.column + 1;
	va_start(args, fmt);
	vsnprintf(r->fault->message, sizeof(r->fault->message), fmt, args);
	va_end(args);
	return NULL;
}

/* The place of a byte, for bytes that are no characters. */
static void place_of_byte(struct reader *r, size_t offset)
{
	r->fault->line = r->fault->column = 1;
	for (size_t i = 0; i < offset && i < r->n; i++) {
		bool end = r->text[i] == '\n';

		r->fault->line += end;
		r->fault->column = end ? 1 : r->fault->column + ((r->text[i] & 0xc0) != 0x80);
	}
}

/* Is there a tab in the indentation of this line? */
static bool has_tab(const struct reader *r, size_t line)
{
	const char *at = r->text, *end = r->text + r->n;

	for (; at && line; line--) {
		at = memchr(at, '\n', (size_t)(end - at));
		at += at != NULL;
	}
	while (at && at < end && *at == ' ')
		at++;
	return at && at < end && *at == '\t';
}

/* What libyaml says of a text that is no YAML. */
static void fail_in_parser(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	const char *problem = p->problem ? p->problem : "it is no YAML";
	struct yaml_fault *f = r->fault;

	f->line = (unsigned)p->problem_mark.line + 1;
	f->column = (unsigned)p->problem_mark.column + 1;
	if (p->error == YAML_READER_ERROR)
		place_of_byte(r, p->problem_offset);
	/* In brackets tabs are allowed, as in JSON. */
	if (p->error == YAML_SCANNER_ERROR && has_tab(r, f->line - 1))
		snprintf(
		    f->message, sizeof(f->message), "a line begins with blanks, not with tabs");
	else if (p->context)
		snprintf(f->message, sizeof(f->message),
		    "%s, %s that begins in line %zu; are indentation, quotes and brackets right?",
		    problem, p->context, p->context_mark.line + 1);
	else
		snprintf(f->message, sizeof(f->message), "%s", problem);
}

static bool is_decorated(const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_ALIAS_EVENT:
		return true;
	case YAML_SCALAR_EVENT:
		return e->data.scalar.anchor || e->data.scalar.tag;
	case YAML_SEQUENCE_START_EVENT:
		return e->data.sequence_start.anchor || e->data.sequence_start.tag;
	case YAML_MAPPING_START_EVENT:
		return e->data.mapping_start.anchor || e->data.mapping_start.tag;
	default:
		return false;
	}
}

/* False: there is a fault. */
static bool next(struct reader *r)
{
	if (r->has_event)
		yaml_event_delete(&r->event);
	r->has_event = yaml_parser_parse(&r->parser, &r->event);
	if (!r->has_event) {
		memset(&r->event, 0, sizeof(r->event));
		fail_in_parser(r);
		return false;
	}
	if (!is_decorated(&r->event))
		return true;
	fail(r, "anchors, aliases and tags are not allowed here");
	return false;
}

static const char *scalar(const struct reader *r)
{
	return (const char *)r->event.data.scalar.value;
}

/* A text with a null byte in it would end there. */
static bool scalar_is_text(const struct reader *r)
{
	return strlen(scalar(r)) == r->event.data.scalar.length;
}

/* A text that is no such value stays a text: it is refused later. */
static json_t *typed(const struct schema_field *f, const char *text)
{
	json_t *json = NULL;

	if (f->type == SCHEMA_UINT)
		json = check_read_number(text);
	if (f->type == SCHEMA_BOOL)
		json = check_read_bool(text);
	return json ? json : json_string(text);
}

/* The last event is a scalar: the value of a field, or a part of a list. */
static json_t *read_scalar(struct reader *r, const struct schema_field *f)
{
	struct schema_field one = *f;
	struct manage_error error = {0};
	const char *said;
	char expected[200];
	json_t *value = scalar_is_text(r) ? typed(f, scalar(r)) : NULL;

	one.flags &= ~(unsigned)SCHEMA_LIST;
	if (value && check_value(r->schema, &one, value, "", &error) == 0)
		return value;
	schema_expected(&one, expected, sizeof(expected));
	said = json_string_value(json_object_get(error.data, "expected"));
	fail(r, "%s: \"%.60s\" is not %s", f->name, scalar(r), said ? said : expected);
	json_decref(error.data);
	json_decref(value);
	return NULL;
}

static json_t *read_object(struct reader *r, const struct schema_object *object);

/* The last event begins the value of a field. */
static json_t *read_one(struct reader *r, const struct schema_field *f)
{
	const struct schema_object *object = schema_object(r->schema, f->object);
	char expected[200];

	if (object && r->event.type == YAML_MAPPING_START_EVENT)
		return read_object(r, object);
	if (!object && r->event.type == YAML_SCALAR_EVENT)
		return read_scalar(r, f);
	schema_expected(f, expected, sizeof(expected));
	return fail(r, "%s: here must be %s", f->name, expected);
}

static json_t *read_list(struct reader *r, const struct schema_field *f)
{
	json_t *list = json_array();

	while (next(r) && r->event.type != YAML_SEQUENCE_END_EVENT) {
		bool full = f->list_max && json_array_size(list) == f->list_max;
		json_t *one = full
		    ? fail(r, "%s: more than %u are not possible", f->name, f->list_max)
		    : read_one(r, f);

		if (!one || json_array_append_new(list, one) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	if (r->has_event && r->event.type == YAML_SEQUENCE_END_EVENT)
		return list;
	json_decref(list);
	return NULL;
}

static json_t *read_value(struct reader *r, const struct schema_field *f)
{
	bool sequence;

	if (!next(r))
		return NULL;
	sequence = r->event.type == YAML_SEQUENCE_START_EVENT;
	if ((f->flags & SCHEMA_LIST) && sequence)
		return read_list(r, f);
	if (f->flags & SCHEMA_LIST)
		return fail(r, "%s: here must be a list, such as [a, b]", f->name);
	return read_one(r, f);
}

/* NULL: it is not known, or nobody may set it; *fault. */
static const struct schema_field *find_field(
    struct reader *r, const struct schema_object *object, const char *name)
{
	const char *names[NAMES_MAX], *nearest;
	unsigned n = 0;

	for (const struct schema_field *f = object->fields; f->name; f++) {
		bool settable = !(f->flags & SCHEMA_READ_ONLY);

		if (settable && schema_same_name(f->name, name))
			return f;
		if (settable && n < NAMES_MAX)
			names[n++] = f->name;
	}
	nearest = schema_nearest(name, names, n);
	fail(r, "%s has no \"%.60s\"%s%s%s", object->name, name, nearest ? "; did you mean " : "",
	    nearest ? nearest : "", nearest ? "?" : "");
	return NULL;
}

/* The last event is a key: read its value. False: *fault. */
static bool read_member(struct reader *r, const struct schema_object *object, json_t *to)
{
	const struct schema_field *f;
	json_t *value;

	if (r->event.type != YAML_SCALAR_EVENT || !scalar_is_text(r)) {
		fail(r, "here must be a name");
		return false;
	}
	f = find_field(r, object, scalar(r));
	if (!f)
		return false;
	if (json_object_get(to, f->name)) {
		fail(r, "%s is there twice", f->name);
		return false;
	}
	value = read_value(r, f);
	return value && json_object_set_new(to, f->name, value) == 0;
}

/* The last event began a mapping. */
static json_t *read_object(struct reader *r, const struct schema_object *object)
{
	json_t *to = json_object();
	bool right = ++r->depth <= YAML_DEPTH_MAX;

	if (!right)
		fail(r, "too many objects are within each other");
	while (right && (right = next(r)) && r->event.type != YAML_MAPPING_END_EVENT)
		right = read_member(r, object, to);
	r->depth--;
	if (right)
		return to;
	json_decref(to);
	return NULL;
}

/* The end of the document and of the text. */
static bool read_end(struct reader *r)
{
	if (!next(r) || !next(r))
		return false;
	if (r->event.type == YAML_STREAM_END_EVENT)
		return true;
	fail(r, "a second document begins here");
	return false;
}

static json_t *read_document(struct reader *r, const struct schema_object *object)
{
	json_t *json;

	if (!next(r) || !next(r))
		return NULL;
	if (r->event.type == YAML_STREAM_END_EVENT)
		return json_object();
	if (!next(r))
		return NULL;
	if (r->event.type != YAML_MAPPING_START_EVENT)
		return fail(r, "here must be names with values, such as \"name: value\"");
	json = read_object(r, object);
	if (json && read_end(r))
		return json;
	json_decref(json);
	return NULL;
}

static bool begins_with(const char *text, size_t n, const char *with)
{
	return n >= strlen(with) && memcmp(text, with, strlen(with)) == 0;
}

/* The length of an end of line, as libyaml knows them. 0: it is none. */
static size_t end_of_line(const char *text, size_t n)
{
	static const char *const ends[] = {"\n", "\r", "\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9"};

	for (unsigned i = 0; i < ARRAY_SIZE(ends); i++)
		if (begins_with(text, n, ends[i]))
			return strlen(ends[i]);
	return 0;
}

/* Where a line begins with '%', perhaps after a byte order mark; n: none does. */
static size_t find_directive(const char *text, size_t n)
{
	bool begins = true;
	size_t i = 0;

	while (i < n && !(begins && text[i] == '%')) {
		size_t end = end_of_line(text + i, n - i);
		bool mark = begins && begins_with(text + i, n - i, "\xef\xbb\xbf");

		begins = end || mark;
		i += mark ? 3 : MAX(end, (size_t)1);
	}
	return i;
}

/* What libyaml must not see. */
static bool is_allowed(struct reader *r)
{
	size_t directive = find_directive(r->text, r->n);

	if (begins_with(r->text, r->n, "\xff\xfe") || begins_with(r->text, r->n, "\xfe\xff")) {
		fail(r, "the file is UTF-16; only UTF-8 is allowed here");
		return false;
	}
	if (directive == r->n)
		return true;
	fail(r, "a line that begins with %% is not allowed here");
	place_of_byte(r, directive);
	return false;
}

json_t *yaml_read(const struct schema *schema, const struct schema_object *object, const char *text,
    size_t n, struct yaml_fault *ret_fault)
{
	struct reader r = {.schema = schema, .text = text, .n = n, .fault = ret_fault};
	json_t *json;

	*ret_fault = (struct yaml_fault){.line = 1, .column = 1, .message = "out of memory"};
	if (n > YAML_BYTES_MAX)
		return fail(&r, "the file has more than %u bytes", YAML_BYTES_MAX);
	if (!is_allowed(&r) || !yaml_parser_initialize(&r.parser))
		return NULL;
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, n);
	json = read_document(&r, object);
	if (r.has_event)
		yaml_event_delete(&r.event);
	yaml_parser_delete(&r.parser);
	return json;
}
