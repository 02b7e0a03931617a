/* SPDX-License-Identifier: BSD-3-Clause */
/* Values that a person types, as JSON. What is no value of its field is found by the check of it.
 */
#pragma once

#include <jansson.h>

#include "candidates.h"
#include "manage/schema.h"

/* Add the words that a value of this field can be. */
void value_words(const struct schema_field *f, struct candidates *c);

/* A value, or a list with commas. A text that is no such value stays a text. NULL: it is no UTF-8.
 */
json_t *value_of(const struct schema_field *f, const char *text);

/* Put the object in this file, in YAML or JSON, into the parameters. 0, or -1 with *fault. */
int value_take_file(const struct schema *schema, const struct schema_field *f, const char *name,
    json_t *params, struct usage_fault *fault);
