/* SPDX-License-Identifier: BSD-3-Clause */
/* Results as tables for people, made from the schema. */
#pragma once

#include <jansson.h>
#include <stdio.h>

#include "manage/schema.h"

/* How wide a table is at most: the terminal; 0: as wide as it likes. */
unsigned show_width(FILE *out);

/*
 * Print entries of an object, one per line, with the columns of the schema. with_heading: print
 * the names of the columns first.
 */
void show_list(const struct schema *schema, const struct schema_object *object,
    const json_t *entries, bool with_heading, FILE *out);

/* Print an object, one field per line; fields that are lists of objects are tables below. */
void show_object(
    const struct schema *schema, const struct schema_object *object, const json_t *json, FILE *out);

/* Print an event in one line. */
void show_event(const json_t *event, FILE *out);

/* Print a text that came from the switch; a terminal could not be harmed by it. */
void show_text(const char *text, FILE *out);
