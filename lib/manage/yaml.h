/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * YAML (and so JSON) files, read by the tables of schema.h: each scalar has the type of its field.
 * So "no" is a text where the field is a text, 010 is ten, and a MAC address needs no quotes.
 *
 * Refused are unknown names and names that are there twice, fields that only the switch tells,
 * anchors, aliases, tags, directives and more than one document, and files that are too large, too
 * deep or not UTF-8. The first fault is told with its line and column.
 *
 * Threads: functions without state.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "manage/schema.h"

#define YAML_BYTES_MAX (1u << 20)
#define YAML_DEPTH_MAX 8

struct yaml_fault {
	unsigned line, column; /* the first ones are 1 */
	char message[400];
};

/*
 * Read a text of n bytes, an object of this kind. Returns a new JSON object with
 * the names of the table, without defaults; an empty file is an empty object. NULL: *ret_fault.
 */
json_t *yaml_read(const struct schema *schema, const struct schema_object *object, const char *text,
    size_t n, struct yaml_fault *ret_fault);

/*
 * Find the place of a field in a text that yaml_read() has accepted: of the object with this index
 * in this list. Only at->line and at->column are set. If the field is not there, the place is where
 * the object begins; if the object is not there, that of the list, or 1:1.
 */
void yaml_locate(const char *text, size_t n, const char *list, size_t index, const char *field,
    struct yaml_fault *at);

/*
 * An object as a text for yaml_read(). *ret_n becomes its length. The caller frees it; NULL: no
 * memory.
 */
char *yaml_write(const json_t *object, size_t *ret_n);
