/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The words are read from left to right. A word that the schema knows is found in a list of
 * candidates, which is made for its place: first words, verbs of an object, parameters of a method,
 * words of a value. If it is not found, the candidates say what was expected. Completion asks for
 * the candidates of the place after the words that are there.
 */
#include "command.h"

#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "candidates.h"
#include "manage/check.h"
#include "value.h"

bool command_hides(const struct schema_method *method)
{
	return strcmp(method->name, "subscribe") == 0 || strcmp(method->name, "unsubscribe") == 0;
}

static const struct {
	const char *name, *method, *about;
} locals[] = {
#define X(id, name, usage, method, about) {name, method, about},
    COMMAND_LOCALS(X)
#undef X
};

static void first_words(const struct schema *schema, struct candidates *c)
{
	for (const struct schema_method *m = schema->methods; m->name; m++) {
		size_t n = strcspn(m->name, ".");
		const struct schema_object *o = schema_object(schema, m->object);

		if (!command_hides(m))
			candidates_add(c, m->name, n, m->name[n] && o ? o->about : m->about);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(locals); i++)
		candidates_add(c, locals[i].name, strlen(locals[i].name), locals[i].about);
}

enum command_local command_local(const struct schema *schema, const char *word)
{
	struct candidates c = {0};
	int found;

	first_words(schema, &c);
	found = candidates_find(&c, word);
	for (unsigned i = 0; found >= 0 && i < ARRAY_SIZE(locals); i++)
		if (strcmp(c.text[found], locals[i].name) == 0)
			return (enum command_local)i;
	return COMMAND_NONE;
}

static int local_of(const struct schema_method *method)
{
	for (unsigned i = 0; i < ARRAY_SIZE(locals); i++)
		if (locals[i].method && strcmp(locals[i].method, method->name) == 0)
			return (int)i;
	return -1;
}

const char *command_name(const struct schema_method *method)
{
	int local = local_of(method);

	return local < 0 ? method->name : locals[local].name;
}

const char *command_about(const struct schema_method *method)
{
	int local = local_of(method);

	return local < 0 ? method->about : locals[local].about;
}

/* The verbs of an object. */
static void verbs(const struct schema *schema, const char *object, struct candidates *c)
{
	size_t n = strlen(object);

	for (const struct schema_method *m = schema->methods; m->name; m++)
		if (strncmp(m->name, object, n) == 0 && m->name[n] == '.')
			candidates_add(c, m->name + n + 1, strlen(m->name + n + 1), m->about);
}

static const struct schema_method *method_of(
    const struct schema *schema, const char *object, const char *verb)
{
	char name[2 * SCHEMA_NAME_MAX + 2];

	for (unsigned i = 0; !verb && i < ARRAY_SIZE(locals); i++)
		if (strcmp(object, locals[i].name) == 0)
			return schema_method(schema, locals[i].method);
	snprintf(name, sizeof(name), "%.*s%s%.*s", SCHEMA_NAME_MAX, object, verb ? "." : "",
	    SCHEMA_NAME_MAX, verb ? verb : "");
	return schema_method(schema, name);
}

static const struct schema_method *default_method(const struct schema *schema, const char *object)
{
	static const char *const usual[] = {"list", "show", "get"};
	const struct schema_method *m = NULL;

	for (unsigned i = 0; i < ARRAY_SIZE(usual) && !m; i++)
		m = method_of(schema, object, usual[i]);
	return m;
}

const struct schema_method *command_object(const struct schema *schema, const char *word)
{
	const struct schema_method *m = schema->methods;
	struct candidates c = {0};
	int first;

	first_words(schema, &c);
	first = candidates_find(&c, word);
	if (first < 0)
		return NULL;
	while (m->name &&
	    (strncmp(m->name, c.text[first], strlen(c.text[first])) != 0 ||
		m->name[strlen(c.text[first])] != '.'))
		m++;
	return m->name ? m : NULL;
}

const char *command_expected(const struct schema_field *f, char *text, size_t room)
{
	if (f->type == SCHEMA_OBJECT && !(f->flags & SCHEMA_LIST))
		snprintf(text, room, "a file in YAML or JSON");
	else if (f->type == SCHEMA_PATH && !(f->flags & SCHEMA_LIST))
		snprintf(text, room, "a path");
	else
		schema_expected(f, text, room);
	return text;
}

