/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * A value is checked by the type of its field. An object is checked field by field; the parameters
 * of a method are an object with the fields that the method takes. The first fault ends the check.
 * An unknown name comes with the nearest known name.
 *
 * Texts come from clients and are repeated in messages. manage_fail_field() bounds their length and
 * makes them printable.
 */
#include "manage/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"

#define NAMES_MAX 64

json_t *check_read_number(const char *text)
{
	uint64_t n = 0;

	for (const char *c = text; *c; c++) {
		if (*c < '0' || *c > '9' || n > (uint64_t)INT64_MAX / 10 - 1)
			return NULL;
		n = n * 10 + (uint64_t)(*c - '0');
	}
	return *text ? json_integer((json_int_t)n) : NULL;
}

json_t *check_read_bool(const char *text)
{
	static const char *const yes[] = {"true", "yes", "on"},
				 *const no[] = {"false", "no", "off"};

	for (unsigned i = 0; i < ARRAY_SIZE(yes); i++) {
		if (strcmp(text, yes[i]) == 0)
			return json_true();
		if (strcmp(text, no[i]) == 0)
			return json_false();
	}
	return NULL;
}

/* Two hexadecimal digits; -1: they are not. */
static int hex_byte(const char *text)
{
	int value = 0;

	for (unsigned i = 0; i < 2; i++) {
		char c = text[i];

		if (c >= '0' && c <= '9')
			value = value << 4 | (c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			value = value << 4 | ((c | 0x20) - 'a' + 10);
		else
			return -1;
	}
	return value;
}

bool check_mac(const char *text, uint64_t *ret_mac)
{
	*ret_mac = 0;
	if (strlen(text) != 17)
		return false;
	for (size_t i = 0; i < 6; i++) {
		int byte = hex_byte(text + 3 * i);

		if (byte < 0 || (i < 5 && text[3 * i + 2] != ':'))
			return false;
		*ret_mac |= (uint64_t)byte << (8 * i);
	}
	return true;
}

/* One to four digits, 1 to 4094. *text becomes what follows. 0: it is no such number. */
static unsigned vlan_number(const char **text)
{
	unsigned n = 0, digits = 0;

	for (; **text >= '0' && **text <= '9'; (*text)++, digits++) {
		if (digits == 4)
			return 0;
		n = n * 10 + (unsigned)(**text - '0');
	}
	return n <= 4094 ? n : 0;
}

/* False: some VLAN of the range is set already. */
static bool set_vlans(uint64_t map[], unsigned from, unsigned to)
{
	for (unsigned v = from; v <= to; v++) {
		if (map[v / 64] >> v % 64 & 1)
			return false;
		map[v / 64] |= UINT64_C(1) << v % 64;
	}
	return true;
}

bool check_vlans(const char *text, uint64_t ret_map[CHECK_VLANS / 64])
{
	uint64_t own[CHECK_VLANS / 64] = {0}, *map = ret_map ? ret_map : own;

	for (;;) {
		unsigned from = vlan_number(&text), to = from;

		if (from && *text == '-') {
			text++;
			to = vlan_number(&text);
		}
		if (!from || to < from || !set_vlans(map, from, to))
			return false;
		if (*text == '\0')
			return true;
		if (*text++ != ',')
			return false;
	}
}

static bool in_range(const struct schema_field *field, uint64_t n)
{
	return n >= field->min && n <= field->max;
}

/*
 * Texts come into log lines and to terminals. In UTF-8 the control characters U+0080 to U+009F
 * begin with the byte 0xc2. The JSON parser lets no null bytes through.
 */
static bool has_control(const json_t *value)
{
	const char *text = json_string_value(value);

	for (; text && *text; text++) {
		unsigned char c = (unsigned char)text[0], then = (unsigned char)text[1];

		if (c < ' ' || c == 0x7f || (c == 0xc2 && then < 0xa0))
			return true;
	}
	return false;
}

static bool text_fits(const struct schema_field *field, const json_t *value)
{
	return json_is_string(value) && (!field->max || in_range(field, json_string_length(value)));
}

static bool is_word(const struct schema_field *field, const json_t *value)
{
	for (const char *const *w = field->words; json_is_string(value) && *w; w++)
		if (strcmp(*w, json_string_value(value)) == 0)
			return true;
	return false;
}

static bool is_path(const json_t *value)
{
	return json_is_string(value) && json_string_value(value)[0] == '/' &&
	    json_string_length(value) < 4096;
}

static bool fits(const struct schema_field *field, const json_t *value)
{
	uint64_t mac;

	switch (field->type) {
	case SCHEMA_BOOL:
		return json_is_boolean(value);
	case SCHEMA_UINT:
		return json_is_integer(value) && json_integer_value(value) >= 0 &&
		    in_range(field, (uint64_t)json_integer_value(value));
	case SCHEMA_STRING:
		return text_fits(field, value);
	case SCHEMA_PATH:
		return is_path(value);
	case SCHEMA_MAC:
		return json_is_string(value) && check_mac(json_string_value(value), &mac);
	case SCHEMA_VLANS:
		return json_is_string(value) && check_vlans(json_string_value(value), NULL);
	case SCHEMA_WORD:
		return is_word(field, value);
	case SCHEMA_OBJECT:
		return json_is_object(value);
	}
	return false;
}

static const struct schema_field *find_field(const struct schema_field *fields, const char *name)
{
	for (const struct schema_field *f = fields; f && f->name; f++)
		if (schema_same_name(f->name, name))
			return f;
	return NULL;
}

static unsigned field_names(const struct schema_field *fields, const char *ret_names[])
{
	unsigned n = 0;

	for (const struct schema_field *f = fields; f && f->name && n < NAMES_MAX; f++)
		ret_names[n++] = f->name;
	return n;
}

/* "one of a, b, c", or "did you mean a". */
static void known_names(
    const char *name, const char *const names[], unsigned n, char *text, size_t room)
{
	const char *nearest = schema_nearest(name, names, n), *comma = "one of ";
	size_t at = 0;

	if (nearest)
		snprintf(text, room, "%s", nearest);
	else if (n == 0)
		snprintf(text, room, "nothing: it takes no parameters");
	for (unsigned i = 0; !nearest && i < n && at < room; i++) {
		at += (size_t)snprintf(text + at, room - at, "%s%s", comma, names[i]);
		comma = ", ";
	}
}

static int unknown(const char *about, const char *name, const char *const names[], unsigned n,
    struct manage_error *error)
{
	const char *nearest = schema_nearest(name, names, n);
	char expected[400];

	known_names(name, names, n, expected, sizeof(expected));
	manage_fail_unknown(error, MANAGE_PARAMS, about, name, expected, nearest != NULL);
	return -EINVAL;
}

static int check_object(const struct schema *schema, const struct schema_field *fields,
    const json_t *value, const char *about, struct manage_error *error)
{
	const char *names[NAMES_MAX], *key;
	json_t *member;

	json_object_foreach((json_t *)(uintptr_t)value, key, member)
	{
		const struct schema_field *f = find_field(fields, key);
		int err = f ? check_value(schema, f, member, about, error)
			    : unknown(about, key, names, field_names(fields, names), error);

		if (err)
			return err;
	}
	return 0;
}

/* A value that is no list, or one part of a list. */
static int check_one(const struct schema *schema, const struct schema_field *field,
    const json_t *value, const char *about, struct manage_error *error)
{
	const struct schema_object *object = schema_object(schema, field->object);
	char expected[200];

	if (!fits(field, value) || has_control(value)) {
		schema_expected(field, expected, sizeof(expected));
		manage_fail_field(error, MANAGE_PARAMS, about, field->name, value,
		    fits(field, value) ? "a text without control characters" : expected);
		return -EINVAL;
	}
	return object ? check_object(schema, object->fields, value, about, error) : 0;
}

int check_value(const struct schema *schema, const struct schema_field *field, const json_t *value,
    const char *about, struct manage_error *error)
{
	char expected[200];
	size_t i;
	json_t *part;
	int err = 0;

	if ((field->flags & SCHEMA_NULL) && json_is_null(value))
		return 0;
	if (!(field->flags & SCHEMA_LIST))
		return check_one(schema, field, value, about, error);
	if (!json_is_array(value) ||
	    (field->list_max && json_array_size(value) > field->list_max)) {
		schema_expected(field, expected, sizeof(expected));
		manage_fail_field(error, MANAGE_PARAMS, about, field->name, value, expected);
		return -EINVAL;
	}
	json_array_foreach(value, i, part)
	{
		err = check_one(schema, field, part, about, error);
		if (err)
			break;
	}
	return err;
}

static unsigned param_names(
    const struct schema *schema, const struct schema_method *method, const char *ret_names[])
{
	const struct schema_field *f;
	unsigned at = 0, n = 0;
	bool required;

	while (n < NAMES_MAX && (f = schema_next_param(schema, method, &at, &required)))
		ret_names[n++] = f->name;
	return n;
}

/* The switch may tell null; a request may not. */
static int check_given(const struct schema *schema, const struct schema_field *field,
    const json_t *value, const char *about, struct manage_error *error)
{
	struct schema_field without = *field;

	without.flags &= ~(unsigned)SCHEMA_NULL;
	return check_value(schema, &without, value, about, error);
}

/* Copy the parameters that are given, with the names of the table. */
static int take_given(const struct schema *schema, const struct schema_method *method,
    const json_t *params, json_t *to, struct manage_error *error)
{
	const char *names[NAMES_MAX], *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)params, key, value)
	{
		const struct schema_field *f = schema_param(schema, method, key);

		if (!f)
			return unknown(
			    method->name, key, names, param_names(schema, method, names), error);
		if (check_given(schema, f, value, method->name, error) < 0)
			return -EINVAL;
		if (json_object_get(to, f->name)) {
			manage_fail_field(
			    error, MANAGE_PARAMS, method->name, f->name, value, "given once");
			return -EINVAL;
		}
		if (json_object_set(to, f->name, value) < 0) {
			manage_fail(error, MANAGE_INTERNAL, "out of memory");
			return -EINVAL;
		}
	}
	return 0;
}

