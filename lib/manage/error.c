/* SPDX-License-Identifier: BSD-3-Clause */
#include "manage/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

/* A longer value of a request is not repeated in the answer. */
#define VALUE_MAX 64

const char *manage_error_name(json_int_t code)
{
	switch (code) {
#define X(id, number, name, when) \
	case (number): \
		return (name);
		MANAGE_ERRORS(X)
#undef X
	default:
		return NULL;
	}
}

/* Can it be a JSON text? A message that is cut off may end within a character. */
static bool is_utf8(const char *text)
{
	json_t *probe = json_string(text);

	json_decref(probe);
	return probe != NULL;
}

/* The message goes to terminals and into log lines; names in it may come from a client. */
static void make_printable(char *text)
{
	bool ascii = !is_utf8(text);

	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f || (ascii && (*text & 0x80)))
			*text = '?';
}

json_t *manage_fail(struct manage_error *error, enum manage_error_code code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(error->message, sizeof(error->message), fmt, args);
	va_end(args);
	make_printable(error->message);
	error->code = code;
	error->data = NULL;
	return NULL;
}

/* The value as JSON in ASCII. It is cut off if it is long. */
static void show_value(const json_t *value, char *text, size_t room)
{
	char *all = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII);
	int n = snprintf(text, room, "%s", all ? all : "?");

	if (n >= (int)room)
		memcpy(text + room - 4, "...", 4);
	free(all);
}

/* A large value would make the answer large. */
static json_t *value_copy(const json_t *value)
{
	char text[VALUE_MAX];

	if (!value)
		return json_null();
	if (!json_is_object(value) && !json_is_array(value) &&
	    !(json_is_string(value) && json_string_length(value) > VALUE_MAX))
		return json_deep_copy(value);
	show_value(value, text, sizeof(text));
	return json_string(text);
}

json_t *manage_fail_field(struct manage_error *error, enum manage_error_code code,
    const char *about, const char *field, const json_t *value, const char *expected)
{
	char text[VALUE_MAX];

	if (value) {
		show_value(value, text, sizeof(text));
		manage_fail(error, code, "%s: %s: %s is not %s", about, field, text, expected);
	} else {
		manage_fail(error, code, "%s: %s is missing: %s", about, field, expected);
	}
	error->data = json_pack(
	    "{s:s, s:o, s:s}", "field", field, "value", value_copy(value), "expected", expected);
	return NULL;
}

json_t *manage_fail_unknown(struct manage_error *error, enum manage_error_code code,
    const char *about, const char *name, const char *expected, bool near)
{
	json_t *value = json_string(name);
	char text[VALUE_MAX];

	show_value(value, text, sizeof(text));
	manage_fail(error, code,
	    near ? "%s: %s is not known; did you mean %s?" : "%s: %s is not known; it can be %s",
	    about, text, expected);
	error->data = json_pack("{s:o, s:n, s:s}", "field", value ? value_copy(value) : json_null(),
	    "value", "expected", expected);
	json_decref(value);
	return NULL;
}
