/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the switch can be asked, as tables: objects with their fields, and methods with their
 * parameters. All that must agree with it is derived from it: the checks of requests (check.h), the
 * JSON Schema (schema_json.h), the grammar and the help of vswitchctl, doc/reference.md.
 *
 * To add a field, add a row in schema_table.c. To add a method, add a row there, and a function in
 * the table of methods.c.
 *
 * Names consist of lower-case letters, digits and "_". In a name that a person types, "-" may stand
 * for "_".
 *
 * Threads: tables are constant. All functions here may be called by any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCHEMA_NAME_MAX 32
/* Numbers are signed 64-bit integers in JSON. */
#define SCHEMA_UINT_MAX INT64_MAX

/* X(id, name, JSON type) */
#define SCHEMA_TYPES(X) \
	X(BOOL, "bool", "boolean") \
	X(UINT, "number", "integer") \
	X(STRING, "text", "string") \
	X(PATH, "path", "string")   /* of a file; absolute, because the switch is elsewhere */ \
	X(MAC, "mac", "string")     /* "52:54:00:00:00:01" */ \
	X(VLANS, "vlans", "string") /* "10,20-29" */ \
	X(WORD, "word", "string")   /* one of a list of words */ \
	X(OBJECT, "object", "object")

enum schema_type {
#define X(id, name, json) SCHEMA_##id,
	SCHEMA_TYPES(X)
#undef X
};

enum schema_flag {
	SCHEMA_KEY = 1 << 0,       /* it names the object; there is one such field, the first */
	SCHEMA_READ_ONLY = 1 << 1, /* the switch tells it; no request sets it */
	SCHEMA_CREATE = 1 << 2,    /* it is set when the object is added, and never changes */
	SCHEMA_REQUIRED = 1 << 3,  /* a request that adds the object, or calls the method, has it */
	SCHEMA_LIST = 1 << 4,      /* an array of such values */
	SCHEMA_COLUMN = 1 << 5,    /* tables show it */
	SCHEMA_NULL = 1 << 6,      /* the value may be null: there is none at the moment */
};

struct schema_field {
	const char *name;
	enum schema_type type;
	unsigned flags;
	uint64_t min, max; /* of a number; of the length of a text, if max is not 0 */
	unsigned list_max; /* of SCHEMA_LIST: the most parts that a request has; 0: any number */
	const char *unit;  /* of a number; NULL: it is a plain number */
	const char *const *words; /* of a word, NULL at the end */
	const char *object;       /* name of the object that the value is */
	const char *names;        /* the value is the key of an object of this name */
	const char *preset;       /* the default, as JSON; NULL: there is none */
	const char *about;        /* one sentence */
};

struct schema_object {
	const char *name;
	const char *about;
	const struct schema_field *fields; /* name NULL at the end */
};

/* Which fields of its object a method takes as parameters. */
enum schema_takes {
	SCHEMA_TAKES_NONE,
	SCHEMA_TAKES_KEY,     /* the key, which is required: show, del */
	SCHEMA_TAKES_NEW,     /* all that can be set: add */
	SCHEMA_TAKES_CHANGES, /* the key, and all that can change later: set */
};

/* What the result of a method is. */
enum schema_gives {
	SCHEMA_GIVES_NOTHING, /* {} */
	SCHEMA_GIVES_OBJECT,  /* the object */
	SCHEMA_GIVES_LIST,    /* {"entries": [the object...], "next": where to go on, or null} */
	SCHEMA_GIVES_SCHEMA,  /* a JSON Schema */
};

struct schema_method {
	const char *name;   /* "object.verb", or a verb */
	const char *object; /* of which it takes fields, and which it gives; NULL: none */
	enum schema_takes takes;
	const struct schema_field *params; /* further ones, name NULL at the end; NULL: none */
	enum schema_gives gives;
	const char *about;
	bool changes; /* it changes the switch for others than its client */
};

struct schema {
	const struct schema_object *objects; /* name NULL at the end */
	const struct schema_method *methods; /* name NULL at the end */
};

/* The switch. */
extern const struct schema schema_switch;

const char *schema_type_name(enum schema_type type);
const char *schema_type_json(enum schema_type type);

/* NULL: there is none of this name, or name is NULL. */
const struct schema_object *schema_object(const struct schema *schema, const char *name);
const struct schema_method *schema_method(const struct schema *schema, const char *name);

/*
 * The next parameter of a method; *at is 0 at first. NULL: there are no more. *ret_required tells
 * whether a request must have it.
 */
const struct schema_field *schema_next_param(const struct schema *schema,
    const struct schema_method *method, unsigned *at, bool *ret_required);

/* The parameter with this name, or NULL. */
const struct schema_field *schema_param(
    const struct schema *schema, const struct schema_method *method, const char *name);

/* Are two names the same? "-" and "_" are. */
bool schema_same_name(const char *a, const char *b);

/*
 * The one of n names that is most like this name, for "did you mean"; NULL: none is like it. The
 * effort is bounded for any name.
 */
const char *schema_nearest(const char *name, const char *const names[], unsigned n);

/*
 * What a value of this field must be, in words that follow "is not": "a number from 1 to 16". It is
 * cut off if it is longer than the room. Returns text.
 */
const char *schema_expected(const struct schema_field *field, char *text, size_t room);