/*
 * The method of this name, or NULL. What acts on the switch as a whole must be typed in full: "sh"
 * may not be "shutdown".
 */
static const struct schema_method *whole_method(
    const struct schema *schema, const char *name, const char *word, struct usage_fault *fault)
{
	const struct schema_method *m = schema_method(schema, name);
	char expected[SCHEMA_NAME_MAX + 16];

	if (!m)
		return method_of(schema, name, NULL);
	if (m->object || m->gives != SCHEMA_GIVES_NOTHING || schema_same_name(name, word))
		return m;
	snprintf(expected, sizeof(expected), "%s, in full", name);
	candidates_fault_at(fault, 0, expected);
	return NULL;
}

const struct schema_method *command_method(const struct schema *schema, int n, char *const words[],
    int *ret_used, struct usage_fault *fault)
{
	struct candidates objects = {0}, own = {0};
	const struct schema_method *m;
	int first, verb;

	first_words(schema, &objects);
	first = n ? candidates_find(&objects, words[0]) : -1;
	if (first < 0) {
		candidates_fault(fault, 0, &objects, n ? words[0] : NULL, "");
		return NULL;
	}
	verbs(schema, objects.text[first], &own);
	*ret_used = 1;
	if (own.n == 0)
		return whole_method(schema, objects.text[first], words[0], fault);
	if (n > 1) {
		verb = candidates_find(&own, words[1]);
		*ret_used = 2;
		if (verb >= 0)
			return method_of(schema, objects.text[first], own.text[verb]);
	}
	m = default_method(schema, objects.text[first]);
	if (n > 1 || !m) {
		candidates_fault(fault, 1, &own, n > 1 ? words[1] : NULL, "");
		return NULL;
	}
	return m;
}

bool command_is_document(const struct schema *schema, const char *object)
{
	for (const struct schema_method *m = schema->methods; object && m->name; m++)
		for (const struct schema_field *f = m->params; f && f->name; f++)
			if (f->type == SCHEMA_OBJECT && !(f->flags & SCHEMA_LIST) &&
			    strcmp(f->object, object) == 0)
				return true;
	return false;
}

bool command_is_bare(const struct schema_field *field)
{
	return (field->flags & SCHEMA_KEY) ||
	    (field->type == SCHEMA_OBJECT && !(field->flags & SCHEMA_LIST));
}

bool command_lacks(const struct schema_field *field)
{
	return field->type == SCHEMA_OBJECT && (field->flags & SCHEMA_LIST);
}

/* The parameter that needs no name. */
static const struct schema_field *key_of(
    const struct schema *schema, const struct schema_method *method)
{
	const struct schema_field *f;
	unsigned at = 0;
	bool required;

	while ((f = schema_next_param(schema, method, &at, &required)))
		if (command_is_bare(f))
			return f;
	return NULL;
}

/* Parameters that are not given yet; the key has no name. */
static void open_params(const struct schema *schema, const struct schema_method *method,
    const json_t *given, struct candidates *c)
{
	const struct schema_field *f;
	unsigned at = 0;
	bool required;

	while ((f = schema_next_param(schema, method, &at, &required)))
		if (!command_is_bare(f) && !command_lacks(f) && !json_object_get(given, f->name))
			candidates_add(c, f->name, strlen(f->name), f->about);
}

/* Take the value at words[at]. 0 or -1 with *fault. */
static int take_value(const struct schema *schema, const struct schema_field *f, int at,
    const char *word, json_t *params, struct usage_fault *fault)
{
	struct manage_error error = {0};
	char expected[300];
	json_t *value;
	int err;

	if (f->type == SCHEMA_OBJECT && !(f->flags & SCHEMA_LIST))
		return value_take_file(schema, f, word, params, fault);
	value = value_of(f, word);
	if (!value)
		return candidates_fault_at(fault, at, "a text in UTF-8");
	err = check_value(schema, f, value, "", &error);
	json_decref(error.data);
	json_object_set_new(params, f->name, value);
	if (err < 0)
		return candidates_fault_at(
		    fault, at, command_expected(f, expected, sizeof(expected)));
	return 0;
}

