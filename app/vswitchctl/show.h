/* SPDX-License-Identifier: BSD-3-Clause */
/* Results for people, made from the schema: tables, objects, events. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "manage/schema.h"

#define SHOW_COLUMNS 32

struct show_column {
	const struct schema_field *field;
	unsigned width;
	bool right; /* numbers stand on the right */
};

struct show_table {
	FILE *out;
	unsigned n;
	struct show_column columns[SHOW_COLUMNS];
	bool begun, lines; /* lines: the terminal is too narrow for a table */
};

/* How wide a table is at most: the terminal; 0: as wide as it likes. */
unsigned show_width(FILE *out);

/* Begin a table of these objects, with the columns of the schema. */
void show_begin(struct show_table *table, const struct schema_object *object, FILE *out);

/* Print entries, one per line; before the first ones the names of the columns. */
void show_entries(struct show_table *table, const json_t *entries);

/* Print an object, one field per line; fields that are lists of objects are tables below. */
void show_object(
    const struct schema *schema, const struct schema_object *object, const json_t *json, FILE *out);

#define SHOW_OVERRUN \
	"overrun: %" JSON_INTEGER_FORMAT \
	" events were lost, because events were read too slowly; " \
	"ask again for what you need to know"

/* Print an event in one line. */
void show_event(const json_t *event, FILE *out);