static int add_missing(const struct schema *schema, const struct schema_method *method, json_t *to,
    struct manage_error *error)
{
	const struct schema_field *f;
	char expected[200];
	unsigned at = 0;
	bool required;

	while ((f = schema_next_param(schema, method, &at, &required))) {
		if (json_object_get(to, f->name))
			continue; /* it is given */
		if (required) {
			schema_expected(f, expected, sizeof(expected));
			manage_fail_field(
			    error, MANAGE_PARAMS, method->name, f->name, NULL, expected);
			return -EINVAL;
		}
		if (f->preset && method->takes != SCHEMA_TAKES_CHANGES)
			json_object_set_new(
			    to, f->name, json_loads(f->preset, JSON_DECODE_ANY, NULL));
	}
	return 0;
}

json_t *check_params(const struct schema *schema, const struct schema_method *method,
    const json_t *params, struct manage_error *error)
{
	json_t *to = json_object();

	if (!to)
		return manage_fail(error, MANAGE_INTERNAL, "out of memory");
	if (params && !json_is_object(params)) {
		manage_fail_field(error, MANAGE_PARAMS, method->name, "params", params,
		    "an object with named parameters");
	} else if (take_given(schema, method, params, to, error) == 0 &&
	    add_missing(schema, method, to, error) == 0) {
		return to;
	}
	json_decref(to);
	return NULL;
}

static int check_list(const struct schema *schema, const struct schema_object *object,
    const struct schema_method *method, const json_t *result, struct manage_error *error)
{
	const json_t *entries = json_object_get(result, "entries");
	size_t i;
	json_t *entry;
	int err = 0;

	if (!json_is_array(entries)) {
		manage_fail_field(
		    error, MANAGE_INTERNAL, method->name, "entries", entries, "a list of objects");
		return -EINVAL;
	}
	json_array_foreach(entries, i, entry)
	{
		err = check_object(schema, object->fields, entry, method->name, error);
		if (err)
			break;
	}
	return err;
}

int check_result(const struct schema *schema, const struct schema_method *method,
    const json_t *result, struct manage_error *error)
{
	const struct schema_object *object = schema_object(schema, method->object);

	if (method->gives == SCHEMA_GIVES_LIST)
		return check_list(schema, object, method, result, error);
	if (method->gives == SCHEMA_GIVES_OBJECT)
		return check_object(schema, object->fields, result, method->name, error);
	return 0;
}