/* Take NAME VALUE. Returns how many words it took, or -1. */
static int take_param(const struct schema *schema, const struct schema_method *method, int at,
    int n, char *const words[], json_t *params, struct usage_fault *fault)
{
	struct candidates c = {0};
	const struct schema_field *f;
	char expected[300];
	int i;

	open_params(schema, method, params, &c);
	i = candidates_find(&c, words[at]);
	if (i < 0)
		return candidates_fault(fault, at, &c, words[at], "no more words");
	f = schema_param(schema, method, c.text[i]);
	if (f->type == SCHEMA_BOOL && (at + 1 == n || !check_read_bool(words[at + 1]))) {
		json_object_set_new(params, f->name, json_true());
		return 1;
	}
	if (at + 1 == n)
		return candidates_fault_at(
		    fault, n, command_expected(f, expected, sizeof(expected)));
	return take_value(schema, f, at + 1, words[at + 1], params, fault) < 0 ? -1 : 2;
}

/* Is anything missing? */
static int check_whole(
    const struct schema *schema, const struct command *command, int n, struct usage_fault *fault)
{
	const struct schema_field *f;
	char expected[300];
	unsigned at = 0;
	bool required;

	while ((f = schema_next_param(schema, command->method, &at, &required))) {
		if (!required || json_object_get(command->params, f->name))
			continue; /* it is not necessary, or it is there */
		command_expected(f, expected, sizeof(expected));
		fault->word = n;
		snprintf(fault->expected, sizeof(fault->expected), "%s%s%s",
		    command_is_bare(f) ? f->about : f->name, command_is_bare(f) ? ": " : ", then ",
		    expected);
		return -1;
	}
	return 0;
}

int command_parse(const struct schema *schema, int n, char *const words[], struct command *ret,
    struct usage_fault *ret_fault)
{
	const struct schema_field *key;
	int at = 0, took = 0;

	ret->params = json_object();
	ret->method = command_method(schema, n, words, &at, ret_fault);
	if (!ret->method)
		return -1;
	key = key_of(schema, ret->method);
	if (key && at < n) {
		took = take_value(schema, key, at, words[at], ret->params, ret_fault);
		at++;
	}
	while (took >= 0 && at < n) {
		took = take_param(schema, ret->method, at, n, words, ret->params, ret_fault);
		at += MAX(took, 0);
	}
	return took < 0 ? -1 : check_whole(schema, ret, n, ret_fault);
}

static void tell_all(const struct candidates *c,
    void (*add)(const char *word, const char *about, void *arg), void *arg)
{
	for (unsigned i = 0; i < c->n; i++)
		add(c->text[i], c->about[i], arg);
}

/* What follows the method's words. The words there may be wrong, or incomplete at the end. */
static const struct schema_field *continue_params(const struct schema *schema,
    const struct schema_method *method, int n, char *const words[], struct candidates *c)
{
	const struct schema_field *key = key_of(schema, method), *f;
	json_t *params = json_object();
	struct usage_fault fault;
	int at = 0, took = 1;

	if (key && n == 0) {
		json_decref(params);
		return key;
	}
	at += key != NULL;
	while (took > 0 && at < n) {
		struct candidates open = {0};
		int i;

		open_params(schema, method, params, &open);
		i = candidates_find(&open, words[at]);
		f = i < 0 ? NULL : schema_param(schema, method, open.text[i]);
		if (f && at + 1 == n && f->type != SCHEMA_BOOL) {
			json_decref(params);
			return f;
		}
		took = f ? take_param(schema, method, at, n, words, params, &fault) : 0;
		at += MAX(took, 0);
	}
	if (took > 0)
		open_params(schema, method, params, c);
	json_decref(params);
	return NULL;
}

void command_continue(const struct schema *schema, int n, char *const words[],
    void (*add)(const char *word, const char *about, void *arg), void *arg,
    const struct schema_field **ret_field)
{
	struct candidates c = {0};
	struct usage_fault fault;
	const struct schema_method *method;
	int used = 0, first;

	*ret_field = NULL;
	first_words(schema, &c);
	if (n == 0) {
		tell_all(&c, add, arg);
		return;
	}
	first = candidates_find(&c, words[0]);
	if (first >= 0 && n == 1) {
		struct candidates own = {0};

		verbs(schema, c.text[first], &own);
		tell_all(&own, add, arg);
		if (own.n)
			return;
	}
	method = command_method(schema, n, words, &used, &fault);
	if (!method)
		return;
	c.n = 0;
	*ret_field = continue_params(schema, method, n - used, words + used, &c);
	if (*ret_field)
		value_words(*ret_field, &c);
	tell_all(&c, add, arg);
}
